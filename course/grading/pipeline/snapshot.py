"""A copy of what was shipped, made before each question: what a student's kernel does meanwhile, nobody sees there.

The questions read the copy, so a kernel can neither watch them read nor change what they read. Only what changed since
the last question is copied. Links are copied as links, which nobody follows; of a file that is larger than any check
reads only the size is kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_BYTES = 300 * 2**20
MAX_BYTES = 2**30
LONGEST = 2**40  # a file that holds nothing is made no longer than this, which some file systems refuse
MAX_ENTRIES = 25_000
MAX_DEPTH = 70

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True)
class _State:
    """What tells whether something changed; a program cannot set the time of change (ctime) as it likes."""

    kind: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> _State:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            return cls(kind, status.st_ino, 0, 0, 0)
        return cls(kind, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Snapshot:
    """A copy of a folder that somebody else writes; :meth:`take` brings it up to date.

    Args:
        source: the folder.
        target: where the copy lies; nobody but this process may write there.
        owner: whose the copied folder is when this process is root, because checks run what it holds as its owner.
    """

    def __init__(self, source: Path, target: Path, owner: int) -> None:
        self.source, self.target = source, target
        self._known: dict[str, _State] = {}
        target.mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(target, owner, owner)

    def take(self) -> None:
        """Copy what is new or has changed, and remove what is gone.

        Raises:
            OSError: the copy cannot be written, for example because the disk is full.
        """
        found: dict[str, _State] = {}
        left = MAX_BYTES
        top = os.open(self.source, _FOLDER)
        waiting: list[tuple[str, int, int]] = [("", top, 1)]  # its path, a descriptor, how deep
        try:
            while waiting:
                path, folder, depth = waiting.pop()
                try:
                    for name in sorted(os.listdir(folder)):
                        place = f"{path}/{name}" if path else name
                        if len(found) >= MAX_ENTRIES:
                            break
                        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                            state = _State.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
                            left -= self._bring(folder, name, place, state, left)
                            found[place] = state
                            if state.kind == stat.S_IFDIR and depth < MAX_DEPTH:
                                with contextlib.suppress(OSError):  # a folder that is closed to us stays empty
                                    waiting.append((place, os.open(name, _FOLDER, dir_fd=folder), depth + 1))
                finally:
                    os.close(folder)
        finally:
            for _, folder, _ in waiting:
                os.close(folder)
        for place in sorted(self._known.keys() - found.keys(), reverse=True):
            self._remove(place)
        self._known = found

    def _bring(self, folder: int, name: str, place: str, state: _State, left: int) -> int:
        """Bring one file, link or folder; return how many bytes of the budget it takes."""
        known = self._known.get(place)
        size = state.size if state.kind == stat.S_IFREG and state.size <= min(MAX_FILE_BYTES, left) else 0
        if known == state:
            return size
        target = self.target / place
        if known is not None and stat.S_IFDIR in (known.kind, state.kind):
            self._remove(place)
        if state.kind == stat.S_IFDIR:
            target.mkdir(mode=0o755, exist_ok=True)
            return 0
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        if state.kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=folder), target)
        elif state.kind != stat.S_IFREG:
            os.mkfifo(target)  # a pipe stands for all that is no ordinary file
        else:
            _copy(folder, name, target, state.size, size)
        return size

    def _remove(self, place: str) -> None:
        target = self.target / place
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                target.unlink()


def _open(folder: int, name: str) -> int | None:
    """A descriptor of a file, without a trace of its being read where that is allowed; None where it cannot be read."""
    for flags in (_FILE | getattr(os, "O_NOATIME", 0), _FILE):
        with contextlib.suppress(OSError):
            return os.open(name, flags, dir_fd=folder)
    return None


def _copy(folder: int, name: str, target: Path, length: int, size: int) -> None:
    """Copy the first `size` bytes of a file; where that is not all, the copy is as long and holds nothing."""
    with open(target, "xb") as copy:
        os.fchmod(copy.fileno(), 0o644)
        source = _open(folder, name)
        if source is None:
            return
        try:
            left = size if stat.S_ISREG(os.fstat(source).st_mode) else 0
            while left > 0 and (chunk := os.read(source, min(left, 1 << 20))):
                copy.write(chunk)
                left -= len(chunk)
        finally:
            os.close(source)
        if length > size:
            copy.truncate(min(length, LONGEST))
