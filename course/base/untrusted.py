"""Opens files that somebody else wrote, and who may mean harm: ordinary files only, no link, no device, sizes capped.

A pipe does not block, and a device is not touched. A file that a writer replaces as a whole meanwhile is read as
it was, or as it is now.
"""

from __future__ import annotations

import contextlib
import enum
import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_DEPTH = 40
_ORDINARY = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)


class Reason(enum.Enum):
    """Why a file was not opened or not read."""

    MISSING = "it is not there"
    NOT_ORDINARY = "it is not an ordinary file"
    TOO_LARGE = "it is too large"
    CHANGED = "it changed while it was being read"
    UNREADABLE = "it cannot be read"


class FileRefused(Exception):
    """A file is not read.

    Attributes:
        reason: why.
        detail: of NOT_ORDINARY what it is ("a link", "a pipe", …); of UNREADABLE the system's message; else "".
        size: of TOO_LARGE its size in bytes; else 0.
    """

    def __init__(self, reason: Reason, detail: str = "", size: int = 0) -> None:
        super().__init__(f"{reason.value} ({detail})" if detail else reason.value)
        self.reason, self.detail, self.size = reason, detail, size


class FolderRefused(Exception):
    """A folder holds too much, or lies too deep; the message is half a sentence."""


def open_file(path: Path) -> BinaryIO:
    """Open an ordinary file for reading; the folders above it are trusted.

    Raises:
        FileRefused: it is not there, is a link or a special file, or cannot be opened.
    """
    with _reasons():
        return _open(path, None)


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of an ordinary file; the folders above it are trusted.

    Raises:
        FileRefused: see :func:`open_file`; also when it is larger than `max_bytes`.
    """
    with open_file(path) as file:
        return _read(file, max_bytes)


def read_below(folder: Path, name: str, max_bytes: int) -> bytes:
    """The bytes of an ordinary file in a folder that somebody else wrote: no link is followed on the way to it.

    Args:
        folder: the folder, which may not be a link itself; those above it are trusted.
        name: the path below it, with `/`.
        max_bytes: a larger file is refused.

    Raises:
        ValueError: `name` leads out of the folder.
        FileRefused: see :func:`read_file`.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ValueError(f"{name!r} must be a path below {folder}")
    descriptor = None
    with _reasons():
        try:
            descriptor = os.open(folder, _FOLDER)
            for part in parts[:-1]:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            with _open(parts[-1], descriptor) as file:
                return _read(file, max_bytes)
        finally:
            if descriptor is not None:
                os.close(descriptor)


def walk(
    folder: Path, *, most: int, deepest: int = MAX_DEPTH, left_out: Container[str] = ()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a folder that somebody else wrote, and below it: paths with `/`, each folder before what is in it.

    No link is followed, and no stack grows with the depth.

    Args:
        folder: the folder.
        most: how many files, folders and links it may hold.
        deepest: how many folders may lie in each other.
        left_out: names that are passed over, with all that is below them.

    Raises:
        FolderRefused: it holds more, or is deeper.
        OSError: it cannot be read.
    """
    waiting, seen = [("", folder)], 0
    while waiting:
        above, place = waiting.pop()
        if above.count("/") > deepest:
            raise FolderRefused(f"its folders lie more than {deepest} deep in each other")
        found = []
        with os.scandir(place) as entries:
            for entry in entries:
                seen += 1
                if seen > most:
                    raise FolderRefused(f"it holds more than {most} files and folders")
                if entry.name not in left_out:
                    found.append(entry)
        for entry in sorted(found, key=lambda one: one.name):
            yield f"{above}{entry.name}", entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{above}{entry.name}/", Path(entry.path)))


def kind(mode: int) -> str:
    """What a file is that is not an ordinary one, in words, from its `st_mode`."""
    kinds = (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for test, name in kinds if test(mode)), "a device")


def _open(path: Path | str, folder: int | None) -> BinaryIO:
    mode = os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode):  # a device may do something when it is opened
        raise FileRefused(Reason.NOT_ORDINARY, kind(mode))
    descriptor = os.open(path, _ORDINARY, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRefused(Reason.CHANGED)
    return os.fdopen(descriptor, "rb")


def _read(file: BinaryIO, max_bytes: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        raise FileRefused(Reason.TOO_LARGE, size=size)
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FileRefused(Reason.CHANGED)
    return data


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Give the system's errors a reason."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise FileRefused(Reason.MISSING) from None
    except (OSError, ValueError) as error:  # a name that holds a zero byte is a ValueError
        raise FileRefused(Reason.UNREADABLE, getattr(error, "strerror", None) or str(error)) from None
