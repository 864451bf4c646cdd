"""course.checks.core.question: checks run in order, depend on one another, and end in one of five outcomes."""

from __future__ import annotations

import json
import warnings

import pytest

from course.base.result import MIME
from course.checks import Outcome, Question, Unmet, expect, fail, fixture, not_graded_here
from course.checks.core import processes
from course.checks.core.rendering import Displayed


def question_with(function, **options) -> Question:
    question = Question("A question", points=2)
    question.check(2, title="it holds", **options)(function)
    return question


def only(question: Question):
    return question.result().checks[0]


def unmet_secret():
    raise Unmet("f.py answers", "secret", expected="secret", actual="secret", hint="secret")


def assert_secret():
    raise AssertionError("secret")


def test_a_check_that_returns_passes_and_earns_its_points():
    record = only(question_with(lambda: None))
    assert (record.outcome, record.points, record.worth) == (Outcome.PASS, 2, 2)


def test_a_check_that_fails_says_why_beside_what_was_expected():
    def check():
        fail("it is wrong", expected=1, actual=2, hint="look again")

    record = only(question_with(check))
    assert (record.outcome, record.points) == (Outcome.FAIL, 0)
    assert (record.reason, record.expected, record.actual, record.hint) == ("it is wrong", "1", "2", "look again")


def test_a_failure_without_a_hint_shows_the_hint_of_its_check():
    assert only(question_with(lambda: fail("no"), hint="try noon")).hint == "try noon"
    assert only(question_with(lambda: fail("no", hint="mine"), hint="try noon")).hint == "mine"


@pytest.mark.parametrize(("error", "reason"), [(AssertionError("1 is not 2"), "1 is not 2"), (AssertionError(), "it")])
def test_a_plain_assertion_is_a_failure_of_the_student(error, reason):
    def check():
        raise error

    record = only(question_with(check))
    assert record.outcome is Outcome.FAIL
    assert record.reason.startswith(reason)


class _Unspeakable(Exception):
    def __str__(self):
        raise self


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), ValueError("bad"), _Unspeakable()])
def test_any_other_error_goes_to_a_person_unless_more_is_known(error):
    def check():
        raise error

    result = question_with(check).result()
    assert result.checks[0].outcome is Outcome.ERROR
    assert result.checks[0].points == 0
    assert type(error).__name__ in result.checks[0].actual
    assert result.checks[0].cause == "exception"
    assert result.needs_person


def test_odd_text_of_a_student_can_be_stored_everywhere():
    def check():
        fail("half \ud800", expected="nothing \0", actual="whole \U0001f6eb", hint="\udfff")

    record = only(question_with(check))
    shown = (record.reason, record.expected, record.actual, record.hint)
    assert shown == ("half \ufffd", "nothing \ufffd", "whole \U0001f6eb", "\ufffd")


def test_what_cannot_be_judged_here_goes_to_a_person():
    result = question_with(lambda: not_graded_here("no container engine answers")).result()
    assert result.checks[0].outcome is Outcome.UNGRADED
    assert "no container engine answers" in result.checks[0].reason
    assert result.needs_person


@pytest.mark.parametrize("how", ["fail", "error", "ungraded", "skip"])
def test_a_check_is_skipped_when_one_that_it_needs_did_not_pass(how):
    question = Question("A question", points=3)
    ends = {"fail": lambda: fail("no"), "error": lambda: 1 / 0, "ungraded": lambda: not_graded_here("no"), "skip": None}
    if how == "skip":
        zero = question.check(title="zero")(lambda: fail("no"))
        first = question.check(1, title="one", needs=zero)(lambda: None)
    else:
        first = question.check(1, title="one")(ends[how])
    question.check(2, title="two", needs=(first,))(lambda: pytest.fail("it ran"))
    record = question.result().checks[-1]
    assert record.outcome is Outcome.SKIP
    assert record.reason == "not run: it needs “one”"
    assert record.points == 0


def test_a_check_runs_when_all_that_it_needs_passed():
    question = Question("A question", points=3)
    one = question.check(1, title="one")(lambda: None)
    two = question.check(1, title="two")(lambda: None)
    question.check(1, title="three", needs=(one, two))(lambda: None)
    assert question.result().score == 3


def test_something_that_several_checks_need_is_told_once_and_they_are_skipped():
    def unmet():
        raise Unmet("features.py can be imported", "line 7: NameError", hint="import it")

    question = Question("A question", points=3)
    question.check(1, title="one")(unmet)
    question.check(2, title="two")(unmet)
    lines = [(record.title, record.outcome, record.worth) for record in question.result().checks]
    assert lines == [
        ("features.py can be imported", "fail", 0),
        ("one", "skip", 1),
        ("two", "skip", 2),
    ]


