"""course.grading.pipeline.settlement: a check that could not judge a student's work, but can judge the solution."""

from __future__ import annotations

import nbformat
import pytest

from course.base.result import MIME, CheckRecord, Outcome, Result
from course.checks.core.rendering import Displayed
from course.grading.pipeline import settlement
from course.labs.judgement import judge


def line(outcome=Outcome.ERROR, cause="exception", **more):
    return CheckRecord("a", "it holds", outcome, 0, 2, cause=cause, **more)


def notebook(*lines):
    role = {"grade": True, "solution": False, "locked": True, "points": 4, "grade_id": "q", "schema_version": 3}
    cell = nbformat.v4.new_code_cell("grade('q')", metadata={"nbgrader": {**role, "task": False}})
    data = Displayed(Result("Title", 4, lines))._repr_mimebundle_()
    cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
    return nbformat.v4.new_notebook(cells=[cell])


def test_a_question_that_missed_its_deadline_is_known():
    assert settlement.has_late(notebook(line(Outcome.PASS, None), line(cause="deadline")))
    assert not settlement.has_late(notebook(line(), line(cause="end")))


@pytest.mark.parametrize("cause", ["exception", "deadline", "end", "missing"])
def test_what_passes_for_the_solution_fails_for_the_student(cause):
    outcome = Outcome.UNGRADED if cause == "missing" else Outcome.ERROR
    found = settlement.settled(line(outcome, cause, reason="not graded here: no image", hint="look"), Outcome.PASS)
    assert (found.outcome, found.cause, found.hint) == ("fail", None, "look")
    assert "solution" in found.reason


@pytest.mark.parametrize("solution", [None, Outcome.FAIL, Outcome.ERROR, Outcome.UNGRADED, Outcome.SKIP])
def test_what_the_solution_does_not_pass_stays_with_a_person(solution):
    assert settlement.settled(line(), solution) == line()


@pytest.mark.parametrize(
    "known", [line(Outcome.PASS, None), line(Outcome.FAIL, None), line(Outcome.UNGRADED, "machine")]
)
def test_what_is_judged_or_certainly_missing_here_is_left_alone(known):
    assert settlement.settled(known, Outcome.PASS) == known


def test_a_hidden_check_shows_nothing_but_its_own_hint():
    hidden = line(hidden=True, reason="secret", actual="secret", expected="secret", hint="try noon")
    found = settlement.settled(hidden, Outcome.PASS)
    assert (found.reason, found.actual, found.expected, found.hint) == (None, None, None, "try noon")


def test_the_solution_is_asked_only_where_something_must_be_settled():
    passed = CheckRecord("b", "b", Outcome.PASS, 2, 2)
    assert settlement.settle(notebook(passed), lambda: pytest.fail("it was asked")) == []
    shown = notebook(passed, line())
    (note,) = settlement.settle(shown, lambda: {"q": {"it holds": Outcome.PASS}})
    assert note == "q: failed, because the solution passes here: it holds"
    assert judge(shown.cells[0]).score == 2


def test_the_points_of_other_checks_are_kept_for_the_person_who_looks():
    shown = notebook(CheckRecord("b", "b", Outcome.PASS, 2, 2), line())
    assert settlement.settle(shown, dict) == []
    found = judge(shown.cells[0])
    assert (found.score, found.kept) == (None, 2)


def test_what_the_checks_say_of_a_solution_is_read_from_its_notebook():
    shown = notebook(CheckRecord("b", "b", Outcome.PASS, 2, 2), line())
    assert settlement.outcomes(shown) == {"q": {"b": "pass", "it holds": "error"}}
    del shown.cells[0].outputs[0].data[MIME]
    assert settlement.outcomes(shown) == {}
