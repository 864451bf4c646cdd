"""The highest memory of a command while it runs, with all processes that it starts."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


class Gauge(threading.Thread):
    """Looks at the memory of a process and of all below it; shared pages count once.

    Args:
        top: the process's id.
        every_s: how often it looks, in seconds; to look takes some milliseconds.
    """

    def __init__(self, top: int, every_s: float = 0.3) -> None:
        super().__init__(daemon=True)
        self.top, self.every_s = top, every_s
        self.highest_gib, self._stop_now = 0.0, threading.Event()

    def run(self) -> None:
        while not self._stop_now.wait(self.every_s):
            kib = 0
            for pid in _family(self.top):
                with contextlib.suppress(OSError):
                    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    kib += int(text.partition("\nPss:")[2].split()[0])
            self.highest_gib = max(self.highest_gib, kib / 2**20)

    def stop(self) -> None:
        """Look no more."""
        self._stop_now.set()
        self.join()


def _family(top: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    family, waiting = [], [top]
    while waiting:
        family.append(waiting.pop())
        waiting += children.get(family[-1], [])
    return family
