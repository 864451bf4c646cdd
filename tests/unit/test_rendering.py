"""course.checks.core.rendering: results read well in a terminal and in a notebook, and hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from course.base.result import SIGNS, WORDS, CheckRecord, Outcome, Result
from course.checks import Question, fail, not_graded_here
from course.checks.core import progress, rendering

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
    assert HOSTILE in Tags(rendering.Summary([Result(HOSTILE, 1, ())])._repr_html_()).text


def test_the_table_can_be_read_aloud():
    html = rendering.html(result())
    assert "<caption" in html
    assert html.count('scope="col"') == 3
    assert html.count('scope="row"') == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_sign_and_a_word_so_that_colour_is_not_needed(outcome):
    html = rendering.html(result(outcome=outcome))
    assert SIGNS[outcome] in html
    assert WORDS[outcome] in html
    assert result(outcome=outcome).to_text().splitlines()[1].startswith(SIGNS[outcome])


def test_signs_and_words_tell_the_outcomes_apart():
    assert len(set(SIGNS.values())) == len(set(WORDS.values())) == len(Outcome)


def test_short_values_stand_beside_each_other_and_long_ones_below():
    assert "    expected 3; got 4" in result(expected="3", actual="4").to_text().splitlines()
    lines = result(expected="a\nb", actual="c").to_text().splitlines()
    assert lines[2:] == ["    expected", "        a", "        b", "    got c"]


def test_a_line_of_code_is_shown_as_the_place_that_it_is():
    assert "    at: x = 1" in result(actual="at: x = 1").to_text().splitlines()


def test_the_hint_comes_last():
    assert result(reason="no", hint="look again").to_text().splitlines()[-1] == "    hint: look again"


def test_a_line_without_worth_shows_no_points():
    assert "/" not in result(worth=0).to_text().splitlines()[1]


def test_a_long_title_is_kept_apart_from_its_points():
    assert f"{'x' * 100} 0 / 1" in result(title="x" * 100).to_text()


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
    assert Result("Title", total, (record,)).headline() == words


def test_the_headline_says_when_a_person_will_look():
    question = Question("Title", points=1)
    question.check(1, title="one")(lambda: not_graded_here("no engine"))
    assert question.result().headline().endswith("a person will look at what could not be judged here")


def test_a_hidden_check_is_marked_in_both_forms():
    question = Question("Title", points=1)
    question.check(1, title="one", hidden=True)(lambda: fail("no"))
    assert "one (hidden)" in question.result().to_text()
    assert "<em>(hidden)</em>" in rendering.html(question.result())


def test_checks_that_were_not_run_for_one_reason_are_one_line():
    question = Question("Title", points=6)
    first = question.check(1, title="first")(lambda: fail("no"))
    for number in range(4):
        question.check(1, title=f"later {number}", needs=first)(lambda: None)
    question.check(1, title="alone")(lambda: fail("no"))
    result = question.result()
    heads = [line.split("  ")[0] for line in result.to_text().splitlines()[1:] if not line.startswith(" ")]
    assert heads == ["✗ first", "– 4 checks: later 0; later 1; later 2; later 3", "✗ alone"]
    assert "0 / 4" in result.to_text()
    assert rendering.html(result).count("<tr>") == 4  # with the head
    assert len(result.to_dict()["checks"]) == 6


def test_a_summary_without_results_says_so():
    assert repr(rendering.Summary([])) == "No check has been run in this notebook yet."
    assert "No check" in rendering.Summary([])._repr_html_()


def test_a_summary_adds_up():
    first = Result("One", 3, (CheckRecord("a", "a", Outcome.PASS, 2, 2),))
    second = Result("Two", 1, (CheckRecord("b", "b", Outcome.FAIL, 0, 1),))
    assert "2 of 3 visible points" in rendering.Summary([first, second])._repr_html_()
    assert repr(rendering.Summary([first, second])).splitlines()[0].startswith("One")


def test_progress_is_shown_in_notebooks_only(capfd):
    progress.show("step 1")
    progress.clear()
    assert capfd.readouterr().out == ""


def test_a_result_is_read_back_from_its_record():
    one = CheckRecord("a", "a", Outcome.PASS, 2, 2)
    two = CheckRecord("b", "b", Outcome.FAIL, 0, 1, hidden=True, hint="look again")
    result = Result("One", 4, (one, two))
    assert Result.from_dict(result.to_dict() | {"a key of later": 1}) == result


@pytest.mark.parametrize(
    "change",
    [
        {"title": 3},
        {"points": "4"},
        {"points": float("nan")},
        {"points": True},
        {"checks": None},
        {"checks": [{"title": "a"}]},
        {"checks": [{"name": "a", "title": "a", "outcome": "won", "points": 1, "worth": 1}]},
        {"checks": [{"name": "a", "title": "a", "outcome": "pass", "points": 1, "worth": 1, "hint": ["x"]}]},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change):
    with pytest.raises(ValueError, match="not the record of"):
        Result.from_dict(Result("One", 4, ()).to_dict() | change)
