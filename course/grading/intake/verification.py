"""Compares work with the receipt that came with it: is it what the student handed in? Used by `course verify`."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.base import names, timestamps, untrusted
from course.grading.intake import archives
from course.grading.intake.archives import SubmissionError
from course.labs import source
from course.student import receipts
from course.student.receipts import Receipt


@dataclass(frozen=True)
class Verdict:
    """Whether work is what its receipt says.

    Attributes:
        name: whose, or the file's name.
        receipt: the receipt, if there is one that can be read.
        problems: what does not fit, each half a sentence.
    """

    name: str
    receipt: Receipt | None
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether there is a receipt and all is as it says."""
        return self.receipt is not None and not self.problems


def verify(root: Path, what: str, *, student: str | None = None) -> list[Verdict]:
    """Compare work with its receipt.

    Args:
        root: the course's folder.
        what: a zip or folder that a student handed in; or a lab, for all that was taken in.
        student: of a lab, only this student's.

    Raises:
        SubmissionError: there is no such work.
        UnknownName: there is no such lab.
    """
    path = Path(what)
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="course-verify-") as place:
            folder = Path(place, "work")
            archives.unpack(path, folder)
            return [_verdict(path.name, folder)]
    if path.is_dir() and not (root / "solutions" / path.name).is_dir():
        return [_verdict(path.name, path)]
    lab = names.find(what, source.labs(root)).name
    found = sorted((root / "classroom" / "submitted").glob(f"[!.]*/{lab}"))
    chosen = [folder for folder in found if student in (None, folder.parent.name)]
    if not chosen:
        raise SubmissionError(
            f"nothing of {student or 'anybody'} was taken in for {lab}; first: course collect {lab} FOLDER"
        )
    return [_verdict(folder.parent.name, folder) for folder in chosen]


def _verdict(name: str, folder: Path) -> Verdict:
    try:
        entries = untrusted.walk(folder, most=archives.MAX_ENTRIES)
        found = sorted(path for path, entry in entries if entry.name == receipts.FILE)
    except untrusted.FolderRefused as error:
        return Verdict(name, None, (str(error),))
    receipt, problems = compare((folder / found[0]).parent if found else folder, None)
    return Verdict(name, receipt, tuple(problems) if receipt or problems else ("there is no receipt in it",))


def compare(folder: Path, lab: str | None) -> tuple[Receipt | None, list[str]]:
    """The receipt that came with work, and how the work differs from it.

    Args:
        folder: a folder of ordinary files.
        lab: the lab that it must be for; None for any.
    """
    try:
        receipt = receipts.read(untrusted.read_file(folder / receipts.FILE, receipts.MAX_BYTES))
    except untrusted.FileRefused as refused:
        if refused.reason is untrusted.Reason.TOO_LARGE:
            return None, ["the receipt cannot be read (it is too large)"]
        return None, []
    except receipts.ReceiptError as error:
        return None, [str(error)]
    if lab and receipt.lab != lab:
        return receipt, [f"its receipt is for {receipt.lab}"]
    try:
        changed = receipts.differences(folder, receipt, (timestamps.FILE,))
    except untrusted.FolderRefused as error:
        return receipt, [str(error)]
    shown = ", ".join(changed[:3]) + (f", and {len(changed) - 3} more" if len(changed) > 3 else "")
    return receipt, [f"not as its receipt says: {shown}"] if changed else []


def others_with(root: Path, lab: str, code: str, student: str) -> list[str]:
    """The other students who handed in the very same receipt."""
    found = []
    for path in sorted((root / "classroom" / "submitted").glob(f"[!.]*/{lab}/{receipts.FILE}")):
        if path.parent.parent.name != student and _code(path) == code:
            found.append(path.parent.parent.name)
    return found


def _code(path: Path) -> str | None:
    """The code of a receipt that was taken in; None where it cannot be read."""
    try:
        details = path.lstat()
    except OSError:
        return None
    return _code_of(path, details.st_mtime_ns, details.st_ino)


@functools.lru_cache(maxsize=10_000)  # each of a class is compared with all others
def _code_of(path: Path, _changed: int, _number: int) -> str | None:
    try:
        return receipts.read(untrusted.read_file(path, receipts.MAX_BYTES)).code
    except (untrusted.FileRefused, receipts.ReceiptError):
        return None
