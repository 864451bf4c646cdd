"""Who is who: from a platform's name and number to a student's id in the gradebook. Never by a guess.

What decides, in this order: what an instructor decided before, the platform's list, the gradebook. Names count only
when they are whole, as the platform writes them, and when one person alone has them.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course.base import atomic
from course.grading.intake import class_lists, platforms, submissions
from course.grading.intake.class_lists import ClassList, ListError, Person
from course.grading.intake.platforms import CANVAS, MOODLE, ExportedName, UnknownPerson

Roster = dict[str, dict[str, str]]
"""first_name, last_name, email and lms_user_id by student's id, as the gradebook knows them."""


@dataclass
class Decisions:
    """What an instructor decided with `--student`: the student's id by what a platform calls a person.

    Attributes:
        path: the file that keeps them.
        known: the ids.
    """

    path: Path
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Decisions:
        """Those of a class."""
        path = root / "classroom" / "decisions.json"
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {str(key): str(value) for key, value in plain["students"].items()})
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ListError(f"{path} cannot be read ({error}); mend it or move it away") from None

    def find(self, lab: str, label: ExportedName, unique: bool = True) -> str | None:
        """Who an instructor said this is.

        Args:
            lab: the lab, for Moodle counts each assignment's people anew.
            label: what the platform wrote.
            unique: nobody else in the export has that name.
        """
        number, name = _keys(lab, label)
        return self.known.get(number) or (self.known.get(name) if name and unique else None)

    def remember(self, lab: str, label: ExportedName, student: str) -> None:
        """Keep a decision."""
        for key in filter(None, _keys(lab, label)):
            self.known[key] = student
        plain = {"version": 1, "students": dict(sorted(self.known.items()))}
        atomic.write(self.path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def _keys(lab: str, label: ExportedName) -> tuple[str, str]:
    """Under which a decision is kept: by number and, in Moodle, where numbers change, by name."""
    if label.platform == CANVAS:
        return f"{CANVAS} {label.number}", ""
    named = platforms.as_written(MOODLE, label.person)
    return f"{MOODLE} {lab} {label.number}", "" if named == "participant" else f"{MOODLE} {named}"


@dataclass(frozen=True)
class Found:
    """Whose a file is.

    Attributes:
        students: the ids; several where a group handed in together.
        label: the reading of the file's name that fits.
        person: the line of the list, if the list decided.
        known: False where nobody knows this person, and the platform's name was taken.
    """

    students: tuple[str, ...]
    label: ExportedName
    person: Person | None = None
    known: bool = True


@dataclass(frozen=True)
class Described:
    """A student as `course roster` shows one.

    Attributes:
        student: the id.
        name, email, number: what is known besides; the number is the platform's.
        at: when the work that counts was handed in; empty where there is none.
        listed: whether the platform's list has this person, where there is a list.
    """

    student: str
    name: str
    email: str
    number: str
    at: str
    listed: bool


class Directory:
    """Finds out whose exported files are.

    Args:
        lab: the lab's name.
        roster: everybody in the gradebook.
        decisions: what an instructor decided before.
        found: the platform's list, with its people settled.
        groups: names of groups that Moodle may write before a name, with a hyphen.
        labels: the first reading of every name in the export, which tells who has the same name.
    """

    def __init__(
        self,
        lab: str,
        roster: Roster,
        decisions: Decisions,
        found: ClassList | None = None,
        groups: Sequence[str] = (),
        labels: Iterable[ExportedName] = (),
    ) -> None:
        self.lab, self.roster, self.decisions, self.list = lab, roster, decisions, found
        self.groups = [platforms.as_written(MOODLE, group) for group in groups]
        numbers: dict[str, set[str]] = {}
        for label in labels:
            if label.work:
                numbers.setdefault(label.person.casefold(), set()).add(label.number)
        self.twins = {person for person, own in numbers.items() if len(own) > 1}

    def whose(self, readings: Sequence[ExportedName]) -> Found:
        """Whose a file is.

        Args:
            readings: the ways in which its name can be read, at least one.

        Raises:
            UnknownPerson: it cannot be told.
        """
        label = readings[0]
        for reading in readings:
            if student := self.decisions.find(self.lab, reading, reading.person.casefold() not in self.twins):
                return Found((student,), reading)
        if self.list is not None and self.list.platform == label.platform:
            return self._by_list(readings, self.list)
        if len(readings) > 1:
            fitting = [reading for reading in readings if self._in_roster(reading)]
            if len(fitting) != 1:
                numbers = ", ".join(reading.number for reading in readings)
                raise UnknownPerson(
                    f"its name can be read in {len(readings)} ways (as number {numbers}); collect with --list, or take "
                    "in this file with --student"
                )
            label = fitting[0]
        if label.platform == MOODLE and label.person.casefold() in self.twins:
            raise UnknownPerson(
                f"two people are called {label.person!r}; collect with --list, or take in each: "
                "course collect LAB FILE --student ID"
            )
        if label.platform == CANVAS and label.person == "anon":
            raise UnknownPerson("Canvas hides whose it is; download the submissions with names, or use --student")
        same = self._in_roster(label)
        if len(same) > 1:
            raise UnknownPerson(
                f"{', '.join(map(self.described, same))} are all called {label.person!r}; collect with --list, or take "
                "in each alone: course collect LAB FILE --student ID"
            )
        if not same and label.own_name in self.roster:
            raise UnknownPerson(
                f"{label.person!r} is the id of somebody else, {self.described(label.own_name)}; decide with --student"
            )
        return Found((same[0] if same else label.own_name,), label, known=bool(same) or not self.roster)

    def _by_list(self, readings: Sequence[ExportedName], found: ClassList) -> Found:
        known = found.by_number()
        fitting = []
        for reading in readings:
            written = platforms.as_written(reading.platform, reading.person)
            person = known.get(reading.number)
            if person and self._same_name(written, class_lists.written_name(found, person)):
                fitting.append(Found((found.students[person.number],), reading, person))
                continue
            group = [other for other in found.people if other.group and self._same_group(written, other)]
            if group:
                fitting.append(Found(tuple(found.students[other.number] for other in group), reading, group[0]))
        if len(fitting) == 1:
            return fitting[0]
        label = readings[0]
        if fitting:
            raise UnknownPerson("its name fits two people of the list; take it in with --student")
        if person := known.get(label.number):
            raise UnknownPerson(
                f"the list calls number {label.number} {person.name!r}, and the export {label.person!r}; "
                "download both again, of the same assignment"
            )
        raise UnknownPerson(
            f"the list has nobody with the number {label.number} ({label.person!r}); download both again, or take it "
            "in with --student"
        )

    def _same_name(self, written: str, name: str) -> bool:
        return written == name or written in ("anon", "participant") or self._without_group(written) == name

    def _same_group(self, written: str, person: Person) -> bool:
        return written == platforms.as_written(MOODLE, person.group)

    def _without_group(self, written: str) -> str:
        """A name without the known group before it."""
        for group in self.groups:
            if written.startswith(f"{group}-"):
                return written.removeprefix(f"{group}-")
        return written

    def _in_roster(self, label: ExportedName) -> list[str]:
        """Who in the gradebook has that number or that whole name."""
        if label.platform == CANVAS:
            numbered = [student for student, who in self.roster.items() if who.get("lms_user_id") == label.number]
            if numbered:
                return numbered
        written = platforms.as_written(label.platform, label.person)
        wanted = {written, self._without_group(written)} if label.platform == MOODLE else {written}
        same = [student for student, who in self.roster.items() if wanted & _written(label.platform, who)]
        own = label.own_name  # an earlier collect took somebody in under the platform's own name
        return same or [own] * (own in self.roster and not _written(label.platform, self.roster[own]))

    def described(self, student: str) -> str:
        """A student by id, with what tells namesakes apart."""
        return described(student, self.roster)


def _written(platform: str, who: dict[str, str]) -> set[str]:
    """A person's whole name in the orders in which a platform writes it."""
    first, last = (who.get("first_name") or "").strip(), (who.get("last_name") or "").strip()
    if not first and not last:
        return set()
    if platform == CANVAS:
        return {platforms.as_written(CANVAS, last + first)}
    return {platforms.as_written(MOODLE, name) for name in (f"{first} {last}", f"{last} {first}", f"{last}, {first}")}


# -- a list and the gradebook ------------------------------------------------------------------------------------------


def settle(found: ClassList, roster: Roster, decisions: Decisions, lab: str) -> dict[str, dict[str, str]]:
    """Give each person of a list an id: the one that the gradebook has, else a new one. Fills `found.students`.

    Returns:
        What the gradebook should know of each, by id.

    Raises:
        ListError: two people of the list would be one student.
    """
    names = Counter(class_lists.written_name(found, person) for person in found.people)
    taken: dict[str, Person] = {}
    late: list[Person] = []
    for person in found.people:
        student = _known(found, person, roster, decisions, lab, names)
        if student is None:
            late.append(person)
            continue
        if student in taken:
            raise ListError(
                f"the list's numbers {taken[student].number} and {person.number} are both {student!r}; correct the "
                "gradebook (nbgrader db student add), or decide with --student"
            )
        taken[student] = person
    for person in late:
        student = _new_id(found, person, names, {*roster, *taken})
        taken[student] = person
    found.students = {person.number: student for student, person in taken.items()}
    return {student: _who(found, person) for student, person in taken.items()}


def _known(
    found: ClassList, person: Person, roster: Roster, decisions: Decisions, lab: str, names: Counter[str]
) -> str | None:
    written = class_lists.written_name(found, person)
    label = ExportedName(found.platform, person.name if found.platform == MOODLE else written, person.number, "")
    alone = bool(person.name) and names[written] == 1
    if decided := decisions.find(lab, label, alone):
        return decided
    rules: list[Callable[[str, dict[str, str]], object]] = [
        lambda _, who: found.platform == CANVAS and who["lms_user_id"] == person.number,
        lambda student, who: student in person.ids or (who["lms_user_id"] and who["lms_user_id"] in person.ids),
        lambda student, who: person.email and person.email.casefold() in (student.casefold(), who["email"].casefold()),
        lambda _, who: alone and written in _written(found.platform, who),
        lambda student, who: alone and student == label.own_name and not _written(found.platform, who),
    ]
    for rule in rules:
        same = [student for student, who in roster.items() if rule(student, who)]
        if same:
            return same[0] if len(same) == 1 else None
    return None


def _new_id(found: ClassList, person: Person, names: Counter[str], taken: set[str]) -> str:
    alone = names[class_lists.written_name(found, person)] == 1
    numbered = f"{person.name or 'participant'}-{person.number}"
    for wanted in (*person.ids, person.email, person.name if alone else "", numbered, f"student-{person.number}"):
        if wanted and wanted not in taken and submissions.STUDENT.fullmatch(wanted):
            return wanted
    raise ListError(f"there is no id for the list's number {person.number}: student-{person.number} is somebody else")


def _who(found: ClassList, person: Person) -> dict[str, str]:
    number = person.number if found.platform == CANVAS else next(iter(person.ids[1:]), "")
    return {
        "first_name": person.first or ("" if person.last else person.name),
        "last_name": person.last,
        "email": person.email,
        "lms_user_id": number,
    }


def described(student: str, roster: Roster) -> str:
    """A student by id, with what tells namesakes apart: name, address, number."""
    who = roster.get(student, {})
    name = f"{who.get('first_name') or ''} {who.get('last_name') or ''}".strip()
    more = [text for text in (name, who.get("email"), who.get("lms_user_id")) if text and text != student]
    return f"{student} ({', '.join(more)})" if more else student


def like(student: str, roster: Roster) -> list[str]:
    """Ids of the gradebook that resemble one that it does not know, by id or by name."""
    names = {f"{who['first_name']} {who['last_name']}".strip().casefold(): one for one, who in roster.items()}
    close = difflib.get_close_matches(student.casefold(), [name for name in names if name], 3, 0.75)
    by_id = difflib.get_close_matches(student, roster, 3, 0.75)
    return list(dict.fromkeys([*by_id, *(names[name] for name in close)]))
