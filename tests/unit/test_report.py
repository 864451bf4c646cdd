"""course.checks.core.rendering: results read well in a terminal and in a notebook, and hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from course.checks import Question, fail, not_graded_here
from course.checks.core import rendering
from course.checks.core.question import CheckRecord, Outcome, Result

HOSTILE = """<script>alert("1")</script><img src=x onerror='alert(2)'>&amp;</td></table>"""


class Tags(HTMLParser):
    """The tags of some HTML, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def result(**details) -> Result:
    values = {"outcome": Outcome.FAIL, "points": 0, "worth": 1, **details}
    return Result("Title", 1, (CheckRecord("name", values.pop("title", "it holds"), **values),))


@pytest.mark.parametrize("part", ["title", "reason", "expected", "actual", "hint"])
def test_hostile_text_stays_text(part):
    tags = Tags(rendering.html(result(**{part: HOSTILE})))
    assert not {"script", "img"} & set(tags.seen)
    assert HOSTILE in tags.text


def test_a_hostile_question_title_stays_text():
    html = rendering.html(Result(HOSTILE, 1, ()))
    assert HOSTILE in Tags(html).text
    assert HOSTILE in Tags(rendering.summary_html([Result(HOSTILE, 1, ())])).text


def test_the_table_can_be_read_aloud():
    html = rendering.html(result())
    assert "<caption" in html
    assert html.count('scope="col"') == 3
    assert html.count('scope="row"') == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_sign_and_a_word_so_that_colour_is_not_needed(outcome):
    html = rendering.html(result(outcome=outcome))
    assert rendering.SIGNS[outcome] in html
    assert rendering.WORDS[outcome] in html
    assert rendering.text(result(outcome=outcome)).splitlines()[1].startswith(rendering.SIGNS[outcome])


def test_signs_and_words_tell_the_outcomes_apart():
    assert len(set(rendering.SIGNS.values())) == len(set(rendering.WORDS.values())) == len(Outcome)


def test_short_values_stand_beside_each_other_and_long_ones_below():
    assert "    expected 3; got 4" in rendering.text(result(expected="3", actual="4")).splitlines()
    lines = rendering.text(result(expected="a\nb", actual="c")).splitlines()
    assert lines[2:] == ["    expected", "        a", "        b", "    got c"]


def test_a_line_of_code_is_shown_as_the_place_that_it_is():
    assert "    at: x = 1" in rendering.text(result(actual="at: x = 1")).splitlines()


def test_the_hint_comes_last():
    assert rendering.text(result(reason="no", hint="look again")).splitlines()[-1] == "    hint: look again"


def test_a_line_without_worth_shows_no_points():
    assert "/" not in rendering.text(result(worth=0)).splitlines()[1]


def test_a_long_title_is_kept_apart_from_its_points():
    assert f"{'x' * 100} 0 / 1" in rendering.text(result(title="x" * 100))


@pytest.mark.parametrize(
    ("points", "worth", "total", "words"),
    [
        (1, 1, 1, "1 of 1 point"),
        (2, 4, 4, "2 of 4 points"),
        (0.5, 1.5, 2.5, "0.5 of 1.5 points, 1 more is decided by hidden checks"),
        (4, 4, 6, "4 of 4 points, 2 more are decided by hidden checks"),
    ],
)
def test_the_headline_tells_the_points_in_words(points, worth, total, words):
    record = CheckRecord("name", "title", Outcome.PASS, points, worth)
    assert rendering.headline(Result("Title", total, (record,))) == words


def test_the_headline_says_when_a_person_will_look():
    question = Question("Title", points=1)
    question.check(1, title="one")(lambda: not_graded_here("no engine"))
    assert rendering.headline(question.result()).endswith("a person will look at what could not be judged here")


def test_a_hidden_check_is_marked_in_both_forms():
    question = Question("Title", points=1)
    question.check(1, title="one", hidden=True)(lambda: fail("no"))
    assert "one (hidden)" in question.result().to_text()
    assert "<em>(hidden)</em>" in rendering.html(question.result())


def test_a_summary_without_results_says_so():
    assert rendering.summary_text([]) == "No check has been run in this notebook yet."
    assert "No check" in rendering.summary_html([])


def test_a_summary_adds_up():
    first = Result("One", 3, (CheckRecord("a", "a", Outcome.PASS, 2, 2),))
    second = Result("Two", 1, (CheckRecord("b", "b", Outcome.FAIL, 0, 1),))
    assert "2 of 3 visible points" in rendering.summary_html([first, second])
    assert rendering.summary_text([first, second]).splitlines()[0].startswith("One")


def test_progress_is_shown_in_notebooks_only(capfd):
    rendering.show_progress("step 1")
    rendering.clear_progress()
    assert capfd.readouterr().out == ""
