"""The list of a class as a platform gives it out: Moodle's grading worksheet, Canvas's gradebook. Used by `collect`.

The list says who is who: it holds the numbers that stand in the names of an export. It is kept as it came, in
classroom/lists/, and the exports fill it in, so that the platform takes back its own file.

Names of columns: Moodle 4.5 and 5, mod/assign (in English); Canvas, lib/gradebook_exporter.rb.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course.base import atomic, untrusted
from course.grading.intake import platforms
from course.grading.intake.archives import SubmissionError
from course.grading.intake.platforms import CANVAS, MOODLE

MAX_BYTES = 20 * 2**20
VERSION = 1
_TIMES = ("%A, %d %B %Y, %I:%M %p", "%A, %d %B %Y, %H:%M", "%d %B %Y, %I:%M %p", "%d %B %Y, %H:%M")
_NOBODY = re.compile(r"points possible|student, test|", re.IGNORECASE)


class ListError(SubmissionError):
    """A list cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Person:
    """One line of a list.

    Attributes:
        row: which row of the list.
        number: Moodle's number of the participant for this assignment; Canvas's number of the person.
        name: the full name; empty where the platform hides it.
        first, last: the parts, where the platform separates them.
        email: the address, if the list has it.
        ids: what else the list calls this person: user name, ID number, login, the best one first.
        group: the group that hands in together, if there are such groups.
        at: when the platform got the work, if the list says so.
    """

    row: int
    number: str
    name: str
    first: str = ""
    last: str = ""
    email: str = ""
    ids: tuple[str, ...] = ()
    group: str = ""
    at: dt.datetime | None = None


@dataclass
class ClassList:
    """A list as it came, and what it says.

    Attributes:
        platform: "Moodle" or "Canvas".
        header, rows: all cells of the file.
        people: its lines, without those that are no person's.
        students: the id in the gradebook by number, once that is settled.
        column: of Canvas's gradebook, the header of the lab's column; empty where that is not known.
    """

    platform: str
    header: list[str]
    rows: list[list[str]]
    people: list[Person]
    students: dict[str, str] = field(default_factory=dict)
    column: str = ""

    def place(self, *names: str) -> int | None:
        """Which column has one of these headers, whatever the case."""
        return _place(self.header, names)

    def by_number(self) -> dict[str, Person]:
        """Its people by number."""
        return {person.number: person for person in self.people}


def read(path: Path) -> ClassList:
    """Read a list.

    Raises:
        ListError: it cannot be read, or has neither Moodle's nor Canvas's columns.
    """
    try:
        data = untrusted.read_file(path, MAX_BYTES)
    except untrusted.FileRefused as refused:
        raise ListError(f"{path} cannot be read: {refused}") from None
    return parse(data, path.name)


