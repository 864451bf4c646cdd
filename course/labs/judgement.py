"""What an executed grade cell earned: reads the result that it holds. Used by grading, Validate and the tests.

nbgrader gives 0 points when a cell writes to stderr, all points when it has no value, and cannot say that a person must
look. Grade cells of this course emit a machine-readable result; what it says counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils

MIME = "application/vnd.course.result+json"


@dataclass(frozen=True)
class Judgement:
    """What a graded cell earned.

    Attributes:
        score: the points; None when a person must look.
        points: what the cell is worth.
        text: the result as a terminal shows it, or why there is none.
        result: the machine-readable record, if the cell emitted one.
    """

    score: float | None
    points: float
    text: str = ""
    result: dict[str, Any] | None = None


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
    if "Question(" in cell.source:
        # checks catch what students do; what escapes them, or a result that never came, is not the student's fault
        why = f"{errors[-1].ename}: {errors[-1].evalue}" if errors else "the cell gave no result"
        return Judgement(None, points, f"the grade cell itself broke ({why}); a person must look")
    return _as_nbgrader(cell, points)


def _record(cell: NotebookNode) -> dict[str, Any] | None:
    results = [output for output in cell.outputs if output.output_type == "execute_result" and MIME in output.data]
    record = results[-1].data[MIME] if results else None
    return dict(record) if isinstance(record, dict) else None


def _from_record(record: dict[str, Any], points: float) -> Judgement:
    text = str(record.get("text", ""))
    score, worth = record.get("score"), record.get("points")
    sound = all(isinstance(number, int | float) and math.isfinite(number) for number in (score, worth))
    if not sound or not 0 <= score <= points or worth != points:
        why = f"the result says {score!r} of {worth!r} points, the cell is worth {points:g}; a person must look"
        return Judgement(None, points, f"{text}\n{why}".strip(), record)
    return Judgement(None if record.get("needs_person") else float(score), points, text, record)


def _as_nbgrader(cell: NotebookNode, points: float) -> Judgement:
    """nbgrader's own rule, except that what is printed to stderr costs nothing."""
    quiet = NotebookNode(cell)
    quiet.outputs = [output for output in cell.outputs if output.output_type != "stream"]
    try:
        return Judgement(utils.determine_grade(quiet)[0], points)
    except (KeyError, ValueError) as error:
        return Judgement(None, points, f"the cell's value is no score ({error}); a person must look")
