"""What an executed grade cell earned: reads the result that it holds. Used by grading, Validate and the tests.

nbgrader gives 0 points when a cell writes to stderr, all points when it has no value, and cannot say that a person must
look. Grade cells of this course emit a machine-readable result; what it says counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils

from course.base.result import MIME, Result


@dataclass(frozen=True)
class Judgement:
    """What a graded cell earned.

    Attributes:
        score: the points; None when a person must look.
        points: what the cell is worth.
        text: the result as a terminal shows it, or why there is none.
        result: what the question found, if the cell holds a result.
        kept: the points of the checks that could be judged, where a person must look at the others.
    """

    score: float | None
    points: float
    text: str = ""
    result: Result | None = None
    kept: float | None = None


def judge(cell: NotebookNode) -> Judgement:
    """Read the outcome of an executed grade cell.

    Args:
        cell: a cell that nbgrader's metadata call a grade or a task cell.
    """
    points = float(cell.metadata["nbgrader"]["points"])
    if utils.is_task(cell) or utils.is_solution(cell) or cell.cell_type != "code":
        score = None if utils.is_task(cell) else utils.determine_grade(cell)[0]
        return Judgement(score, points, "to be graded by hand" if score is None else "no answer")
    record = _record(cell)
    if record is not None:
        return _from_record(record, points)
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if "grade(" in cell.source:
        # checks catch what students do; what escapes them, or a result that never came, is not the student's fault
        why = f"{errors[-1].ename}: {errors[-1].evalue}" if errors else "the cell gave no result"
        return Judgement(None, points, f"the question itself broke ({why}); a person must look")
    return _as_nbgrader(cell, points)


def _record(cell: NotebookNode) -> Mapping[str, Any] | None:
    results = [output for output in cell.outputs if output.output_type == "execute_result" and MIME in output.data]
    record = results[-1].data[MIME] if results else None
    return record if isinstance(record, Mapping) else None


def _from_record(record: Mapping[str, Any], points: float) -> Judgement:
    try:
        result = Result.from_dict(record)
    except ValueError as error:
        return Judgement(None, points, f"the result cannot be read ({error}); a person must look")
    text = result.to_text()
    if not 0 <= result.score <= points or result.points != points:
        why = f"the result says {result.score:g} of {result.points:g} points, the cell is worth {points:g}"
        return Judgement(None, points, f"{text}\n{why}; a person must look", result)
    if result.needs_person:
        return Judgement(None, points, text, result, float(result.score) or None)
    return Judgement(float(result.score), points, text, result)


def _as_nbgrader(cell: NotebookNode, points: float) -> Judgement:
    """nbgrader's own rule, except that what is printed to stderr costs nothing."""
    quiet = NotebookNode(cell)
    quiet.outputs = [output for output in cell.outputs if output.output_type != "stream"]
    try:
        return Judgement(utils.determine_grade(quiet)[0], points)
    except (KeyError, ValueError) as error:
        return Judgement(None, points, f"the cell's value is no score ({error}); a person must look")
