"""A page for each student: what passed, what did not and why. Used by `course feedback`.

It is made from the records of results, never from notebooks, so no hidden test can be in it: a hidden check says its
title and its hint.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from course.base import atomic
from course.base.result import CheckRecord, Outcome
from course.grading.intake import class_lists
from course.grading.intake.platforms import MOODLE
from course.grading.reports import marks, pages, platform_files
from course.grading.reports.marks import MarksError, QuestionMarks, StudentMarks
from course.labs import release

NAME = "feedback.html"


def write(root: Path, lab: str, only: tuple[str, ...] = ()) -> Iterator[tuple[StudentMarks, Path]]:
    """Write classroom/feedback/<student>/<lab>/feedback.html for everybody whose work is graded.

    Args:
        root: the course's folder.
        lab: its name or number.
        only: students; all by default.

    Yields:
        Each student and the page.

    Raises:
        MarksError: nothing is graded yet, or there is no such student.
    """
    lab, students = marks.gather(root, lab)
    known = [student.id for student in students]
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise MarksError(f"nothing of {unknown[0]!r} is graded for {lab}; these are: {', '.join(known)}")
    for student in students:
        if not only or student.id in only:
            path = root / "classroom" / "feedback" / student.id / lab / NAME
            shutil.rmtree(path.parent, ignore_errors=True)  # pages of an earlier version
            atomic.write(path, render(lab, student))
            yield student, path


def for_moodle(root: Path, lab: str) -> Path | None:
    """Write all pages of a lab as the zip that Moodle takes in, where the class's list is Moodle's.

    Returns:
        classroom/reports/<lab>/moodle-feedback.zip; None where the list is none of Moodle's.
    """
    lab = release.choose(root, [lab])[0].name
    found = class_lists.kept(root, lab)
    if found is None or found.platform != MOODLE:
        return None
    pages_there = sorted((root / "classroom" / "feedback").glob(f"[!.]*/{lab}/{NAME}"))
    target = root / "classroom" / "reports" / lab / "moodle-feedback.zip"
    there = [(path.parent.parent.name, path) for path in pages_there]
    atomic.write(target, platform_files.moodle_feedback(there, found))
    return target


def render(lab: str, student: StudentMarks) -> str:
    """The page of one student."""
    notebooks = [
        (notebook, [_question(question) for question in questions])
        for notebook, questions in groupby(student.questions, key=lambda question: question.notebook)
    ]
    return pages.render("feedback.html.j2", f"{lab}: {student.name}", student=student, notebooks=notebooks)


def _question(question: QuestionMarks) -> dict[str, Any]:
    """What a student reads of a question."""
    score = pages.points(question.score, question.points)
    if question.waiting and not question.by_person:
        score = f"{question.points:g} points possible, a person will look"
    elif question.extra:
        score += f", {question.extra:g} of them extra"
    judged = not question.waiting and not question.by_person
    return {
        "title": question.title,
        "score": score,
        "checks": [_shown(check) for check in question.checks],
        "text": question.text if judged else "",
        "comment": question.comment,
    }


def _shown(check: CheckRecord) -> CheckRecord:
    """What a student reads of a check: of a hidden one that failed, nothing but its title and its hint."""
    if check.hidden and check.outcome is Outcome.FAIL:
        return replace(check, reason=None, expected=None, actual=None)
    return check
