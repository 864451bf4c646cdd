"""What a class did in a lab, for its instructor: one HTML page, CSV, JSON, and files that Canvas and Moodle import."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from course.checks.core.result import Outcome
from course.grading.pipeline import outcomes
from course.grading.progress import duration
from course.grading.reports import marks
from course.grading.reports.marks import Question, Student
from course.grading.reports.pages import page, table

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
        outcomes.write_whole(folder / name, text.encode("utf-8", "replace"))
    return [folder / name for name in texts]


# -- data --------------------------------------------------------------------------------------------------------------


def record(lab: str, students: list[Student]) -> dict[str, Any]:
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
            "questions": [
                {name: value for name, value in vars(question).items() if name not in ("text", "comment")}
                for question in student.questions
            ],
        }
        for student in students
    ]
    return {"version": VERSION, "lab": lab, "students": people}


def grades(students: list[Student]) -> str:
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


def canvas(lab: str, students: list[Student]) -> str:
    """CSV for Canvas: Grades, Import. Students are found by SIS user id and login."""
    worth = max((student.points for student in students), default=0)
    rows = [["    Points Possible", "", "", "", "", _number(worth)]]
    for student in students:
        last, first = student.who.get("last_name", ""), student.who.get("first_name", "")
        name = f"{last}, {first}" if last and first else student.name
        sis = student.who.get("lms_user_id") or student.id
        rows.append([name, "", sis, student.who.get("email") or student.id, "", _number(student.score)])
    return _csv(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab], rows)


def moodle(lab: str, students: list[Student]) -> str:
    """CSV for Moodle: Grades, Import, CSV file. Map by user name, id number or email."""
    rows = []
    for student in students:
        who = student.who
        names = [who.get("first_name", ""), who.get("last_name", ""), who.get("lms_user_id", ""), who.get("email", "")]
        rows.append([student.id, *names, _number(student.score), _remark(student)])
    header = ["Username", "First name", "Surname", "ID number", "Email address", lab, f"{lab} feedback"]
    return _csv(header, rows)


def _remark(student: Student) -> str:
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


def html(lab: str, students: list[Student]) -> str:
    """The report of a class as one page."""
    return page(f"{lab}: the class", _body(students))


def _body(students: list[Student]) -> Iterator[str]:
    shares = [student.score / student.points if student.points else 0.0 for student in students]
    scores = [student.score for student in students]
    waiting = [(student, question) for student in students for question in student.questions if question.waiting]
    yield (
        f"<p>{len(students)} student{'s' * (len(students) != 1)}. Mean {statistics.mean(scores):.1f}, median "
        f"{statistics.median(scores):.1f} of {max(student.points for student in students):g} points. "
        f"{len(waiting)} question{'s' * (len(waiting) != 1)} wait for a person"
        f"{'; scores may still change' if waiting else ''}.</p>"
    )
    yield "<h2>Distribution</h2>"
    yield _histogram(shares)
    yield "<h2>Questions, the hardest first</h2>"
    yield _questions(students)
    yield "<h2>Commonest failures</h2>"
    yield _failures(students)
    yield "<h2>What waits for a person</h2>"
    if waiting:
        rows = [
            (student.name, question.notebook, question.title, _why(student, question)) for student, question in waiting
        ]
        yield table(f"{len(rows)} to be looked at", ("Student", "Notebook", "Question", "Why"), rows)
    else:
        yield "<p>Nothing.</p>"
    yield "<h2>Time that grading took</h2>"
    yield _time(students)
    yield "<h2>Everybody</h2>"
    rows = [
        (s.name, round(s.score, 2), s.points, s.waiting, s.penalty, s.handed_in)
        for s in sorted(students, key=lambda student: student.name.casefold())
    ]
    yield table("Scores", ("Student", "Score", "of", "Waiting", "Late penalty", "Handed in (UTC)"), rows)


def _histogram(shares: list[float]) -> str:
    counts = Counter(min(TENTHS - 1, max(0, int(share * TENTHS + 1e-9))) for share in shares)
    highest = max(counts.values(), default=1)
    bars, words = [], []
    for tenth in range(TENTHS):
        low, high = 100 * tenth // TENTHS, 100 * (tenth + 1) // TENTHS
        height, left = 120 * counts[tenth] / highest, 10 + 48 * tenth
        bars.append(f'<rect x="{left}" y="{140 - height:.1f}" width="40" height="{height:.1f}"/>')
        bars.append(f'<text x="{left + 20}" y="{134 - height:.1f}" text-anchor="middle">{counts[tenth] or ""}</text>')
        bars.append(f'<text x="{left + 20}" y="156" text-anchor="middle">{low}–{high}</text>')
        if counts[tenth]:
            words.append(f"{counts[tenth]} with {low} to {high} %")
    told = "Students by share of the points: " + ", ".join(words) + "."
    picture = f'<svg viewBox="0 0 500 165" role="img" aria-label="{escape(told)}">{"".join(bars)}</svg>'
    return f"<figure>{picture}<figcaption>{escape(told)}</figcaption></figure>"


def _questions(students: list[Student]) -> str:
    found: dict[tuple[str, str], list[Question]] = {}
    for student in students:
        for question in student.questions:
            found.setdefault((question.notebook, question.grade_id), []).append(question)
    rows = []
    for (notebook, _), asked in found.items():
        done = [question for question in asked if not question.waiting]
        share = statistics.mean(q.score / q.points if q.points else 0.0 for q in done) if done else 0.0
        full = sum(q.score >= q.points for q in done)
        title = next((q.title for q in asked if q.checks), asked[0].title)
        mean = f"{100 * share:.0f} %" if done else "waits"
        rows.append((share if done else 2.0, (title, notebook, mean, full, len(done), len(asked) - len(done))))
    headers = ("Question", "Notebook", "Mean share", "Full points", "Graded", "Waiting")
    return table("How the class did in each question", headers, [row for _, row in sorted(rows, key=lambda r: r[0])])


def _failures(students: list[Student]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    messages: dict[tuple[str, str], Counter[str]] = {}
    for student in students:
        for question in student.questions:
            for check in question.checks:
                if check.outcome is Outcome.FAIL:
                    key = (question.title, check.title)
                    counts[key] += 1
                    messages.setdefault(key, Counter())[(check.reason or check.hint or "")[:200]] += 1
    rows = []
    for key, count in counts.most_common(COMMONEST):
        text, times = messages[key].most_common(1)[0]
        rows.append((*key, count, f"{text} ({times}×)" if text else ""))
    if not rows:
        return "<p>No check failed.</p>"
    return table("Checks that failed most often", ("Question", "Check", "Students", "Commonest message"), rows)


def _why(student: Student, question: Question) -> str:
    if student.trouble:
        return student.trouble
    broken = [c for c in question.checks if c.outcome in (Outcome.ERROR, Outcome.UNGRADED)]
    if broken:
        return "; ".join(f"{c.title}: {c.reason or ''} {c.actual or ''}".strip() for c in broken)
    return "what a person judged has changed" if question.by_person else question.text or "to be graded by hand"


def _time(students: list[Student]) -> str:
    seconds = [student.seconds for student in students]
    slow = sorted(students, key=lambda student: -student.seconds)[:5]
    half = statistics.median(seconds)
    told = f"<p>{duration(sum(seconds))} in all, half of the class in less than {half:.1f} s each.</p>"
    return told + table("Who took longest", ("Student", "Seconds"), [(s.name, round(s.seconds, 1)) for s in slow])