def test_a_hidden_check_tells_only_its_title_its_outcome_and_its_hint():
    def check():
        fail("the secret row 7", expected="secret", actual="guess", hint="try noon")

    record = only(question_with(check, hidden=True, hint="look at the clock")).to_dict()
    assert record == {
        "name": "check",
        "title": "it holds",
        "outcome": "fail",
        "points": 0,
        "worth": 2,
        "hidden": True,
        "hint": "look at the clock",
    }


HIDDEN_FAILURES = {
    "a failure": lambda: fail("secret", expected="secret", actual="secret", hint="secret"),
    "something that it needs": unmet_secret,
    "an assertion": assert_secret,
    "a failure without a hint": lambda: fail("secret"),
}


@pytest.mark.parametrize("how", HIDDEN_FAILURES)
def test_a_hidden_check_shows_the_same_however_it_fails(how):
    question = Question("A question", points=3)
    question.check(1, title="visible")(lambda: None)
    question.check(2, title="hidden", hidden=True, hint="try noon")(HIDDEN_FAILURES[how])
    _, line = question.result().checks
    assert (line.outcome, line.reason, line.expected, line.actual, line.hint) == ("fail", None, None, None, "try noon")


def test_what_all_checks_lack_is_told_of_hidden_ones_too():
    question = Question("A question", points=3)
    question.check(1, title="visible")(unmet_secret)
    question.check(2, title="hidden", hidden=True, hint="try noon")(unmet_secret)
    lines = [(line.title, line.outcome, line.reason) for line in question.result().checks]
    assert lines[1:] == [
        ("visible", "skip", "not run: it needs “f.py answers”"),
        ("hidden", "skip", "not run: it needs “f.py answers”"),
    ]


def test_hidden_checks_run_last_and_are_shown_in_their_places():
    order: list[str] = []
    question = Question("A question", points=3)
    for title, hidden in (("one", False), ("two", True), ("three", False)):
        question.check(1, title=title, hidden=hidden)(lambda title=title: order.append(title))
    assert [line.title for line in question.result().checks] == ["one", "two", "three"]
    assert order == ["one", "three", "two"]


def test_hidden_checks_have_fixtures_of_their_own_but_for_shared_ones():
    made.clear()
    question = Question("A question", points=2)
    seen = []
    question.check(1, title="one")(lambda number, table: seen.append(table))
    question.check(1, title="two", hidden=True)(lambda number, table: seen.append(table))
    assert question.result().score == 2
    assert made == ["made", "table", "closed", "made", "closed", "table closed"]
    assert seen[0] is seen[1]


def test_a_shared_fixture_cannot_ask_for_one_that_is_not():
    record = only(question_with(lambda shares_a_process: None))
    assert record.outcome is Outcome.ERROR
    assert "asks for number, which is not shared" in record.actual


def test_processes_of_visible_checks_end_before_hidden_ones_and_theirs_before_the_next_question():
    talks: list[processes.Worker] = []

    def ask():
        assert not [talk for talk in talks if talk.process.poll() is None]
        talks.append(processes.Worker())
        assert talks[-1].request("use", name="math")["ok"]

    for _ in range(2):
        question = Question("A question", points=2)
        question.check(1, title="visible")(ask)
        question.check(1, title="hidden", hidden=True)(ask)
        assert question.result().score == 2
    assert len(talks) == 4


def test_a_hidden_check_that_breaks_or_lacks_something_does_not_tell_its_data():
    def broken():
        raise ValueError("the secret row 7")

    def unmet():
        raise Unmet("features.py answers", "the secret row 7", actual="the secret row 7")

    for check in (broken, unmet):
        assert "secret" not in json.dumps(question_with(check, hidden=True).result().to_dict())


def test_hidden_points_are_told_where_the_hidden_checks_are_absent():
    question = Question("A question", points=5)
    question.check(3, title="one")(lambda: None)
    result = question.result()
    assert (result.score, result.visible, result.points) == (3, 3, 5)
    assert result.to_dict()["hidden_points"] == 2
    assert "3 of 3 points, 2 more are decided by hidden checks" in result.to_text()


def test_points_need_not_be_whole_and_add_up_without_crumbs():
    question = Question("A question", points=0.3)
    for name in ("one", "two", "three"):
        question.check(0.1, title=name)(lambda: None)
    result = question.result()
    assert result.score == 0.3
    assert repr(Displayed(result)) == "0.3"
    assert repr(Displayed(question_with(lambda: None).result())) == "2"


def test_the_value_of_a_grade_cell_is_its_score_in_every_form():
    result = question_with(lambda: None).result()
    bundle = Displayed(result)._repr_mimebundle_()
    assert bundle["text/plain"] == "2"
    assert "<table" in bundle["text/html"]
    assert bundle[MIME] == json.loads(json.dumps(result.to_dict()))
    assert bundle[MIME]["version"] == 1


