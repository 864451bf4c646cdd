"""The files that a platform takes back: its own list with the grades filled in, and feedback as Moodle wants it.

A grade stands there only when it is final: blank is what waits for a person, and what nobody handed in.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path

from course.grading.intake.class_lists import ClassList, Person
from course.grading.intake.platforms import CANVAS, MOODLE
from course.grading.reports import csv_files
from course.grading.reports.marks import StudentMarks

_CANVAS_PERSON = (
    *("Student", "LastName", "FirstName", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Root Account"),
    "Section",
)


def canvas(lab: str, students: list[StudentMarks], found: ClassList | None = None) -> str:
    """CSV for Canvas (Grades, Import): the gradebook's own lines and the lab's column, and no other column.

    Without a list, everybody whose number in Canvas (`lms_user_id`) the gradebook knows. Others are left out, for
    Canvas would look for them by name.
    """
    worth = csv_files.number(max((student.points for student in students), default=0))
    if found is None or found.platform != CANVAS:
        rows = [["    Points Possible", "", "", "", "", worth]]
        for student in students:
            last, first = student.who.get("last_name", ""), student.who.get("first_name", "")
            name = f"{last}, {first}" if last and first else student.name
            if number := canvas_number(student):
                rows.append([name, number, "", "", "", _final(student)])
        return csv_files.text(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab], rows, verbatim=(1,))
    kept = [place for name in _CANVAS_PERSON if (place := found.place(name)) is not None]
    kept.sort()
    header, column = [found.header[place] for place in kept], found.place(found.column) if found.column else None
    people = {person.row: person for person in found.people}
    marks = {student.id: student for student in students}
    filled, possible = [], _canvas_worth(found, column)
    for place, row in enumerate(found.rows):
        cell = row[column] if column is not None else ""
        if person := people.get(place):
            mark = marks.get(found.students[person.number])
            cell = _final(mark, possible) if mark else cell
        elif column is None and "Points Possible" in row[0]:
            cell = worth
        filled.append([*(row[number] for number in kept), cell])
    verbatim = {number for number, name in enumerate(header) if name == "ID"} | {len(header)}
    return csv_files.text([*header, found.column or lab], filled, verbatim)


def canvas_number(student: StudentMarks) -> str:
    """The number by which Canvas finds a student again; empty where the gradebook knows none."""
    number = (student.who.get("lms_user_id") or "").strip()
    return number if re.fullmatch(r"\d+", number) else ""


def _canvas_worth(found: ClassList, column: int | None) -> float | None:
    row = next((row for row in found.rows if "Points Possible" in row[0]), None)
    return _decimal(row[column]) if row and column is not None else None


def moodle(lab: str, students: list[StudentMarks], found: ClassList | None = None) -> str:
    """CSV for Moodle: the grading worksheet with its grades filled in, for *Upload grading worksheet*.

    Without a list, a file for *Grades, Import, CSV file*: map by user name, ID number or email.
    """
    if found is None or found.platform != MOODLE:
        names = ("first_name", "last_name", "lms_user_id", "email")
        rows = [
            [student.id, *(student.who.get(name, "") for name in names), _final(student), remark(student)]
            for student in students
        ]
        header = ["Username", "First name", "Surname", "ID number", "Email address", lab, f"{lab} feedback"]
        return csv_files.text(header, rows)
    grade, most = found.place("Grade"), found.place("Maximum grade")
    assert grade is not None  # it would be no worksheet
    marks = {student.id: student for student in students}
    filled = [list(row) for row in found.rows]
    for person in found.people:
        row, mark = filled[person.row], marks.get(found.students[person.number])
        limit = row[most] if most is not None else ""
        row[grade] = _final(mark, _decimal(limit)) if mark else ""
        if "," in limit:
            row[grade] = row[grade].replace(".", ",")
    known = ("Identifier", "Grade", "Feedback comments", "Last modified (grade)", "Last modified (submission)")
    verbatim = {place for name in known if (place := found.place(name)) is not None}
    return csv_files.text(found.header, filled, verbatim)


def _final(student: StudentMarks, worth: float | None = None) -> str:
    """A final grade, out of what the platform has the lab worth; "" while anything in it waits."""
    if student.waiting or student.trouble:
        return ""
    scale = worth / student.points if worth and student.points else 1.0
    return csv_files.number(student.score * scale)


def _decimal(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def remark(student: StudentMarks) -> str:
    """What an instructor should know of a grade, in a few words."""
    parts = [f"{csv_files.number(student.penalty)} points taken off for being late"] if student.penalty else []
    parts += [f"{student.waiting} to be looked at by a person"] if student.waiting else []
    parts += ["graded by older tests"] if student.outdated else []
    return "; ".join(parts)


def moodle_feedback(pages: Iterable[tuple[str, Path]], found: ClassList) -> bytes:
    """A zip for Moodle's *Upload multiple feedback files in a zip*.

    Args:
        pages: each student's id and page.
        found: the worksheet that says which participant each is.
    """
    people: dict[str, list[Person]] = {}
    for person in found.people:
        people.setdefault(found.students[person.number], []).append(person)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for student, path in pages:
            for person in people.get(student, []):
                # Moodle reads name_number_plugin_plugin_file, and finds the participant by the number
                name = re.sub(r'[\x00-\x1f\x7f&<>"`|\':\\/_]', " ", unicodedata.normalize("NFC", person.name)).strip()
                archive.write(path, f"{name or 'Participant'}_{person.number}_assignfeedback_file_{path.name}")
    return made.getvalue()


def warnings(lab: str, students: list[StudentMarks], missing: list[str], found: ClassList | None) -> list[str]:
    """What somebody who uploads the files should know first, each as a sentence."""
    waiting = sum(bool(student.waiting or student.trouble) for student in students)
    said = []
    if waiting:
        them = f"the work of {waiting} student{'s' * (waiting != 1)}"
        said.append(f"{them} waits for a person: the grade is blank in the files for the platform")
    if outdated := [student.id for student in students if student.outdated]:
        said.append(
            f"{_some(outdated)}: graded by older tests than those of today; to use the same for all: course grade {lab}"
        )
    if missing:
        said.append(f"{len(missing)} handed in nothing, and get no grade, not even 0: {_some(missing)}")
    if found is None:
        left_out = [student.id for student in students if not canvas_number(student)]
        if left_out and len(left_out) < len(students):
            said.append(f"canvas.csv leaves out who has no number of Canvas: {_some(left_out)}; collect with --list")
        return said
    unknown = sorted({student.id for student in students} - set(found.students.values()))
    if unknown:
        said.append(f"{_some(unknown)}: not on the platform's list, so no file for the platform has the grade")
    if found.platform == CANVAS and not found.column:
        said.append(
            f"the list has no column for {lab}: Canvas would make a new one; name it: course collect … --column"
        )
    said += _other_worth(students, found)
    return said


def _other_worth(students: list[StudentMarks], found: ClassList) -> list[str]:
    worth = max((student.points for student in students), default=0)
    if found.platform == CANVAS:
        limits = {_canvas_worth(found, found.place(found.column) if found.column else None)}
    else:
        place = found.place("Maximum grade")
        limits = {_decimal(found.rows[person.row][place]) for person in found.people} if place is not None else set()
    return [
        f"{found.platform} has the lab worth {limit:g} points, the lab itself {worth:g}: grades were converted"
        for limit in limits
        if limit and limit != worth
    ]


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
