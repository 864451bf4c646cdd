"""Takes files out of zips and folders that students made, trusting nothing that those state.

Nothing is written outside the target folder, no link or special file is taken, and the number and size of files are
bounded, whatever a zip says of itself.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from course.base import untrusted
from course.base.errors import UserError
from course.student.handing_in import LEFT_OUT, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES

MAX_RATIO = 200  # a file that unpacks to more than 200 times its size is no coursework


class SubmissionError(UserError):
    """A submission is refused; the message says why and what to do."""


class IntakeLimits:
    """Counts files and bytes while they come in, and refuses what is too much.

    Args:
        files: the most files.
        file_bytes: the most bytes of one file.
        total_bytes: the most bytes in all.
    """

    def __init__(
        self, files: int = MAX_FILES, file_bytes: int = MAX_FILE_BYTES, total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self.max_files, self.max_file_bytes, self.max_total_bytes = files, file_bytes, total_bytes
        self.files = self.bytes = 0

    def count_file(self) -> None:
        """One more file comes.

        Raises:
            SubmissionError: it is one too many.
        """
        self.files += 1
        if self.files > self.max_files:
            raise SubmissionError(f"it holds more than {self.max_files} files; leave out environments and data")

    def count_bytes(self, name: str, more: int, so_far: int) -> None:
        """More bytes of a file come.

        Args:
            name: the file's name.
            more: how many.
            so_far: of this file, these included.

        Raises:
            SubmissionError: they are too many.
        """
        self.bytes += more
        if so_far > self.max_file_bytes:
            raise SubmissionError(f"{name} is larger than {self.max_file_bytes >> 20} MiB")
        if self.bytes > self.max_total_bytes:
            raise SubmissionError(
                f"it takes more than {self.max_total_bytes >> 20} MiB; leave out environments and data"
            )


def copy(work: Path, target: Path) -> None:
    """Copy a folder's ordinary files.

    Raises:
        SubmissionError: it holds a link or a special file, or too much.
    """
    limits = IntakeLimits()
    target.mkdir(parents=True)
    for folder, folders, files in os.walk(work, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in folders:
            if Path(folder, name).is_symlink():
                raise SubmissionError(f"{Path(folder, name).relative_to(work)} is a link; submit the files themselves")
            (target / Path(folder, name).relative_to(work)).mkdir()
        for name in sorted(files):
            path = Path(folder, name)
            place = path.relative_to(work)
            if name in LEFT_OUT or name.endswith(".pyc"):
                continue
            with _open(path, place) as file, (target / place).open("wb") as made:
                limits.count_file()
                _pour(file, made, place.as_posix(), limits)


def _open(path: Path, place: Path) -> BinaryIO:
    """Open an ordinary file of a submission, which messages call `place`."""
    try:
        return untrusted.open_file(path)
    except untrusted.FileRefused as refused:
        ordinary = refused.reason in (untrusted.Reason.MISSING, untrusted.Reason.UNREADABLE)
        if ordinary or refused.detail == "a link":
            raise SubmissionError(f"{place} is a link or cannot be read; submit ordinary files") from None
        raise SubmissionError(f"{place} is not an ordinary file") from None


def unpack(path: Path, target: Path, limits: IntakeLimits | None = None) -> None:
    """Extract a zip file member by member, trusting neither its names nor the sizes that it states.

    Args:
        path: the zip.
        target: a folder, which is made.
        limits: of a whole class; by default those of one submission.

    Raises:
        SubmissionError: it is no zip, names a place outside its folder, holds a link or a special file, or too much.
    """
    limits = limits or IntakeLimits()
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = _member_place(member)
                if place is None:
                    continue
                limits.count_file()
                if member.file_size > MAX_RATIO * max(member.compress_size, 1000):
                    raise SubmissionError(f"{member.filename} would unpack to {member.file_size / 2**20:.0f} MiB")
                (target / place).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as file, (target / place).open("xb") as made:
                    _pour(file, made, member.filename, limits)
                with contextlib.suppress(ValueError, OverflowError):  # its time may be no time
                    when = dt.datetime(*member.date_time).timestamp()
                    os.utime(target / place, (when, when))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SubmissionError(f"{path.name} is not a zip file that can be opened ({error}); zip it again") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise SubmissionError(f"{path.name} holds two things of the same name; zip it again") from None
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be unpacked: {error.strerror}") from None


def _member_place(member: zipfile.ZipInfo) -> Path | None:
    """Where a member goes, below the folder; None for folders and for what is left out."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise SubmissionError(f"the zip file names a place outside its folder: {name!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SubmissionError(f"{name} is a link or a special file; zip ordinary files")
    if member.is_dir() or any(part in LEFT_OUT for part in parts):
        return None
    return Path(*parts)


def _pour(file: IO[bytes], target: IO[bytes], name: str, limits: IntakeLimits) -> None:
    size = 0
    while block := file.read(2**20):
        size += len(block)
        limits.count_bytes(name, len(block), size)
        target.write(block)