def parse(data: bytes, name: str) -> ClassList:
    """A list from the bytes of its file; see :func:`read`."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ListError(f"{name} is not text in UTF-8; take the file as the platform wrote it") from None
    for separator in ",;\t":
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        except csv.Error:
            continue
        header = [cell.strip() for cell in rows[0]] if rows else []
        if _place(header, ("identifier",)) is not None and _place(header, ("grade",)) is not None:
            return _with_people(MOODLE, header, rows[1:], name)
        if _place(header, ("id",)) is not None and _place(header, ("student", "lastname")) is not None:
            return _with_people(CANVAS, header, rows[1:], name)
    raise ListError(
        f"{name} is neither Moodle's grading worksheet (with the columns Identifier and Grade) nor Canvas's gradebook "
        "(with the columns Student and ID); set the platform's language to English while you download it"
    )


def _place(header: Sequence[str], names: Iterable[str]) -> int | None:
    wanted = [name.casefold() for name in names]
    return next((number for number, cell in enumerate(header) if cell.strip().casefold() in wanted), None)


def _with_people(platform: str, header: list[str], rows: list[list[str]], name: str) -> ClassList:
    rows = [[*row, *[""] * (len(header) - len(row))] for row in rows if any(cell.strip() for cell in row)]
    read_row = _moodle_person if platform == MOODLE else _canvas_person
    people = [person for number, row in enumerate(rows) if (person := read_row(number, row, header))]
    seen: set[str] = set()
    for person in people:
        if person.number in seen:
            raise ListError(f"{name} has the number {person.number} twice; download it again")
        seen.add(person.number)
    if not people:
        raise ListError(f"{name} names nobody; is it of the right course?")
    return ClassList(platform, header, rows, people)


def _cells(row: list[str], header: list[str], *names: str) -> tuple[str, ...]:
    """What stands in columns, without those that are missing or empty."""
    places = [_place(header, (name,)) for name in names]
    return tuple(text for place in places if place is not None and (text := row[place].strip()))


def _moodle_person(number: int, row: list[str], header: list[str]) -> Person | None:
    identifier = re.search(r"(?<!\d)(\d+)$", "".join(_cells(row, header, "Identifier")).rstrip())
    if identifier is None:
        return None
    ids = _cells(row, header, "Username", "ID number")
    return Person(
        number,
        identifier[1],
        "".join(_cells(row, header, "Full name")),
        email="".join(_cells(row, header, "Email address")),
        ids=ids,
        group="".join(_cells(row, header, "Group")),
        at=_time("".join(_cells(row, header, "Last modified (submission)"))),
    )


def _canvas_person(number: int, row: list[str], header: list[str]) -> Person | None:
    own = "".join(_cells(row, header, "ID"))
    last, first = "".join(_cells(row, header, "LastName")), "".join(_cells(row, header, "FirstName"))
    if not last and not first:
        sortable = "".join(_cells(row, header, "Student"))
        if quoted := re.fullmatch(r'="(.*)"', sortable):  # Canvas quotes a name that begins like a formula
            sortable = quoted[1]
        if _NOBODY.fullmatch(sortable.strip()):
            return None
        last, comma, first = (part.strip() for part in sortable.partition(","))
        if not comma:
            first, last = last, ""
    if not re.fullmatch(r"\d+", own):
        return None
    ids = _cells(row, header, "SIS Login ID", "SIS User ID", "Integration ID")
    email = next((text for text in ids if "@" in text), "")
    return Person(number, own, f"{first} {last}".strip(), first, last, email, ids)


def _time(text: str) -> dt.datetime | None:
    """A time as Moodle writes it, in the time zone of this machine; None for "-" and for other languages."""
    plain = " ".join(text.replace("\u202f", " ").replace("\u00a0", " ").split())
    for form in _TIMES:
        try:
            return dt.datetime.strptime(plain, form).astimezone(dt.UTC)
        except ValueError:
            continue
    return None


# -- kept in the classroom ---------------------------------------------------------------------------------------------


def path_of(root: Path, lab: str) -> Path:
    """Where the list of a lab is kept."""
    return root / "classroom" / "lists" / f"{lab}.csv"


def keep(root: Path, lab: str, found: ClassList) -> None:
    """Keep a list whose people are settled."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([found.header, *found.rows])
    atomic.write(path_of(root, lab), text.getvalue())
    plain = {"version": VERSION, "students": found.students, "column": found.column}
    atomic.write(path_of(root, lab).with_suffix(".json"), json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def kept(root: Path, lab: str) -> ClassList | None:
    """The list that was kept for a lab, if there is one.

    Raises:
        ListError: it is there and cannot be read.
    """
    path = path_of(root, lab)
    if not path.is_file():
        return None
    found = read(path)
    try:
        plain = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        found.students, found.column = dict(plain["students"]), str(plain["column"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ListError(f"{path.with_suffix('.json')} cannot be read ({error}); collect again with --list") from None
    return found


def keep_refused(root: Path, lab: str, refused: dict[str, str]) -> None:
    """Remember what the last collection of a lab refused, and why."""
    path = root / "classroom" / "lists" / f"{lab}.refused.json"
    if refused or path.exists():
        atomic.write(path, json.dumps(refused, indent=1, ensure_ascii=False) + "\n")


def refused(root: Path, lab: str) -> dict[str, str]:
    """What the last collection of a lab refused, and why, by name."""
    try:
        plain = json.loads((root / "classroom" / "lists" / f"{lab}.refused.json").read_text(encoding="utf-8"))
        return {str(name): str(reason) for name, reason in plain.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def choose_column(found: ClassList, lab: str, wanted: str | None) -> str:
    """The header of the lab's column in Canvas's gradebook; empty where none can be told.

    Args:
        found: the list.
        lab: the lab's name, such as 01_python_model.
        wanted: what the instructor calls the column: its header, with or without its number.

    Raises:
        ListError: there is no such column, or several.
    """
    if found.platform != CANVAS:
        return ""
    numbered = [cell for cell in found.header if re.search(r" \(\d+\)$", cell)]
    if wanted is None:
        plain = _simple(lab)
        same = [cell for cell in numbered if _simple(cell.rpartition(" (")[0]) in (plain, plain[2:])]
        return same[0] if len(same) == 1 else ""
    same = [cell for cell in numbered if wanted.strip() in (cell, cell.rpartition(" (")[0])]
    if len(same) != 1:
        raise ListError(f"the list has {len(same) or 'no'} columns {wanted!r}; there are: {', '.join(numbered)}")
    return same[0]


def _simple(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


def written_name(found: ClassList, person: Person) -> str:
    """A person's name as the platform writes it into the names of files, made comparable."""
    if found.platform == CANVAS:
        return platforms.as_written(CANVAS, f"{person.last}{person.first}")
    return platforms.as_written(MOODLE, person.name or "Participant")
