"""A report's page: one file, readable without eyes, with its numbers where they are looked for."""

from __future__ import annotations

import pytest

from course.checks import CheckFailed
from course.checks.http import accessibility, pages

PAGE = """<!doctype html><html lang="en"><head><title>A week</title><style>p { color: red }</style></head><body>
<h1>Warnings</h1><h2>Chart</h2><figure><svg role="img" aria-label="1,234 right, 5 wrong"><rect></rect></svg>
<table><tr><th scope="row">right</th><td id="right">1,234</td></tr></table></figure>
<p id="cost">€ 12,345.50</p><p id="less">−7 EUR</p><p id="both">1 of 2</p></body></html>"""


def judge(source: str) -> None:
    page = pages.read(source)
    accessibility.is_one_file(page)
    accessibility.is_readable(page)
    accessibility.has_charts(page)


def test_a_readable_page_passes():
    judge(PAGE)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (' lang="en"', "", "in which language"),
        ("<title>A week</title>", "", "no title"),
        ("<h1>Warnings</h1>", "", "one heading of the first level"),
        ("<h2>", "<h4>", "skips a level"),
        (' aria-label="1,234 right, 5 wrong"', "", "no text alternative"),
        ("<figure>", "<div>", "no table beside it"),
        ("<th scope", "<td scope", "no header cells"),
        ("<p id", "<img src=chart.png alt=x><p id", "loads something from another file"),
        ("color: red", "background: url(https://a.example/b.png)", "loads something from another file"),
        ("p {", "@import 'a.css'; p {", "loads something from another file"),
        ("<p id", "<script src='//a.example/b.js'></script><p id", "loads something from another file"),
        ("<svg", "<b", "has no chart"),
    ],
)
def test_what_keeps_people_out_is_named(old, new, reason):
    with pytest.raises(CheckFailed, match=reason):
        judge(PAGE.replace(old, new, 1))


def test_pictures_and_titles_of_drawings_are_alternatives():
    source = '<img src="data:image/png;base64,AA" alt="one 1"><svg><title>two</title><desc>2.5</desc></svg><svg></svg>'
    assert [text for _, text in accessibility.charts(pages.read(source))] == ["one 1", "two 2.5", ""]


def test_numbers_are_read_as_people_write_them():
    page = pages.read(PAGE)
    assert [accessibility.number(page, name) for name in ("right", "cost", "less")] == [1234, 12345.5, -7]
    assert accessibility.numbers_in("1,234 right, 5 wrong, 2.5 %") == {1234, 5, 2.5}


@pytest.mark.parametrize(
    ("name", "reason"), [("both", "does not hold a number alone"), ("none", "no element with the id")]
)
def test_what_is_no_number_is_shown(name, reason):
    with pytest.raises(CheckFailed, match=reason):
        accessibility.number(pages.read(PAGE), name)
