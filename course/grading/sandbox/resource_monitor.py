"""Watches what a sandbox uses as a whole, for the kernel's own limits hold for one process: memory, processes, disk, …

Runs in the supervisor outside of the sandbox; used by `namespaces`. Needs neither root nor cgroups.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

INTERVAL_S = 0.2
LONGEST_S = 1.0
MAX_DEPTH = 64
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use, all its processes together unless it says otherwise.

    Attributes:
        cpu_s: processor time, in seconds; of one process, and of all.
        wall_s: how long it may live, in seconds.
        memory_mb: resident memory, in MiB; one process may also have no more addresses than this for data.
        processes: processes and threads at one time.
        files: open files of one process.
        file_mb: size of one file, in MiB.
        scratch_mb: size of each of the two private temporary file systems, in MiB.
        disk_mb: what its writable folders hold, deleted files that are still open included, in MiB.
        inodes: files and folders in them.
        output_mb: what it prints to a file of the caller's, in MiB.
    """

    cpu_s: int = 300
    wall_s: int = 1800
    memory_mb: int = 2048
    processes: int = 160
    files: int = 1024
    file_mb: int = 256
    scratch_mb: int = 256
    disk_mb: int = 512
    inodes: int = 20_000
    output_mb: int = 32


DEFAULT = Limits()


class ProcessTree:
    """A process and all that it started.

    Args:
        proc: a file descriptor of a /proc in which they are visible.
        first: the process that is the ancestor of all others.
    """

    def __init__(self, proc: int, first: int) -> None:
        self.proc, self.first = proc, first

    def processor_s(self) -> float:
        """The processor time that they have used, and those of them that have ended."""
        return sum(map(self._processor_s, self._processes()))

    def _processor_s(self, pid: int) -> float:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return sum(map(int, self._read(f"{pid}/stat").rpartition(b")")[2].split()[11:15])) / _TICKS
        return 0.0

    def _processes(self) -> Iterator[int]:
        waiting = [self.first]
        while waiting:
            pid = waiting.pop()
            yield pid
            with contextlib.suppress(OSError):
                for thread in self._list(f"{pid}/task"):
                    waiting += map(int, self._read(f"{pid}/task/{thread}/children").split())

    def _list(self, path: str) -> list[str]:
        place = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.proc)
        try:
            return os.listdir(place)
        finally:
            os.close(place)

    def _read(self, path: str) -> bytes:
        place = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        try:
            return os.read(place, 1 << 16)
        finally:
            os.close(place)


class Watch(ProcessTree):
    """Looks again and again; :meth:`excess` says what there is too much of.

    Args:
        limits: what is allowed.
        folders: the writable folders.
        proc: a file descriptor of a /proc in which the sandbox's processes are visible.
        first: the process that is the ancestor of all others.
        has_init: the first process is ours, and takes FREEZE and THAW of `namespaces`.
    """

    def __init__(
        self, limits: Limits, folders: Sequence[str], proc: int, first: int, *, has_init: bool = False
    ) -> None:
        super().__init__(proc, first)
        self.limits, self.folders, self.has_init = limits, folders, has_init
        self.started = time.monotonic()
        self.next = self.started + INTERVAL_S

    def wait_ms(self) -> float:
        """How long until the next look, in milliseconds."""
        return max(1.0, (self.next - time.monotonic()) * 1000)

    def is_due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() >= self.next

    def others(self) -> list[int]:
        """The processes inside, but for the first."""
        return [pid for pid in self._processes() if pid != self.first]

    def running(self) -> bool:
        """Whether a thread of theirs runs, or could run at any moment. One that the system itself holds back cannot."""
        for pid in self.others():
            with contextlib.suppress(OSError, ValueError, IndexError):
                for thread in self._list(f"{pid}/task"):
                    with contextlib.suppress(OSError, ValueError, IndexError):
                        state = self._read(f"{pid}/task/{thread}/stat").rpartition(b")")[2].split()[0]
                        if state in (b"R", b"S"):
                            return True
        return False

    def excess(self) -> str | None:
        """What the sandbox used too much of, in words that end a sentence about it; None if nothing.

        A look that takes long is followed by a longer pause, so that watching costs a few hundredths of a core.
        """
        spent = time.process_time()
        found = self._excess(time.monotonic())
        self.next = time.monotonic() + min(max(INTERVAL_S, 20 * (time.process_time() - spent)), LONGEST_S)
        return found

    def _excess(self, now: float) -> str | None:
        limits = self.limits
        if now - self.started > limits.wall_s:
            return f"ran for more than {limits.wall_s} seconds"
        threads = memory = 0
        cpu = 0.0
        deleted: dict[tuple[int, int], int] = {}
        found = list(self._processes())
        for pid in found:
            with contextlib.suppress(OSError, ValueError, IndexError):
                threads += len(self._list(f"{pid}/task"))
                memory += int(self._read(f"{pid}/statm").split()[1]) * _PAGE
                cpu += self._processor_s(pid)
                deleted.update(self._deleted(pid))
        if threads > limits.processes:
            return f"had more than {limits.processes} processes and threads"
        if cpu > limits.cpu_s:
            return f"used more than {limits.cpu_s} seconds of processor time"
        if memory > limits.memory_mb << 20 and sum(map(self._own_memory, found)) > limits.memory_mb << 20:
            return f"used more than {limits.memory_mb} MiB of memory"
        if (output := os.fstat(2)) and stat.S_ISREG(output.st_mode) and output.st_size > limits.output_mb << 20:
            return f"printed more than {limits.output_mb} MiB"
        return self._too_much_on_disk(sum(deleted.values()))

    def _too_much_on_disk(self, size: int) -> str | None:
        for count, (entry, depth) in enumerate(self._entries(), 1):
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if size > self.limits.disk_mb << 20:
                return f"wrote more than {self.limits.disk_mb} MiB to disk"
            if count > self.limits.inodes:
                return f"made more than {self.limits.inodes} files"
            if depth > MAX_DEPTH:
                return f"made folders nested more than {MAX_DEPTH} deep"
        return None

    def _entries(self) -> Iterator[tuple[os.DirEntry, int]]:
        waiting = [(folder, 1) for folder in self.folders]
        while waiting:
            folder, depth = waiting.pop()
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    yield entry, depth
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))

    def _deleted(self, pid: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Files that are open but in no folder any more; a walk through the folders does not see them."""
        with contextlib.suppress(OSError):
            for number in self._list(f"{pid}/fd"):
                with contextlib.suppress(OSError):
                    state = os.stat(f"{pid}/fd/{number}", dir_fd=self.proc)
                    if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                        yield (state.st_dev, state.st_ino), state.st_blocks * 512

    def _own_memory(self, pid: int) -> int:
        """Memory in bytes, pages that are shared with others counted in part."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in self._read(f"{pid}/smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
        return 0
