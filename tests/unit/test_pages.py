"""Pages are read as programs that assist people would read them."""

from __future__ import annotations

import pytest

from course.checks import CheckFailed
from course.checks.http import pages

FORM = """<!doctype html>
<html lang=en><head><title>A  page</title><style>p { color: red }</style></head>
<body><h1>Ask</h1>
<form method="POST">
  <label for="a">Airline</label><select id="a" name="carrier">
    <option value="UA" selected>United<option value="DL">Delta</select>
  <label>Minutes <input name="minutes" value="1 &amp; 2"></label>
  <span id="far">Day</span><input name="day" aria-labelledby="far nowhere">
  <input name="bare" placeholder="no label"><input name="aria" aria-label="Spoken">
</form>
<p role="status">It is <b>late</b>.<script>hidden()</script></p><div aria-live="off">silent</div><output>31</output>
</body></html>"""


@pytest.fixture
def page() -> pages.Page:
    return pages.read(FORM)


def field(page: pages.Page, name: str) -> pages.Element:
    return next(one for one in page if one.get("name") == name)


@pytest.mark.parametrize(
    ("name", "label"),
    [("carrier", "Airline"), ("minutes", "Minutes"), ("day", "Day"), ("aria", "Spoken"), ("bare", "")],
)
def test_a_field_is_called_by_its_label(page, name, label):
    assert page.label_of(field(page, name)) == label


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("<label><b>Air<i>line</i></b> <p>code</p><input name=x></label>", "Airline code"),
        ("<label>Before<input name=x></label><label for=x>After</label>", "Before"),
        ("<label for=y>One</label> <label for=y><strong>Two</strong></label><input id=y name=x>", "One Two"),
        ("<label for=y>For</label><input id=y name=x aria-label=Aria>", "Aria"),
        ("<i id=a hidden>Day</i><b id=b>of <u>week</u></b><input name=x aria-labelledby='a b c'>", "Day of week"),
        ("<label>Two fields<input name=other><input name=x></label>", ""),
        ("<label for=other>Elsewhere<input name=x></label>", ""),
        ("<label for=y></label><input id=y name=x>", ""),
        ("<label>A<span aria-hidden=true>*</span><select name=x><option>UA</option></select></label>", "A"),
        ("<label><img alt=Minutes><input name=x></label>", "Minutes"),
        ("<label><input type=hidden name=h>Day<input name=x></label>", "Day"),
        ("<input name=x title='How long'>", "How long"),
        ("<input name=x placeholder='How long'>", ""),
    ],
)
def test_a_field_is_called_what_a_browser_calls_it(source, label):
    page = pages.read(source)
    assert page.label_of(field(page, "x")) == label


def test_a_label_that_holds_nothing_but_its_field_is_none():
    page = pages.read("<label><select name=x><option>UA</option></select></label>")
    assert page.label_of(field(page, "x")) == ""


def test_what_is_announced_is_found(page):
    assert [one.text for one in page.live()] == ["It is late .", "31"]


def test_attributes_are_read_as_a_browser_reads_them(page):
    assert field(page, "minutes").get("value") == "1 & 2"
    assert [one.get("value") for one in page.all("option") if "selected" in one] == ["UA"]
    assert page.first("html").get("lang") == "en"
    assert pages.read('<a href="1" href="2">').first("a").get("href") == "1"


def test_an_option_ends_where_the_next_begins(page):
    assert [one.text for one in page.all("option")] == ["United", "Delta"]


def test_what_is_hidden_is_not_read():
    assert pages.read("<p>a<span hidden>b</span><template>c</template></p>").first("p").text == "a"


def test_an_element_is_found_by_its_id(page):
    assert page.by_id("far").text == "Day"
    assert page.by_id("nowhere") is None
    assert page.by_id("") is None


@pytest.mark.parametrize("text", ["", "plain text", "</p></div>", "<p", "<!--", "<p><b></p></b>x", "\x00<a\x00>"])
def test_a_page_that_is_none_is_read_all_the_same(text):
    assert pages.read(text).all("form") == []


@pytest.mark.parametrize("text", ["<b>" * 300, "<br>" * 30_000], ids=["deep", "many"])
def test_a_page_far_too_large_fails_the_check(text):
    with pytest.raises(CheckFailed, match="more than"):
        pages.read(text)
