"""What a class has for a lab: the outcomes on disk and what the gradebook says now. Used by feedback and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.base.errors import UserError
from course.base.result import CheckRecord, Result
from course.grading.gradebook.database import Gradebook
from course.grading.pipeline import assignment, outcomes
from course.grading.pipeline.submission import Cell, SubmissionOutcome
from course.labs import notebooks, release, source


class MarksError(UserError):
    """There is nothing to tell yet; the message says what to do first."""


@dataclass
class QuestionMarks:
    """One graded cell of one student.

    Attributes:
        notebook, grade_id: where it stands.
        title: what the student reads; the heading, or the grade id, where a result gives none.
        points: what it is worth; score: what it has now, a person's score and extra credit included.
        extra: extra credit in it.
        waiting: a person must look; by_person: a person gave the score.
        checks: the lines of its record; see docs/results.md.
        text: what there is to say when it has no checks.
        comment: what a person wrote about the answer.
    """

    notebook: str
    grade_id: str
    title: str
    points: float
    score: float
    extra: float = 0.0
    waiting: bool = False
    by_person: bool = False
    checks: list[CheckRecord] = field(default_factory=list)
    text: str = ""
    comment: str = ""


@dataclass
class StudentMarks:
    """One student's lab.

    Attributes:
        id: the student's id; name: the full name, or the id where the gradebook knows none.
        who: first_name, last_name, email and lms_user_id from the gradebook.
        questions: in the order of the lab.
        notes: what was mended or noticed, by notebook ("" for the submission as a whole).
        problems: notebooks that could not be run, and why.
        penalty: points taken off for being late.
        handed_in: when, in UTC; "" when that is not known.
        seconds: how long grading took.
        trouble: why it could not be graded.
        outdated: it was graded by other tests than those of today.
    """

    id: str
    name: str
    who: dict[str, str]
    questions: list[QuestionMarks] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    penalty: float = 0.0
    handed_in: str = ""
    seconds: float = 0.0
    trouble: str = ""
    outdated: bool = False

    @property
    def points(self) -> float:
        """What the lab is worth."""
        return sum(question.points for question in self.questions)

    @property
    def score(self) -> float:
        """What the student has, penalties taken off."""
        return sum(question.score for question in self.questions) - self.penalty

    @property
    def waiting(self) -> int:
        """How many questions wait for a person."""
        return sum(question.waiting for question in self.questions)


def gather(root: Path, lab: str) -> tuple[str, list[StudentMarks]]:
    """The lab's full name, and all whose work is graded, by id.

    Raises:
        MarksError: nobody's work is graded yet.
        ReleaseError: there is no such lab.
        GradebookError: the gradebook cannot be read.
    """
    folder = release.choose(root, [lab])[0]
    lab = folder.name
    found = outcomes.Store(root, lab).all()
    if not found:
        raise MarksError(f"nothing of {lab} is graded yet; first: course grade {lab}")
    config = release.configuration(root)
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as book:
        book.take_off(config)
        with book.transaction() as connection:
            tests = assignment.load(connection, folder).fingerprint
        people, comments, rows = book.students(), book.comments(lab), book.scores(lab)
    now = {(row["student"], row["notebook"], row["cell"]): row for row in rows}
    titles = headings(folder)
    students = [_student(outcome, people.get(outcome.student, {}), comments, now, titles) for outcome in found]
    for student, outcome in zip(students, found, strict=True):
        student.outdated = outcome.tests != tests
    return lab, students


def headings(folder: Path) -> dict[tuple[str, str], str]:
    """The heading of each graded cell of a lab, its own or the last one above it, by notebook and grade id."""
    found = {}
    for path in source.sources(folder):
        last = ""
        for cell in notebooks.read(path).cells:
            text = cell.source.partition(source.MARK_SCHEME[0])[0]
            own = [title for _, title in notebooks.headings(text)] if cell.cell_type == "markdown" else []
            graded = notebooks.is_a(cell, "grade") or notebooks.is_a(cell, "task")
            if graded and (title := (own or [last])[0]):
                found[path.stem, str(notebooks.grade_id(cell))] = title
            last = own[-1] if own else last
    return found


def _student(outcome: SubmissionOutcome, who: dict[str, str], comments: dict, now: dict, titles: dict) -> StudentMarks:
    name = " ".join(part for part in (who.get("first_name"), who.get("last_name")) if part)
    student = StudentMarks(
        outcome.student, name or outcome.student, who, seconds=outcome.seconds, trouble=outcome.trouble
    )
    student.notes = {"": outcome.notes} if outcome.notes else {}
    for book in outcome.notebooks:
        if book.problem:
            student.problems[book.name] = book.problem
        if book.notes:
            student.notes[book.name] = book.notes
        said = {
            answer.graded_by or answer.grade_id: comments.get((outcome.student, book.name, answer.grade_id), "")
            for answer in book.answers
        }
        penalty = 0.0
        for cell in book.cells:
            row = now.get((outcome.student, book.name, cell.grade_id), {})
            own = comments.get((outcome.student, book.name, cell.grade_id), "")
            student.questions.append(_question(book.name, cell, row, own or said.get(cell.grade_id, ""), titles))
            penalty = row.get("penalty") or 0.0
            student.handed_in = str(row.get("handed_in") or "")[:16]
        student.penalty += penalty
    return student


def _question(notebook: str, cell: Cell, row: dict[str, Any], comment: str, titles: dict) -> QuestionMarks:
    result = _result(cell)
    return QuestionMarks(
        notebook,
        cell.grade_id,
        (result.title if result else "") or titles.get((notebook, cell.grade_id)) or cell.grade_id,
        cell.points,
        row.get("score", cell.score or 0.0),
        row.get("extra") or 0.0,
        bool(row.get("waiting", cell.score is None)),
        row.get("manual") is not None,
        list(result.checks) if result else [],
        "" if result else cell.text,
        comment or "",
    )


def _result(cell: Cell) -> Result | None:
    """What was found there; None where no question was asked, or an older version kept something else."""
    try:
        return Result.from_dict(cell.result) if cell.result else None
    except ValueError:
        return None