def test_validate_shows_all_points_when_every_visible_check_passed(monkeypatch):
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    question = Question("A question", points=5)
    question.check(3, title="one")(lambda: None)
    assert repr(Displayed(question.result())) == "5"
    assert repr(Displayed(question_with(lambda: fail("no")).result())) == "0"


def test_warnings_and_prints_of_a_check_cost_nothing_and_are_not_shown(capfd):
    def check():
        warnings.warn("careful", stacklevel=1)
        print("noise")

    assert question_with(check).result().score == 2
    assert capfd.readouterr() == ("", "")


def test_the_title_is_the_first_line_of_the_docstring():
    question = Question("A question", points=1)

    @question.check(points=1)
    def keeps_the_order():
        """every flight keeps its place

        More for the author.
        """

    record = question.result().checks[0]
    assert (record.title, record.name) == ("every flight keeps its place", "keeps_the_order")


def test_asking_twice_runs_the_checks_again():
    outcomes = iter([True, False])
    question = question_with(lambda: expect(next(outcomes)).is_true())
    assert [question.result().score, question.result().score] == [2, 0]


@pytest.mark.parametrize("points", [0, -1, float("nan")])
def test_a_question_without_points_is_refused(points):
    with pytest.raises(ValueError, match="more than 0 points"):
        Question("A question", points=points)


def test_checks_that_are_made_wrongly_are_refused():
    question = Question("A question", points=2)
    question.check(1, title="one")(lambda: None)
    with pytest.raises(ValueError, match="needs a docstring"):
        question.check(1)(lambda: None)
    with pytest.raises(ValueError, match="two checks"):
        question.check(1, title="one")(lambda: None)
    with pytest.raises(ValueError, match="cannot be worth -1"):
        question.check(-1, title="two")(lambda: None)
    with pytest.raises(ValueError, match="does not stand above it"):
        question.check(1, title="two", needs=lambda: None)(lambda: None)


def test_checks_worth_more_than_the_question_are_refused():
    question = Question("A question", points=2)
    question.check(3, title="one")(lambda: None)
    with pytest.raises(ValueError, match="are worth 3 points, the question 2"):
        question.result()


def test_progress_outside_of_a_notebook_shows_nothing(capfd):
    question = Question("A question", points=1)

    @question.check(1, title="one")
    def slow():
        with question.progress("12 variants") as step:
            step("variant 1")

    assert question.result().score == 1
    assert capfd.readouterr() == ("", "")


made: list[str] = []


@fixture
def number():
    """Made once, closed at the end."""
    made.append("made")
    yield 7
    made.append("closed")


@fixture
def doubled(number):
    """A fixture may ask for another."""
    return 2 * number


@fixture(shared=True)
def table():
    """Made once for both phases."""
    made.append("table")
    yield object()
    made.append("table closed")


@fixture(shared=True)
def shares_a_process(number):
    """It may not."""


@fixture
def broken():
    """What it raises is the outcome of each check that asks for it."""
    made.append("broken")
    raise Unmet("the service starts", "it ended at once")


def test_a_fixture_is_made_once_for_all_checks_and_closed_at_the_end():
    made.clear()
    question = Question("A question", points=2)

    @question.check(1)
    def one(number):
        """one"""
        made.append("one")
        expect(number).equals(7)

    @question.check(1)
    def two(doubled, number, unused=3):
        """two"""
        made.append("two")
        expect(doubled).equals(2 * number)

    assert question.result().score == 2
    assert made == ["made", "one", "two", "closed"]
    question.result()
    assert made == 2 * ["made", "one", "two", "closed"]


def test_a_fixture_that_no_check_asks_for_is_not_made():
    made.clear()
    assert question_with(lambda: None).result().score == 2
    assert made == []


def test_what_a_fixture_raises_is_the_outcome_of_each_check_that_asks_for_it():
    made.clear()
    question = Question("A question", points=2)
    question.check(1, title="one")(lambda broken: None)
    question.check(1, title="two")(lambda broken: None)
    lines = [(record.title, record.outcome) for record in question.result().checks]
    assert lines == [("the service starts", "fail"), ("one", "skip"), ("two", "skip")]
    assert made == ["broken"]


def test_a_parameter_that_names_no_fixture_is_the_graders_fault():
    record = only(question_with(lambda nothing_of_this_name: None))
    assert record.outcome is Outcome.ERROR
    assert "nothing_of_this_name" in record.actual


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_deadline_is_positive(seconds):
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Question("A question", points=1, deadline_s=seconds)
