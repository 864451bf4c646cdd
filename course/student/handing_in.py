"""Handing in: a lab's folder as one zip with a receipt. Used by `course submit`, `%submit` and the page of JupyterLab.

Needs nothing but the standard library, and knows nothing of checks.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.base import atomic
from course.base.errors import UserError
from course.base.names import LAB
from course.student import receipts, saved_notebooks
from course.student.receipts import Receipt

FOLDER = "handed_in"
VERSION = 1
MAX_FILES = 2_000
MAX_FILE_BYTES = 50 * 2**20
MAX_TOTAL_BYTES = 200 * 2**20
LEFT_OUT = (".ipynb_checkpoints", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv", "__MACOSX", ".DS_Store")
GIVEN = "given"  # instructors have it, and put it back
REHEARSAL = "COURSE_REHEARSAL"  # set where a notebook is validated, not worked on
_ZIP = re.compile(r"(?P<lab>\d\d_[a-z0-9_]+)-\d{8}-\d{6}")


class HandingInError(UserError):
    """Work cannot be handed in; the message says what to do."""

    heading = "Not handed in"


@dataclass(frozen=True)
class HandedIn:
    """A zip that was made.

    Attributes:
        zip: the file that the instructor gets.
        kept: the receipt beside it, which the student keeps.
        receipt: what it says.
        remarks: what the student should look at, each a sentence.
    """

    zip: Path
    kept: Path
    receipt: Receipt
    remarks: tuple[str, ...]

    @property
    def shipped(self) -> list[str]:
        """The shipped files among those handed in."""
        return sorted(name.removeprefix("shipped/") for name in self.receipt.files if name.startswith("shipped/"))

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for scripts."""
        return {
            "version": VERSION,
            "lab": self.receipt.lab,
            "time": self.receipt.time.strftime(receipts.TIME),
            "code": self.receipt.code,
            "zip": str(self.zip),
            "receipt": str(self.kept),
            "files": self.receipt.files,
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        files, shipped = len(self.receipt.files), self.shipped
        lines = [f"{self.receipt.lab}: {files} file{'s' * (files != 1)}, {len(shipped)} of them shipped"]
        lines += [f"  {name}" for name in shipped[:12]] + ["  …"] * (len(shipped) > 12)
        lines += [f"look at this: {remark}" for remark in self.remarks]
        lines += [
            f"receipt {self.receipt.code}",
            f"give this file to your instructor: {_near(self.zip)}",
            f"keep this one:                     {_near(self.kept)}",
        ]
        return "\n".join(lines)


def hand_in(lab: Path, to: Path | None = None, *, at: dt.datetime | None = None) -> HandedIn:
    """Put a lab's folder into a zip with a receipt. Earlier ones stay.

    Args:
        lab: the lab's folder, such as labs/01_python_model.
        to: the folder for the zip; by default `handed_in/` in the course's folder.
        at: the time; now by default.

    Raises:
        HandingInError: this is no lab's folder, it is too large, or the zip cannot be written.
        UnreadableNotebook: a notebook cannot be read.
    """
    lab = lab.resolve()
    notebooks = sorted(lab.glob("*.ipynb"))
    if not LAB.fullmatch(lab.name) or not notebooks:
        raise HandingInError(f"{lab} is no lab's folder; go to one, such as labs/01_python_model, or name it")
    for path in notebooks:
        saved_notebooks.cells(path)  # one that cannot be read would be refused
    time = (at or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).replace(microsecond=0)
    remarks: list[str] = []
    contents = {name: path.read_bytes() for name, path in _files(lab, remarks)}
    if sum(map(len, contents.values())) > MAX_TOTAL_BYTES or len(contents) > MAX_FILES:
        largest = sorted(contents, key=lambda name: -len(contents[name]))[:3]
        raise HandingInError(
            f"{lab.name} holds {len(contents)} files and {sum(map(len, contents.values())) >> 20} MiB; at most "
            f"{MAX_FILES} and {MAX_TOTAL_BYTES >> 20} MiB can be handed in. Move elsewhere what does not belong to "
            f"your work. The largest: {', '.join(largest)}"
        )
    receipt = Receipt(lab.name, time, {name: receipts.sha256(data) for name, data in contents.items()})
    remarks += saved_notebooks.unsaved(lab)
    if not any(name.startswith("shipped/") for name in contents):
        remarks.append("nothing is shipped yet, and grades are given to what was shipped; run your answer cells first")
    folder = (to or course_folder(lab) / FOLDER).resolve()
    target = folder / f"{lab.name}-{time:%Y%m%d-%H%M%S}.zip"
    kept = target.with_name(f"{target.stem}-{receipts.FILE}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_zip(target, lab.name, contents, receipt)
        atomic.write(kept, receipt.to_json())
    except OSError as error:
        raise HandingInError(
            f"{folder} cannot be written to ({error.strerror}); name another place with --to"
        ) from None
    return HandedIn(target, kept, receipt, tuple(remarks))


def course_folder(lab: Path) -> Path:
    """The course's folder, of a lab in its `labs/`; else the folder that the lab lies in."""
    return lab.parent.parent if lab.parent.name == "labs" else lab.parent


def latest(lab: Path, folder: Path | None = None) -> Receipt | None:
    """The last receipt of a lab that was kept on this machine; None when there is none."""
    folder = folder or course_folder(lab) / FOLDER
    for path in sorted(folder.glob(f"{lab.name}-*-{receipts.FILE}"), reverse=True):
        try:
            return receipts.read(path.read_bytes())
        except (OSError, receipts.ReceiptError):
            continue
    return None


def changed_since(lab: Path, receipt: Receipt) -> list[str]:
    """The files of a lab's folder that are not as they were handed in."""
    now = {name: receipts.sha256(path.read_bytes()) for name, path in _files(lab, [])}
    return sorted(name for name in {*now, *receipt.files} if now.get(name) != receipt.files.get(name))


def is_our_name(stem: str) -> bool:
    """Whether a zip's name (without .zip) is one that :func:`hand_in` gives, which says nothing of whose it is."""
    return _ZIP.match(stem) is not None


def _files(lab: Path, remarks: list[str]) -> Iterator[tuple[str, Path]]:
    """The files that are handed in: name and place, in order. Links and special files are left out, with a remark."""
    for folder, folders, names in os.walk(lab):
        here = Path(folder)
        kept = [name for name in folders if name not in LEFT_OUT and not (here == lab and name == GIVEN)]
        folders[:] = sorted(name for name in kept if not (here / name).is_symlink())
        odd = [name for name in kept if name not in folders]
        for name in sorted(names):
            path = here / name
            label = path.relative_to(lab).as_posix()
            if name in LEFT_OUT or name.endswith(".pyc") or label == receipts.FILE:
                continue
            details = path.lstat()
            if not stat.S_ISREG(details.st_mode):
                odd.append(name)
            elif details.st_size > MAX_FILE_BYTES:
                size = f"{details.st_size >> 20} MiB"
                raise HandingInError(
                    f"{label} has {size}, and {MAX_FILE_BYTES >> 20} MiB is the most; move it elsewhere"
                )
            else:
                yield label, path
        remarks += [
            f"{(here / name).relative_to(lab).as_posix()} is a link, or no ordinary file, and was left out"
            for name in odd
        ]


def _write_zip(target: Path, top: str, contents: dict[str, bytes], receipt: Receipt) -> None:
    when = min(
        max(receipt.time.timetuple()[:6], (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58)
    )  # what a zip can say
    with atomic.replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**contents, receipts.FILE: receipt.to_json().encode()}.items():
            entry = zipfile.ZipInfo(f"{top}/{name}", when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)


def _near(path: Path) -> str:
    """A path as a person in the current folder would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
