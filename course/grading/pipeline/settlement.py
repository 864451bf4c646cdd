"""Settles what a check could not judge: was it the machine, the check, or what the student shipped?

A check meets an exception that nobody expected, takes too long, or lacks something on this machine. If the same check
passes for the lab's solution, on this machine and in this session, the machine and the check are well: then it is a
failure. Else it is left to a person. The points of the other checks of the question are kept in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import nbformat
from nbformat import NotebookNode

from course.base.result import MIME, CheckRecord, Outcome, Result
from course.checks.core.rendering import Displayed
from course.labs import notebooks

Outcomes = Mapping[str, Mapping[str, Outcome]]  # by grade id and title of the check
WHY = {
    "exception": "the check cannot go on with what was shipped, though it can with the solution",
    "deadline": "the question takes too long with what was shipped, though it does not with the solution",
    "end": "the process that judges the question ended with what was shipped, though it does not with the solution",
    "missing": "the solution can be judged on this machine",
}


def settle(notebook: NotebookNode, solution: Callable[[], Outcomes]) -> list[str]:
    """Settle the results in the graded cells of an executed notebook, in place.

    Args:
        notebook: it comes from `execute`.
        solution: what the checks say of the lab's solution. It is called only where something must be settled.

    Returns:
        For the instructor: which checks were settled, and by what.
    """
    notes = []
    for cell in notebook.cells:
        result = _result(cell)
        if result is None or not any(line.cause in WHY for line in result.checks):
            continue
        grade_id = str(notebooks.grade_id(cell))
        known = solution().get(grade_id, {})
        lines = tuple(settled(line, known.get(line.title)) for line in result.checks)
        if lines == result.checks:
            continue
        data = Displayed(replace(result, checks=lines))._repr_mimebundle_()
        cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
        titles = [line.title for line, before in zip(lines, result.checks, strict=True) if line != before]
        notes.append(f"{grade_id}: failed, because the solution passes here: {'; '.join(titles)}"[:500])
    return notes


def has_late(notebook: NotebookNode) -> bool:
    """Whether a question in an executed notebook was stopped at its deadline."""
    results = filter(None, map(_result, notebook.cells))
    return any(line.cause == "deadline" for result in results for line in result.checks)


def settled(line: CheckRecord, solution: Outcome | None) -> CheckRecord:
    """The line of a check, given what the same check says of the solution."""
    if line.cause not in WHY or solution is not Outcome.PASS:
        return line
    if line.hidden:  # whatever is told must not depend on what a student's code did there
        return replace(line, outcome=Outcome.FAIL, reason=None, expected=None, actual=None, cause=None)
    why = WHY[line.cause]
    if line.cause == "missing":
        why = f"{(line.reason or '').removeprefix('not graded here: ')}; {why}"
    return replace(line, outcome=Outcome.FAIL, reason=why, cause=None)


def outcomes(notebook: NotebookNode) -> dict[str, dict[str, Outcome]]:
    """What the checks in an executed notebook say, by grade id and title."""
    found: dict[str, dict[str, Outcome]] = {}
    for cell in notebook.cells:
        if (result := _result(cell)) is not None:
            found[str(notebooks.grade_id(cell))] = {line.title: line.outcome for line in result.checks}
    return found


def _result(cell: NotebookNode) -> Result | None:
    if not notebooks.is_graded(cell):
        return None
    for output in cell.outputs:
        if (record := output.get("data", {}).get(MIME)) is not None:
            try:
                return Result.from_dict(record)
            except ValueError:
                return None
    return None
