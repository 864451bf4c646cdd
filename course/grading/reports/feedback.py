"""A page for each student: what passed, what did not and why. Used by `course feedback`.

It is made from the records of results, never from notebooks, so no hidden test can be in it: a hidden check says its
title and its hint.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path

from course.checks.core.result import CheckRecord, Outcome
from course.grading.pipeline import outcomes
from course.grading.reports import marks
from course.grading.reports.marks import MarksError, Question, Student
from course.grading.reports.pages import page, points

NAME = "feedback.html"


def write(root: Path, lab: str, only: tuple[str, ...] = ()) -> Iterator[tuple[Student, Path]]:
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
            outcomes.write_whole(path, render(lab, student).encode("utf-8", "replace"))
            yield student, path


def render(lab: str, student: Student) -> str:
    """The page of one student."""
    return page(f"{lab}: {student.name}", _body(student))


def _body(student: Student) -> Iterator[str]:
    yield f"<p><strong>{points(student.score, student.points)}</strong>{_aside(student)}</p>"
    if student.waiting:
        many = "question waits" if student.waiting == 1 else "questions wait"
        yield f"<p>{student.waiting} {many} for a person to look at; the points may still change.</p>"
    yield from _notes("", student)
    for notebook, questions in groupby(student.questions, key=lambda question: question.notebook):
        yield f"<h2>{escape(notebook)}</h2>"
        if notebook in student.problems:
            yield f"<p>{escape(student.problems[notebook])}</p>"
        yield from _notes(notebook, student)
        yield from map(_section, questions)


def _aside(student: Student) -> str:
    late = f", {student.penalty:g} taken off for being late" if student.penalty else ""
    when = f", handed in at {escape(student.handed_in)} UTC" if student.handed_in else ""
    return late + when


def _notes(notebook: str, student: Student) -> Iterator[str]:
    if notebook in student.notes:
        yield "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in student.notes[notebook]) + "</ul>"


def _section(question: Question) -> str:
    score = points(question.score, question.points)
    if question.waiting and not question.by_person:
        score = f"{question.points:g} points possible, a person will look"
    elif question.extra:
        score += f", {question.extra:g} of them extra"
    lines = "".join(map(_check, question.checks))
    body = f'<ul class="checks">{lines}</ul>' if lines else ""
    if question.text and not question.waiting and not question.by_person and not body:
        body = f"<p>{escape(question.text)}</p>"
    if question.comment:
        body += f"<p>A person wrote:</p><blockquote>{escape(question.comment)}</blockquote>"
    return f'<section class="question"><h3>{escape(question.title)} · {score}</h3>{body}</section>'


def _check(check: CheckRecord) -> str:
    worth = f" ({check.points:g} / {check.worth:g})" if check.worth else ""
    hidden = " <em>(hidden)</em>" if check.hidden else ""
    shown = replace(check, reason=None, expected=None, actual=None) if _is_secret(check) else check
    more = "".join(f'<div class="more">{escape(detail)}</div>' for detail in shown.details())
    return f"<li><strong>{check.sign} {check.word}</strong>: {escape(check.title)}{hidden}{worth}{more}</li>"


def _is_secret(check: CheckRecord) -> bool:
    """Of a hidden check that failed students see the hint, nothing else."""
    return check.hidden and check.outcome is Outcome.FAIL
