"""Where a student stands: points by the visible checks, as the saved notebooks show them. Used by `course status`.

Nothing is run: each question's result stands in the output of its grade cell. Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.base.blanks import NO_ANSWER
from course.base.result import MIME, Result
from course.student import handing_in, receipts, saved_notebooks

WORTH = re.compile(r"\.check\(\s*(?:points\s*=\s*)?(\d+(?:\.\d+)?)")  # of the checks of a question


@dataclass(frozen=True)
class QuestionStatus:
    """A question and what its cell last said.

    Attributes:
        grade_id: its stable name.
        title: what it is called.
        worth: its points by checks that are here; all its points where a person gives them.
        score: the points so far; None where checks have not run, or a person gives them.
        hidden: its points by checks that are not here.
        person: whether a person gives the points.
        missing: what is left to do, as half a sentence; empty when nothing is.
    """

    grade_id: str
    title: str
    worth: float
    score: float | None = None
    hidden: float = 0.0
    person: bool = False
    missing: str = ""


@dataclass(frozen=True)
class LabStatus:
    """How far a lab is.

    Attributes:
        name: such as 01_python_model.
        notebooks: the questions by notebook.
        titles: what each notebook is called.
        receipt: of the last hand-in on this machine, if there was one.
        changed: files that have changed since.
        remarks: notebooks and shipped files that do not agree.
    """

    name: str
    notebooks: dict[str, list[QuestionStatus]]
    titles: dict[str, str]
    receipt: receipts.Receipt | None = None
    changed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def questions(self) -> list[QuestionStatus]:
        """All questions, in order."""
        return [question for questions in self.notebooks.values() for question in questions]

    @property
    def started(self) -> bool:
        """Whether anything was checked or handed in."""
        return self.receipt is not None or any(question.score is not None for question in self.questions)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for scripts."""
        handed_in = None
        if self.receipt is not None:
            time = self.receipt.time.strftime(receipts.TIME)
            handed_in = {"time": time, "code": self.receipt.code, "changed_since": self.changed}
        rows = [
            {"notebook": notebook, **{name: getattr(question, name) for name in QuestionStatus.__dataclass_fields__}}
            for notebook, questions in self.notebooks.items()
            for question in questions
        ]
        return {
            "lab": self.name,
            **_sums(self.questions),
            "questions": rows,
            "remarks": self.remarks,
            "handed_in": handed_in,
        }


def of(lab: Path) -> LabStatus:
    """Where the student stands in a lab.

    Args:
        lab: the lab's folder.

    Raises:
        UnreadableNotebook: a notebook cannot be read.
    """
    cells = {path.stem: saved_notebooks.cells(path) for path in sorted(lab.glob("*.ipynb"))}
    notebooks = {name: _questions(found, lab / "checks") for name, found in cells.items()}
    titles = {name: next(saved_notebooks.headings(found), name) for name, found in cells.items()}
    receipt = handing_in.latest(lab)
    changed = handing_in.changed_since(lab, receipt) if receipt else []
    return LabStatus(lab.name, notebooks, titles, receipt, changed, saved_notebooks.unsaved(lab))


def text(lab: LabStatus, *, details: bool) -> str:
    """A lab's status as lines for a terminal.

    Args:
        lab: its status.
        details: each question that is not done, too.
    """
    lines = [f"{lab.name}: {points(lab)}"]
    for notebook, questions in lab.notebooks.items():
        lines.append(f"  {notebook:<38} {short(questions)}")
        if details:
            lines += [f"    {question.title}: {question.missing}" for question in questions if question.missing]
    lines += [f"  look at this: {remark}" for remark in lab.remarks]
    lines += [f"  {line}" for line in handed_in(lab)]
    return "\n".join(lines)


def points(lab: LabStatus) -> str:
    """A lab's points in words."""
    sums = _sums(lab.questions)
    return f"{sums['score']:g} of {sums['worth']:g} points by visible checks{_others(sums)}"


def short(questions: list[QuestionStatus]) -> str:
    """A notebook's points in short."""
    sums = _sums(questions)
    return f"{sums['score']:>3g} of {sums['worth']:g}"


def handed_in(lab: LabStatus) -> list[str]:
    """When the lab was handed in, and what has changed since, as lines."""
    if lab.receipt is None:
        return ["not handed in yet"]
    lines = [f"handed in {lab.receipt.time:%Y-%m-%d %H:%M} UTC, receipt {lab.receipt.code}"]
    if lab.changed:
        shown = ", ".join(lab.changed[:4]) + (f" and {len(lab.changed) - 4} more" if len(lab.changed) > 4 else "")
        lines.append(f"changed since: {shown}")
    return lines


def _sums(questions: list[QuestionStatus]) -> dict[str, float]:
    checked = [question for question in questions if not question.person]
    return {
        "score": sum(question.score or 0 for question in checked),
        "worth": sum(question.worth for question in checked),
        "hidden": sum(question.hidden for question in checked),
        "by_person": sum(question.worth for question in questions if question.person),
    }


def _others(sums: dict[str, float]) -> str:
    parts = [
        *([f"{sums['hidden']:g} by hidden ones"] if sums["hidden"] else []),
        *([f"{sums['by_person']:g} by a person"] if sums["by_person"] else []),
    ]
    return f" (and {', '.join(parts)})" if parts else ""


def _questions(cells: list[dict[str, Any]], checks: Path) -> list[QuestionStatus]:
    found, heading = [], ""
    for cell in cells:
        source = saved_notebooks.source(cell)
        *_, heading = heading, *saved_notebooks.headings([cell])
        marks = (cell.get("metadata") or {}).get("nbgrader") or {}
        if marks.get("grade") or marks.get("task"):
            if cell.get("cell_type") == "code":
                with contextlib.suppress(OSError):  # what the question is called, and worth, before it was run
                    source = (checks / f"{marks.get('grade_id')}.py").read_text(encoding="utf-8", errors="replace")
            found.append(_question(cell, marks, source, heading))
    return found


def _question(cell: dict[str, Any], marks: dict[str, Any], source: str, heading: str) -> QuestionStatus:
    name, points = str(marks.get("grade_id")), float(marks.get("points") or 0)
    title = heading.partition(": ")[2] or heading or name
    if cell.get("cell_type") == "markdown":
        written = bool(marks.get("task")) or (source.strip() and NO_ANSWER not in source)
        return QuestionStatus(name, title, points, person=True, missing="" if written else "not written yet")
    result = next((found for output in cell.get("outputs") or [] if (found := _result(output))), None)
    if result is None:
        called = re.search(r"Question\(\s*[\"'](.+?)[\"']", source)
        here = sum(map(float, WORTH.findall(source))) or points  # some questions make their checks themselves
        missing = "not checked yet; run its check"
        return QuestionStatus(name, called[1] if called else title, here, hidden=points - here, missing=missing)
    worth = points - result.hidden_points
    missing = "" if result.score >= worth else f"{result.score:g} of {worth:g} points"
    return QuestionStatus(name, result.title, worth, result.score, result.hidden_points, missing=missing)


def _result(output: Any) -> Result | None:
    """The result that an output of a cell holds; None where it holds none that can be read."""
    data = output.get("data") if isinstance(output, dict) else None
    record = data.get(MIME) if isinstance(data, dict) else None
    with contextlib.suppress(ValueError):
        return Result.from_dict(record) if isinstance(record, dict) else None
    return None
