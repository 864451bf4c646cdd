"""Takes files out of zips and folders that students made, trusting nothing that those state.

Nothing is written outside the target folder, no link or special file is taken, and the number and size of files are
bounded, whatever a zip says of itself.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from course.base import untrusted
from course.base.errors import UserError
from course.student.handing_in import LEFT_OUT, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES

MAX_ENTRIES = 20_000  # files and folders that are looked at, those that are left out, too
MAX_DIRECTORY_BYTES = 8 * 2**20  # of a zip's list of contents
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
MAX_RATIO = 200  # a file that unpacks to more than 200 times its size is no coursework


class SubmissionError(UserError):
    """A submission is refused; the message says why and what to do."""


class IntakeLimits:
    """Counts files, folders and bytes while they come in, and refuses what is too much.

    Args:
        files: the most files, and the most folders.
        file_bytes: the most bytes of one file.
        total_bytes: the most bytes in all.
    """

    def __init__(
        self, files: int = MAX_FILES, file_bytes: int = MAX_FILE_BYTES, total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self.max_files, self.max_file_bytes, self.max_total_bytes = files, file_bytes, total_bytes
        self.files = self.folders = self.bytes = 0

    def count_file(self) -> None:
        """One more file comes.

        Raises:
            SubmissionError: it is one too many.
        """
        self.files += 1
        if self.files > self.max_files:
            raise SubmissionError(f"it holds more than {self.max_files} files; leave out environments and data")

    def count_folder(self) -> None:
        """One more folder comes.

        Raises:
            SubmissionError: it is one too many.
        """
        self.folders += 1
        if self.folders > self.max_files:
            raise SubmissionError(f"it holds more than {self.max_files} folders; leave out environments and data")

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
    try:
        for place, entry in untrusted.walk(work, most=MAX_ENTRIES, left_out=LEFT_OUT):
            if not place.isprintable():
                _refuse_odd_names(place)
            if entry.is_symlink():
                raise SubmissionError(f"{place} is a link; submit the files themselves")
            if entry.is_dir(follow_symlinks=False):
                limits.count_folder()
                (target / place).mkdir()
            elif not place.endswith(".pyc"):
                with _open(Path(entry.path), place) as file, (target / place).open("wb") as made:
                    limits.count_file()
                    _pour(file, made, place, limits)
    except untrusted.FolderRefused as error:
        raise SubmissionError(f"{error}; leave out environments and data") from None


def _refuse_odd_names(place: str) -> None:
    """Refuse a name that no text can hold, as a disk may give it."""
    try:
        place.encode()
    except UnicodeEncodeError:
        raise SubmissionError(f"the name {place!a} cannot be read as UTF-8; rename the file") from None


def _open(path: Path, place: str) -> BinaryIO:
    """Open an ordinary file of a submission, which messages call `place`."""
    try:
        return untrusted.open_file(path)
    except untrusted.FileRefused as refused:
        ordinary = refused.reason in (untrusted.Reason.MISSING, untrusted.Reason.UNREADABLE)
        if ordinary or refused.detail == "a link":
            raise SubmissionError(f"{place} is a link or cannot be read; submit ordinary files") from None
        raise SubmissionError(f"{place} is not an ordinary file") from None


def unpack(path: Path, target: Path) -> None:
    """Extract a zip file member by member, trusting neither its names nor the sizes that it states.

    Args:
        path: the zip.
        target: a folder, which is made.

    Raises:
        SubmissionError: it is no zip, names a place outside its folder, holds a link or a special file, or too much.
    """
    limits, made = IntakeLimits(), {Path()}
    target.mkdir(parents=True)
    with opened(path) as archive, _explained(path.name):
        for member in archive.infolist():
            if (place := _member_place(member)) is not None:
                _extract(archive, member, target, place, limits, made)


def unpack_export(
    path: Path, target: Path, owner: Callable[[Sequence[Path]], Callable[[Path], str]], *, files: int, total_bytes: int
) -> dict[str, str]:
    """Extract what a platform exports of many students. What one of them handed in does not stop the others.

    Args:
        path: the zip.
        target: a folder, which is made.
        owner: makes, of all places in the zip, a function that gives for a place whose it is: a name in it.
        files, total_bytes: the most that the whole class may hand in. Each student may hand in what one may.

    Returns:
        The reasons why something of a student was refused, by that name. All that is the student's is left out.

    Raises:
        SubmissionError: it is no zip that can be opened, or holds too much in all.
    """
    class_limits, made = IntakeLimits(files, MAX_TOTAL_BYTES, total_bytes), {Path()}
    limits: dict[str, IntakeLimits] = {}
    refused: dict[str, str] = {}
    places: dict[str, list[Path]] = {}
    target.mkdir(parents=True)
    with opened(path) as archive, _explained(path.name):
        members = []
        for member in archive.infolist():
            try:
                if (place := _member_place(member)) is not None:
                    members.append((member, place))
            except SubmissionError as error:
                refused[member.filename] = str(error)
        whose = owner([place for _, place in members])
        for member, place in members:
            name = whose(place)
            if name in refused:
                continue
            own = limits.setdefault(name, IntakeLimits(MAX_FILES, MAX_TOTAL_BYTES, MAX_TOTAL_BYTES))
            before = own.files, own.bytes
            places.setdefault(name, []).append(place)
            try:
                with _explained(member.filename):
                    _extract(archive, member, target, place, own, made)
            except SubmissionError as error:
                refused[name] = str(error)
                for one in places.pop(name):
                    (target / one).unlink(missing_ok=True)
            else:
                class_limits.count_file()
                class_limits.count_bytes(member.filename, own.bytes - before[1], 0)
    return refused


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file whose list of contents has a bounded length: it is read as a whole, before anything else is.

    Raises:
        SubmissionError: it is no zip file, or lists too much.
    """
    with contextlib.ExitStack() as closing:
        with _explained(path.name):
            file = closing.enter_context(_BoundedReads(path))
            archive = closing.enter_context(zipfile.ZipFile(file))
        yield archive


