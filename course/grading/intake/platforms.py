"""What learning platforms call handed-in files when they export them: Moodle, Canvas. Used by `course collect`.

Who a file belongs to is read from the name that the platform gave it, never from what is inside: a student could write
anything there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from course.grading.intake.archives import SubmissionError

_MOODLE = re.compile(r"(?P<person>.+?)_(?P<number>\d+)_assignsubmission_(?P<kind>[a-z]+)_?(?P<file>.*)")
_CANVAS = re.compile(
    r"(?P<person>[^\W_]+)(?P<late>_LATE)?_(?P<number>\d+|(?<=anon_)[A-Za-z0-9]{5}|(?<=LATE_)[A-Za-z0-9]{5})"
    r"_(?P<attachment>\d+)_(?P<file>.+)"
)


class UnknownPerson(SubmissionError):
    """It cannot be told whose a file is; the message says what to do."""


@dataclass(frozen=True)
class ExportedName:
    """What the name that a platform gave to a file says.

    Attributes:
        platform: "Moodle" or "Canvas".
        person: the name as the platform writes it: "Ada Lovelace" in Moodle, "lovelaceada" in Canvas.
        number: Canvas's number of the person; in Moodle it is another for each assignment.
        file: the rest: what the student called the file; empty for Moodle's folders.
        work: whether it is a handed-in file at all, and no text typed into the platform.
        late: whether Canvas marked it as late.
    """

    platform: str
    person: str
    number: str
    file: str
    work: bool = True
    late: bool = False


def label(name: str) -> ExportedName | None:
    """Read a file's or folder's name; None when no platform gave it."""
    name = unicodedata.normalize("NFC", name)
    if found := _MOODLE.fullmatch(name):
        person = found["person"].replace("_", " ").strip()
        return ExportedName("Moodle", person, found["number"], found["file"], found["kind"] == "file")
    if found := _CANVAS.fullmatch(name):
        work = not re.fullmatch(r"(text|link)\.html", found["file"])
        return ExportedName("Canvas", found["person"], found["number"], found["file"], work, bool(found["late"]))
    return None


def whose(one: ExportedName, roster: dict[str, dict[str, str]]) -> str:
    """The student's id for a platform's name.

    Args:
        one: the label.
        roster: first_name, last_name and lms_user_id by student's id, as the gradebook knows them.

    Returns:
        The id of the one student in the roster who has Canvas's number as lms_user_id, or that name; else the
        platform's own name, with Canvas's number.

    Raises:
        UnknownPerson: several students of the roster have that name.
    """
    if one.platform == "Canvas":
        numbered = [student for student, who in roster.items() if who.get("lms_user_id") == one.number]
        if len(numbered) == 1:
            return numbered[0]
        same = [student for student, who in roster.items() if _canvas_name(who) == one.person.casefold()]
        other = f"{one.person}-{one.number}"
    else:
        same = [student for student, who in roster.items() if _is_called(who, one.person)]
        other = one.person
    if len(same) > 1:
        raise UnknownPerson(
            f"{', '.join(sorted(same))} are all called {one.person!r}; "
            "take in each alone: course collect LAB FILE --student ID"
        )
    return same[0] if same else other


def twins(labels: Iterable[ExportedName]) -> set[str]:
    """Names in Moodle's export that two people have: their numbers differ."""
    numbers: dict[str, set[str]] = {}
    for one in labels:
        if one.platform == "Moodle" and one.work:
            numbers.setdefault(one.person, set()).add(one.number)
    return {person for person, found in numbers.items() if len(found) > 1}


def _names(who: dict[str, str]) -> tuple[str, str]:
    return (who.get("first_name") or "").strip(), (who.get("last_name") or "").strip()


def _canvas_name(who: dict[str, str]) -> str:
    """Canvas writes last name and first name in small letters, without what is neither letter nor digit."""
    first, last = _names(who)
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", last + first)).casefold()


def _is_called(who: dict[str, str], person: str) -> bool:
    """Moodle writes the full name, after a group's name and a hyphen where there are groups."""
    first, last = _names(who)
    names = {_plain(f"{first} {last}"), _plain(f"{last} {first}"), _plain(f"{last}, {first}")}
    said = _plain(person)
    return bool(first or last) and any(said == name or said.endswith("-" + name) for name in names)


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())
