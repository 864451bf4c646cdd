"""What the loop needs besides its steps: which labs have work, and grades as CSV. Used by the `course` command."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from course.base import atomic
from course.base.errors import UserError
from course.grading.gradebook.database import Gradebook
from course.grading.reports import csv_files
from course.labs import release

WHO = ("last_name", "first_name", "email", "lms_user_id")


class NothingToDo(UserError):
    """A step cannot begin; the message says what to do first."""


def labs_with_work(root: Path, step: str = "submitted") -> list[str]:
    """The labs for which a step's folder holds something.

    Raises:
        NothingToDo: there is none.
    """
    found = sorted({path.name for path in (root / "classroom" / step).glob("[!.]*/[!.]*") if path.is_dir()})
    if not found:
        before = {"submitted": "course collect LAB FOLDER_OR_ZIP", "autograded": "course grade"}
        raise NothingToDo(f"there is nothing in classroom/{step} yet; first: {before.get(step, step)}")
    return found


def waiting(root: Path, lab: str) -> dict[str, int]:
    """How many questions of a lab wait for a person, by student, for those who are graded.

    Raises:
        GradebookError: the gradebook cannot be read.
    """
    config = release.configuration(root)
    if not _is_there(root, config):
        return {}
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as book:
        return {student: found["waiting"] for student, found in _totals(book, lab).items()}


def export(
    root: Path, target: Path, *, labs: Collection[str] = (), students: Collection[str] = ()
) -> tuple[int, list[str]]:
    """Write grades as CSV, one line per student and lab, in order. What is not final is blank.

    Args:
        root: the course's folder.
        target: the file.
        labs, students: only these; all by default.

    Returns:
        The number of lines, and what somebody should know who uses them, each as a sentence.

    Raises:
        NothingToDo: there is no gradebook yet.
        GradebookError: the gradebook is locked for long, damaged or out of reach, or a plugin cannot be used.
    """
    config = release.configuration(root)
    if not _is_there(root, config):
        raise NothingToDo("there is no gradebook yet; first: course grade LAB")
    rows, warned = [], []
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as book:
        book.take_off(config)
        people = {student: who for student, who in book.students().items() if not students or student in students}
        for lab, due in book.labs():
            if labs and lab not in labs:
                continue
            totals = {student: found for student, found in _totals(book, lab).items() if student in people}
            for student, who in sorted(people.items()):
                rows.append([lab, _time(due), student, *(who[name] for name in WHO), *_line(totals.get(student))])
            unfinished = sum(bool(found["waiting"]) for found in totals.values())
            if unfinished:
                warned.append(f"{lab}: the work of {unfinished} waits for a person, and their score is blank")
            if missing := [student for student in people if student not in totals]:
                warned.append(f"{lab}: {len(missing)} handed in nothing, and their score is blank, not 0")
    header = ["assignment", "duedate", "student_id", *WHO, "timestamp", "raw_score", "late_submission_penalty", "score"]
    atomic.write(target, csv_files.text([*header, "max_score", "waiting", "remark"], rows))
    return len(rows), warned


def _is_there(root: Path, config: Any) -> bool:
    own = root / "classroom" / "gradebook.db"
    return own.is_file() or config.CourseDirectory.db_url != f"sqlite:///{own}"


def _totals(book: Gradebook, lab: str) -> dict[str, dict[str, Any]]:
    """What each student has in a lab: score, points, waiting, penalty, handed_in."""
    found: dict[str, dict[str, Any]] = {}
    penalties: dict[tuple[str, str], float] = {}
    for row in book.scores(lab):
        line = found.setdefault(
            row["student"], {"score": 0.0, "points": 0.0, "waiting": 0, "handed_in": row["handed_in"]}
        )
        line["score"] += row["score"]
        line["points"] += row["points"] or 0.0
        line["waiting"] += bool(row["waiting"])
        penalties[row["student"], row["notebook"]] = row["penalty"] or 0.0
    for student, line in found.items():
        line["penalty"] = sum(penalty for (whose, _), penalty in penalties.items() if whose == student)
    return found


def _line(found: dict[str, Any] | None) -> list[Any]:
    if found is None:
        return ["", "", "", "", "", "", "handed in nothing"]
    number = csv_files.number
    final = "" if found["waiting"] else number(found["score"] - found["penalty"])
    raw = "" if found["waiting"] else number(found["score"])
    remark = f"{found['waiting']} to be looked at by a person" if found["waiting"] else ""
    late = number(found["penalty"])
    return [_time(found["handed_in"]), raw, late, final, number(found["points"]), found["waiting"], remark]


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
