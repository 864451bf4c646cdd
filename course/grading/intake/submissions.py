"""Takes in one student's work: a folder or a zip, copied with care to classroom/submitted/. An earlier one is kept.

What students hand in is hostile until proven otherwise; see `archives`. A receipt is compared with what came.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from course.base import names, timestamps, untrusted
from course.grading.intake import archives, verification
from course.grading.intake.archives import SubmissionError
from course.grading.pipeline import restore
from course.labs import source

STUDENT = re.compile(r"\w([\w .'@+-]{0,62}[\w.@+-])?")  # letters of any script; nothing that a pattern of files means
CLOCK_TOLERANCE = dt.timedelta(minutes=5)  # by how much two machines may disagree


@dataclass(frozen=True)
class Submission:
    """A submission that was taken in.

    Attributes:
        student, lab: whose, and for what.
        folder: where it is.
        kept: where the one before it was moved to, if there was one.
        missing: notebooks of the lab that it does not hold.
        receipt: the code of the receipt that came with it, if one did.
        remarks: what the instructor should know, each half a sentence.
    """

    student: str
    lab: str
    folder: Path
    kept: Path | None
    missing: tuple[str, ...]
    receipt: str | None = None
    remarks: tuple[str, ...] = ()


def submit(root: Path, work: Path, *, lab: str, student: str, at: dt.datetime | None = None) -> Submission:
    """Take in one student's work for one lab. An earlier submission is kept under classroom/earlier/.

    Args:
        root: the course's folder.
        work: a folder with the lab's notebooks in it, or a zip of one.
        lab: the lab's name or number, such as 01_python_model.
        student: the student's id: letters of any script, digits, spaces and . _ - @ + '.
        at: when it was handed in; by default what its receipt says, else now.

    Raises:
        SubmissionError: it is refused; nothing changed.
        UnknownName: there is no such lab.
    """
    return take_in(root, work, lab, student, at or dt.datetime.now(dt.UTC), by_receipt=at is None)


def take_in(
    root: Path, work: Path, lab: str, student: str, at: dt.datetime, *, by_receipt: bool, newer: bool = False
) -> Submission | None:
    """Take in one student's work; see :func:`submit`.

    Args:
        root, work, lab, student: see :func:`submit`.
        at: when it was handed in, as far as is known without its receipt.
        by_receipt: a receipt that fits, and is not later, says when it was.
        newer: take it in only when it is newer than what is here.

    Returns:
        None when `newer` is asked for and it is not.
    """
    student = unicodedata.normalize("NFC", student)  # the same name may come in two spellings from two systems
    if not STUDENT.fullmatch(student):
        raise SubmissionError(
            f"a student's id is letters, digits, spaces and . _ - @ + ' (at most 64); got {student!r}"
        )
    lab = names.find(lab, source.labs(root)).name
    wanted = expected_notebooks(root, lab)
    at = at.astimezone(dt.UTC)
    place = root / "classroom" / "submitted" / student / lab
    place.parent.mkdir(parents=True, exist_ok=True)
    with _gone_if_empty(place.parent), tempfile.TemporaryDirectory(dir=place.parent, prefix=".incoming-") as incoming:
        fresh = Path(incoming) / lab
        if work.is_dir():
            archives.copy(work, fresh)
        elif zipfile.is_zipfile(work):
            archives.unpack(work, Path(incoming) / "unpacked")
            archives.copy(Path(incoming) / "unpacked", fresh)
        elif work.exists():
            raise SubmissionError(f"{work.name} is neither a folder nor a zip file; what Hand in makes is a zip")
        else:
            raise SubmissionError(f"{work} does not exist")
        fresh = _top(fresh, wanted)
        here = {path.name for path in fresh.glob("*.ipynb")}
        if not here & set(wanted):
            raise SubmissionError(
                f"{work.name} holds none of the notebooks of {lab}, {', '.join(wanted)}; submit the lab's folder itself"
            )
        unreadable = _unreadable(fresh, sorted(here & set(wanted)))
        if set(unreadable) == here & set(wanted):
            raise SubmissionError(f"{next(iter(unreadable.values()))}; it was not taken in")
        receipt, remarks = verification.compare(fresh, lab)
        if by_receipt and receipt and not remarks and receipt.time <= at + CLOCK_TOLERANCE:
            at = min(at, receipt.time)
        remarks += [f"{reason}; it will earn nothing" for reason in unreadable.values()]
        if newer and is_taken_in(root, student, lab, at):
            return None
        if receipt and (others := verification.others_with(root, lab, receipt.code, student)):
            remarks.append(f"its receipt is the same as that of {', '.join(others)}: one zip, handed in by several")
        (fresh / timestamps.FILE).write_text(timestamps.write(at))
        kept = _keep(root, place, student, lab)
        os.replace(fresh, place)
    missing = tuple(name for name in wanted if name not in here)
    return Submission(student, lab, place, kept, missing, receipt.code if receipt else None, tuple(remarks))


def _unreadable(folder: Path, files: list[str]) -> dict[str, str]:
    """The notebooks that cannot be read, and why."""
    found = {}
    for name in files:
        try:
            restore.read(untrusted.read_file(folder / name, archives.MAX_FILE_BYTES), name)
        except restore.Unreadable as error:
            found[name] = str(error)
        except untrusted.FileRefused as refused:
            found[name] = f"{name} cannot be read: {refused}"
    return found


@contextlib.contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder in the end when nothing was put into it, as when a submission is refused."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def expected_notebooks(root: Path, lab: str) -> list[str]:
    """The names of a lab's notebooks.

    Raises:
        UnknownName: there is no such lab.
    """
    return [path.name for path in source.sources(names.find(lab, source.labs(root)))]


def is_taken_in(root: Path, student: str, lab: str, at: dt.datetime) -> bool:
    """Whether a submission of that time, or a later one, is here already."""
    stamp = root / "classroom" / "submitted" / student / lab / timestamps.FILE
    if not STUDENT.fullmatch(student) or not stamp.is_file():
        return False
    before = timestamps.read(stamp.read_text())
    return before is not None and before >= at


def _keep(root: Path, place: Path, student: str, lab: str) -> Path | None:
    """Move the submission before this one out of the way, under the time at which it came."""
    if not place.exists():
        return None
    stamp = place / timestamps.FILE
    name = re.sub(r"[^0-9]", "", stamp.read_text())[:20] if stamp.is_file() else "undated"
    target = root / "classroom" / "earlier" / student / lab / name
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{name}-{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(place, target)
    return target


def _top(folder: Path, wanted: list[str]) -> Path:
    """The folder that holds the notebooks: a zip often has one folder around all."""
    for _ in range(4):
        if any((folder / name).exists() for name in wanted):
            break
        inner = [path for path in folder.iterdir() if path.is_dir()]
        if len(inner) != 1:
            break
        folder = inner[0]
    return folder
