"""What a class did in a lab, for its instructor: one HTML page, CSV, JSON, and files that Canvas and Moodle import."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course.base import atomic
from course.base.result import Outcome
from course.grading.intake import class_lists, collecting, people
from course.grading.progress import duration
from course.grading.reports import csv_files, marks, pages, platform_files
from course.grading.reports.marks import QuestionMarks, StudentMarks
from course.grading.reports.pages import Table

VERSION = 1
TENTHS = 10
COMMONEST = 15


def write(root: Path, lab: str) -> list[Path]:
    """Write the reports of a lab to classroom/reports/<lab>/.

    Returns:
        report.html, grades.csv, grades.json, canvas.csv and moodle.csv.

    Raises:
        MarksError: nothing is graded yet.
    """
    return write_and_warn(root, lab)[0]


def write_and_warn(root: Path, lab: str) -> tuple[list[Path], list[str]]:
    """Write the reports of a lab, and say what somebody should know who uploads them; see :func:`write`."""
    lab, students = marks.gather(root, lab)
    found = class_lists.kept(root, lab)
    missing = [who for who in collecting.missing(root, lab) if who.listed]
    warned = platform_files.warnings(lab, students, [who.student for who in missing], found)
    folder = root / "classroom" / "reports" / lab
    texts = {
        "report.html": html(lab, students, warned),
        "grades.csv": grades(students, missing),
        "grades.json": json.dumps(record(lab, students), indent=1, ensure_ascii=False) + "\n",
        "canvas.csv": platform_files.canvas(lab, students, found),
        "moodle.csv": platform_files.moodle(lab, students, found),
    }
    for name, text in texts.items():
        atomic.write(folder / name, text)
    return [folder / name for name in texts], warned


# -- data --------------------------------------------------------------------------------------------------------------


def record(lab: str, students: list[StudentMarks]) -> dict[str, Any]:
    """Everything about everybody as plain data."""
    everybody = [
        {
            "student": student.id,
            "name": student.name,
            "score": round(student.score, 6),
            "points": student.points,
            "penalty": student.penalty,
            "waiting": student.waiting,
            "outdated": student.outdated,
            "handed_in": student.handed_in,
            "seconds": round(student.seconds, 3),
            "trouble": student.trouble,
            "questions": [_question_record(question) for question in student.questions],
        }
        for student in students
    ]
    return {"version": VERSION, "lab": lab, "students": everybody}


def _question_record(question: QuestionMarks) -> dict[str, Any]:
    plain = {name: value for name, value in vars(question).items() if name not in ("text", "comment")}
    return {**plain, "checks": [check.to_dict() for check in question.checks]}


def grades(students: list[StudentMarks], missing: Sequence[people.Described] = ()) -> str:
    """CSV: one line a student, one column a question. What waits is blank, and so is a score with something waiting."""
    names = list(dict.fromkeys(question.grade_id for student in students for question in student.questions))
    header = [
        "student",
        "first_name",
        "last_name",
        "email",
        "number",
        "score",
        "so_far",
        "points",
        "penalty",
        "waiting",
    ]
    rows = []
    number = csv_files.number
    for student in students:
        scores = {q.grade_id: "" if q.waiting else number(q.score) for q in student.questions}
        who = [student.id, *(student.who.get(name, "") for name in ("first_name", "last_name", "email", "lms_user_id"))]
        final = "" if student.waiting else number(student.score)
        numbers = [final, number(student.score), number(student.points), number(student.penalty), student.waiting]
        remark = platform_files.remark(student)
        rows.append([*who, *numbers, student.handed_in, remark, *(scores.get(name, "") for name in names)])
    for one in missing:
        rows.append(
            [one.student, one.name, "", one.email, one.number, *[""] * 6, "handed in nothing", *[""] * len(names)]
        )
    return csv_files.text([*header, "handed_in", "remark", *names], rows)


# -- the page ----------------------------------------------------------------------------------------------------------


def html(lab: str, students: list[StudentMarks], warned: Sequence[str] = ()) -> str:
    """The report of a class as one page, with what to know before the grades are uploaded."""
    shares = [student.score / student.points if student.points else 0.0 for student in students]
    scores = [student.score for student in students]
    seconds = [student.seconds for student in students]
    bars = _bars(shares)
    said = ", ".join(f"{bar['count']} with {bar['low']} to {bar['high']} %" for bar in bars if bar["count"])
    return pages.render(
        "class_report.html.j2",
        f"{lab}: the class",
        count=len(students),
        warned=warned,
        mean=statistics.mean(scores),
        median=statistics.median(scores),
        worth=max(student.points for student in students),
        bars=bars,
        distribution=f"Students by share of the points: {said}.",
        questions=_questions(students),
        failures=_failures(students),
        waiting=_waiting(students),
        total_time=duration(sum(seconds)),
        half_time=statistics.median(seconds),
        slowest=_slowest(students),
        scores=_scores(students),
    )


def _bars(shares: list[float]) -> list[dict[str, float]]:
    """How many students earned each tenth of the points, with the place of its bar in the picture."""
    counts = Counter(min(TENTHS - 1, max(0, int(share * TENTHS + 1e-9))) for share in shares)
    highest = max(counts.values(), default=1)
    return [
        {
            "low": 100 * tenth // TENTHS,
            "high": 100 * (tenth + 1) // TENTHS,
            "count": counts[tenth],
            "height": 120 * counts[tenth] / highest,
            "left": 10 + 48 * tenth,
        }
        for tenth in range(TENTHS)
    ]


def _questions(students: list[StudentMarks]) -> Table:
    by_question: dict[tuple[str, str], list[QuestionMarks]] = {}
    for student in students:
        for question in student.questions:
            by_question.setdefault((question.notebook, question.grade_id), []).append(question)
    rows = []
    for (notebook, _), asked in by_question.items():
        done = [question for question in asked if not question.waiting]
        share = statistics.mean(q.score / q.points if q.points else 0.0 for q in done) if done else 0.0
        full = sum(q.score >= q.points for q in done)
        title = next((q.title for q in asked if q.checks), asked[0].title)
        mean = f"{100 * share:.0f} %" if done else "waits"
        rows.append((share if done else 2.0, (title, notebook, mean, full, len(done), len(asked) - len(done))))
    headers = ("Question", "Notebook", "Mean share", "Full points", "Graded", "Waiting")
    rows.sort(key=lambda row: row[0])
    return Table("How the class did in each question", headers, [row for _, row in rows])


def _failures(students: list[StudentMarks]) -> Table:
    counts: Counter[tuple[str, str]] = Counter()
    messages: dict[tuple[str, str], Counter[str]] = {}
    for student in students:
        for question in student.questions:
            for check in question.checks:
                if check.outcome is Outcome.FAIL:
                    name = (question.title, check.title)
                    counts[name] += 1
                    messages.setdefault(name, Counter())[(check.reason or check.hint or "")[:200]] += 1
    rows = []
    for name, count in counts.most_common(COMMONEST):
        text, times = messages[name].most_common(1)[0]
        rows.append((*name, count, f"{text} ({times}×)" if text else ""))
    return Table("Checks that failed most often", ("Question", "Check", "Students", "Commonest message"), rows)


def _waiting(students: list[StudentMarks]) -> Table:
    rows = [
        (student.name, question.notebook, question.title, _why(student, question))
        for student in students
        for question in student.questions
        if question.waiting
    ]
    return Table(f"{len(rows)} to be looked at", ("Student", "Notebook", "Question", "Why"), rows)


def _why(student: StudentMarks, question: QuestionMarks) -> str:
    if student.trouble:
        return student.trouble
    broken = [c for c in question.checks if c.outcome in (Outcome.ERROR, Outcome.UNGRADED)]
    if broken:
        return "; ".join(f"{c.title}: {c.reason or ''} {c.actual or ''}".strip() for c in broken)
    return "what a person judged has changed" if question.by_person else question.text or "to be graded by hand"


def _slowest(students: list[StudentMarks]) -> Table:
    slow = sorted(students, key=lambda student: -student.seconds)[:5]
    return Table("Who took longest", ("Student", "Seconds"), [(s.name, round(s.seconds, 1)) for s in slow])


def _scores(students: list[StudentMarks]) -> Table:
    rows = [
        (
            s.id,
            s.name,
            round(s.score, 2),
            s.points,
            s.waiting,
            round(s.penalty, 2),
            s.handed_in,
            platform_files.remark(s),
        )
        for s in sorted(students, key=lambda student: student.name.casefold())
    ]
    headers = ("Student", "Name", "Score", "of", "Waiting", "Late penalty", "Handed in (UTC)", "Remark")
    return Table("Scores", headers, rows)
