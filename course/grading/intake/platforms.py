"""What learning platforms call handed-in files when they export them: Moodle, Canvas. Used by `course collect`.

Who a file belongs to is read from the part of the name that the platform wrote. The end of a name is the student's
choice, and never decides: which platform an export comes from is decided once, for all of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from course.grading.intake.archives import SubmissionError

MOODLE, CANVAS = "Moodle", "Canvas"
# Moodle replaces each underscore of a name by a space before it writes the name
_MOODLE = re.compile(
    r"(?P<person>[^_]+)_(?P<number>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.DOTALL
)
# Canvas numbers people and files from 1; a name may hold underscores, but no number between two of them
_CANVAS = re.compile(r"(?=_(?P<number>[1-9]\d*)_(?P<attachment>[1-9]\d*)_(?P<file>.+)$)", re.DOTALL)
_ANONYMOUS = re.compile(
    r"(?:(?P<late>LATE)_)?anon(?P<later>_LATE)?_(?P<number>[A-Za-z0-9]{5})_(?P<attachment>[1-9]\d*)_(?P<file>.+)",
    re.DOTALL,
)
_CANVAS_TEXT = re.compile(r"(?P<person>\w+?)(?P<late>_LATE)?_(?P<number>[1-9]\d*)_(?P<file>(?:text|link)\.html)")
# what Moodle leaves out of the names of files
_NOT_IN_A_FILE = re.compile(r"[\x00-\x1f\x7f&<>\"`|':\\/]")
MAX_NAME = 500


class UnknownPerson(SubmissionError):
    """It cannot be told whose a file is; the message says what to do."""


@dataclass(frozen=True)
class ExportedName:
    """What the name that a platform gave to a file says.

    Attributes:
        platform: "Moodle" or "Canvas".
        person: the name as the platform writes it: "Ada Lovelace" in Moodle, "lovelaceada" in Canvas; "anon" where
            Canvas hides the name.
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

    @property
    def own_name(self) -> str:
        """The id under which somebody is taken in whom nobody knows."""
        return self.person if self.platform == MOODLE else f"{self.person}-{self.number}"


def readings(name: str, platform: str = "") -> list[ExportedName]:
    """Every way in which a file's or folder's name can be read as one that a platform gave; none for other names.

    Args:
        name: the name.
        platform: only as this one writes names; by default as any.
    """
    name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME:
        return []
    found = list(_as_canvas(name)) if platform != MOODLE else []
    if not found and platform != CANVAS:
        found = list(_as_moodle(name))
    return found


def _as_canvas(name: str) -> Iterator[ExportedName]:
    if match := _ANONYMOUS.fullmatch(name):
        late = bool(match["late"] or match["later"])
        yield ExportedName(CANVAS, "anon", match["number"], match["file"], late=late)
        return
    if match := _CANVAS_TEXT.fullmatch(name):
        yield ExportedName(CANVAS, match["person"], match["number"], match["file"], False, bool(match["late"]))
        return
    for match in _CANVAS.finditer(name):
        head = name[: match.start()]
        person = head.removesuffix("_LATE")
        if re.fullmatch(r"\w+", person):
            work = not re.fullmatch(r"(text|link)\.html", match["file"])
            yield ExportedName(CANVAS, person, match["number"], match["file"], work, head != person)


def _as_moodle(name: str) -> Iterator[ExportedName]:
    if match := _MOODLE.fullmatch(name):
        yield ExportedName(
            MOODLE, match["person"].strip(), match["number"], match["file"] or "", match["kind"] == "file"
        )


def platform_of(names: Iterable[str]) -> str:
    """The platform that an export comes from: "Moodle", "Canvas", or "" where no name in it is one of theirs.

    Raises:
        SubmissionError: some are Moodle's and some are Canvas's.
    """
    first: dict[str, str] = {}
    for name in names:
        for reading in readings(name)[:1]:
            first.setdefault(reading.platform, name)
    if len(first) > 1:
        raise SubmissionError(
            f"some names are Moodle's ({first[MOODLE]!r}) and some are Canvas's ({first[CANVAS]!r}); "
            "take in each export by itself"
        )
    return next(iter(first), "")


def as_written(platform: str, name: str) -> str:
    """A person's or group's name as a platform writes it into the names of files, made comparable.

    Args:
        platform: "Moodle" or "Canvas".
        name: for Moodle the full name, for Canvas last name and first name.
    """
    name = unicodedata.normalize("NFC", name)
    if platform == CANVAS:
        return re.sub(r"\W", "", re.sub(r"_(\d+)_", r"\1", name.lower()))
    return " ".join(_NOT_IN_A_FILE.sub("", name.replace("_", " ")).casefold().split())
