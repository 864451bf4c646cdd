"""What a class did in a lab, for its instructor: one HTML page, CSV, JSON, and files that Canvas and Moodle import."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course.base import atomic
from course.checks.core.result import Outcome
from course.grading.progress import duration
from course.grading.reports import marks, pages
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
    lab, students = marks.gather(root, lab)
    folder = root / "classroom" / "reports" / lab
    texts = {
        "report.html": html(lab, students),
        "grades.csv": grades(students),
        "grades.json": json.dumps(record(lab, students), indent=1, ensure_ascii=False) + "\n",
        "canvas.csv": canvas(lab, students),
        "moodle.csv": moodle(lab, students),
    }
    for name, text in texts.items():
        atomic.write(folder / name, text)
    return [folder / name for name in texts]


# -- data --------------------------------------------------------------------------------------------------------------


def record(lab: str, students: list[StudentMarks]) -> dict[str, Any]:
    """Everything about everybody as plain data."""
    people = [
        {
            "student": student.id,
            "name": student.name,
            "score": round(student.score, 6),
            "points": student.points,
            "penalty": student.penalty,
            "waiting": student.waiting,
            "handed_in": student.handed_in,
            "seconds": round(student.seconds, 3),
            "trouble": student.trouble,
            "questions": [_question_record(question) for question in student.questions],
        }
        for student in students
    ]
    return {"version": VERSION, "lab": lab, "students": people}


def _question_record(question: QuestionMarks) -> dict[str, Any]:
    plain = {name: value for name, value in vars(question).items() if name not in ("text", "comment")}
    return {**plain, "checks": [check.to_dict() for check in question.checks]}


def grades(students: list[StudentMarks]) -> str:
    """CSV: one line a student, one column a question."""
    names = list(dict.fromkeys(question.grade_id for student in students for question in student.questions))
    header = ["student", "first_name", "last_name", "email", "score", "points", "penalty", "waiting", "handed_in"]
    rows = []
    for student in students:
        scores = {question.grade_id: question.score for question in student.questions}
        who = [student.id, *(student.who.get(name, "") for name in header[1:4])]
        numbers = [_number(student.score), _number(student.points), _number(student.penalty), student.waiting]
        rows.append([*who, *numbers, student.handed_in, *(_number(scores[n]) if n in scores else "" for n in names)])
    return _csv([*header, *names], rows)


def canvas(lab: str, students: list[StudentMarks]) -> str:
    """CSV for Canvas: Grades, Import. Students are found by SIS user id and login."""
    worth = max((student.points for student in students), default=0)
    rows = [["    Points Possible", "", "", "", "", _number(worth)]]
    for student in students:
        last, first = student.who.get("last_name", ""), student.who.get("first_name", "")
        name = f"{last}, {first}" if last and first else student.name
        sis = student.who.get("lms_user_id") or student.id
        rows.append([name, "", sis, student.who.get("email") or student.id, "", _number(student.score)])
    return _csv(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab], rows)


def moodle(lab: str, students: list[StudentMarks]) -> str:
    """CSV for Moodle: Grades, Import, CSV file. Map by user name, id number or email."""
    rows = []
    for student in students:
        who = student.who
        names = [who.get("first_name", ""), who.get("last_name", ""), who.get("lms_user_id", ""), who.get("email", "")]
        rows.append([student.id, *names, _number(student.score), _remark(student)])
    header = ["Username", "First name", "Surname", "ID number", "Email address", lab, f"{lab} feedback"]
    return _csv(header, rows)


def _remark(student: StudentMarks) -> str:
    parts = [f"{student.penalty:g} points taken off for being late"] if student.penalty else []
    parts += [f"{student.waiting} to be looked at by a person"] if student.waiting else []
    return "; ".join(parts)


def _number(value: float) -> str:
    return f"{round(value, 4):g}"


def _csv(header: list[str], rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_plain(value) for value in row] for row in rows])
    return text.getvalue()


def _plain(value: Any) -> Any:
    """What a spreadsheet would take for a formula becomes text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and not _is_number(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value == ""
    return True


# -- the page ----------------------------------------------------------------------------------------------------------


def html(lab: str, students: list[StudentMarks]) -> str:
    """The report of a class as one page."""
    shares = [student.score / student.points if student.points else 0.0 for student in students]
    scores = [student.score for student in students]
    seconds = [student.seconds for student in students]
    bars = _bars(shares)
    said = ", ".join(f"{bar['count']} with {bar['low']} to {bar['high']} %" for bar in bars if bar["count"])
    return pages.render(
        "class_report.html.j2",
        f"{lab}: the class",
        count=len(students),
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
        (s.name, round(s.score, 2), s.points, s.waiting, s.penalty, s.handed_in)
        for s in sorted(students, key=lambda student: student.name.casefold())
    ]
    return Table("Scores", ("Student", "Score", "of", "Waiting", "Late penalty", "Handed in (UTC)"), rows)