class _BoundedReads(io.FileIO):
    """A file of which nobody reads a great deal at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = MAX_DIRECTORY_BYTES + 1
        data = super().read(most if size is None or size < 0 else min(size, most)) or b""
        if len(data) > MAX_DIRECTORY_BYTES:
            raise SubmissionError("it lists far more files than any submission holds; leave out environments and data")
        return data


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Put into words what is wrong with a zip file, or with a member of one."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise SubmissionError(f"{name} holds two things of the same name; zip it again") from None
    except OSError as error:
        raise SubmissionError(f"{name} cannot be unpacked: {error.strerror}") from None
    except SubmissionError:
        raise
    except DAMAGED as error:
        raise SubmissionError(f"{name} is not a zip file that can be opened ({error}); zip it again") from None


def _extract(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    target: Path,
    place: Path,
    limits: IntakeLimits,
    made: set[Path],
) -> None:
    """Extract one member; `made` are the folders that there are already."""
    limits.count_file()
    if member.file_size > MAX_RATIO * max(member.compress_size, 1000):
        raise SubmissionError(f"{member.filename} would unpack to {member.file_size / 2**20:.0f} MiB")
    for folder in [folder for folder in reversed(place.parents) if folder not in made]:
        limits.count_folder()
        (target / folder).mkdir(exist_ok=True)
        made.add(folder)
    with open_member(archive, member) as file, (target / place).open("xb") as written:
        _pour(file, written, member.filename, limits)
    with contextlib.suppress(ValueError, OverflowError):  # its time may be no time
        when = dt.datetime(*member.date_time).timestamp()
        os.utime(target / place, (when, when))


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A member of a zip, for reading.

    Raises:
        SubmissionError: it is packed by bzip2 or LZMA, which Python unpacks in one go, however much comes out.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SubmissionError(
            f"{member.filename} is packed in an unusual way; zip it again with the usual one, deflate"
        )
    return archive.open(member)


def _member_place(member: zipfile.ZipInfo) -> Path | None:
    """Where a member goes, below the folder; None for folders and for what is left out."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise SubmissionError(f"the zip file names a place outside its folder: {name!r}")
    if len(parts) > untrusted.MAX_DEPTH:
        raise SubmissionError(f"the zip file holds folders that lie more than {untrusted.MAX_DEPTH} deep in each other")
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


def newest_time(work: Path) -> dt.datetime:
    """The time of a file; of a folder, that of its newest file.

    Raises:
        SubmissionError: the folder holds too much.
    """
    found = work.lstat().st_mtime
    if work.is_dir():
        try:
            times = [
                entry.stat(follow_symlinks=False).st_mtime
                for _, entry in untrusted.walk(work, most=MAX_ENTRIES, left_out=LEFT_OUT)
                if not entry.is_dir(follow_symlinks=False)
            ]
        except untrusted.FolderRefused as error:
            raise SubmissionError(f"{error}; leave out environments and data") from None
        found = max(times, default=found)
    try:
        return dt.datetime.fromtimestamp(found, dt.UTC)
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return dt.datetime.now(dt.UTC)
