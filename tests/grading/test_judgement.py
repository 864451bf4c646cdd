"""How the outcome of a grade cell becomes a score."""

from __future__ import annotations

import nbformat
import pytest

from course.base.result import MIME, Outcome
from course.labs.judgement import judge

ROLE = {
    "grade_id": "a",
    "grade": True,
    "solution": False,
    "locked": True,
    "points": 4,
    "schema_version": 3,
    "task": False,
}


def cell(*outputs, source='grade("a")', role=ROLE, kind="code"):
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    made = new(source, metadata={"nbgrader": role})
    if kind == "code":
        made.outputs = list(outputs)
    return made


def value(text="4", score=None, outcome=Outcome.PASS, **changes):
    data = {"text/plain": text}
    if score is not None:
        check = {"name": "a", "title": "all fine", "outcome": outcome, "points": score, "worth": 4}
        data[MIME] = {"version": 1, "title": "A question", "points": 4, "checks": [check], **changes}
    return nbformat.v4.new_output("execute_result", data, execution_count=1)


STDERR = nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: something changes")
ERROR = nbformat.v4.new_output("error", ename="NameError", evalue="no", traceback=["no"])


def test_a_warning_costs_nothing():
    judgement = judge(cell(STDERR, value(score=3)))
    assert (judgement.score, judgement.points, judgement.text) == (3, 4, judgement.result.to_text())


def test_a_warning_costs_nothing_in_an_ordinary_grade_cell():
    assert judge(cell(STDERR, source="assert True")).score == 4
    assert judge(cell(STDERR, value("1.5"), source="1.5")).score == 1.5


def test_the_record_counts_not_the_text():
    assert judge(cell(value("4", score=1))).score == 1


def test_what_needs_a_person_has_no_score_yet():
    judgement = judge(cell(value(score=0, outcome=Outcome.UNGRADED)))
    assert judgement.score is None
    assert "all fine" in judgement.text


@pytest.mark.parametrize(
    "record",
    [
        {"score": 5},
        {"score": -1},
        {"score": float("nan")},
        {"score": "4"},
        {"score": 4, "points": 40},
        {"score": 4, "points": None},
        {"score": 4, "checks": "all of them"},
    ],
    ids=str,
)
def test_a_record_that_does_not_fit_the_cell_goes_to_a_person(record):
    judgement = judge(cell(value(**record)))
    assert judgement.score is None
    assert "person" in judgement.text


def test_a_grade_cell_that_breaks_is_not_the_students_fault():
    judgement = judge(cell(ERROR))
    assert judgement.score is None
    assert "NameError" in judgement.text


def test_a_grade_cell_that_never_ran_earns_nothing_by_itself():
    """nbgrader would give full points to a cell without output."""
    assert judge(cell()).score is None


def test_an_ordinary_grade_cell_that_raises_earns_nothing():
    assert judge(cell(ERROR, source="assert False")).score == 0


def test_an_ordinary_grade_cell_with_a_strange_value_goes_to_a_person():
    assert judge(cell(value("400"), source="400")).score is None


def test_a_task_is_always_for_a_person():
    assert judge(cell(kind="markdown", role={**ROLE, "grade": False, "task": True})).score is None


def test_a_written_answer_that_was_not_touched_earns_nothing():
    from nbgrader.utils import compute_checksum

    answer = cell(kind="markdown", source="YOUR ANSWER HERE", role={**ROLE, "solution": True, "locked": False})
    assert judge(answer).score is None
    answer.metadata.nbgrader["checksum"] = compute_checksum(answer)
    assert judge(answer).score == 0
