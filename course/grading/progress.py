"""Says how far a long run is: one line that renews itself in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from course.base.texts import printable

EVERY = 10.0  # seconds between plain lines


class Progress:
    """Counts what is done.

    Args:
        total: how many students there are to grade.
        questions: how many graded cells each has.
        stream: where to write; the standard error by default.
        quiet: say nothing.
    """

    def __init__(self, total: int, questions: int, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.total, self.questions, self.quiet = total, questions, quiet
        self.done = 0
        self._stream = stream or sys.stderr
        self._renews = self._stream.isatty()
        self._started = self._said = time.monotonic()
        self._width = 0

    def step(self, student: str) -> None:
        """One more student is done."""
        self.done += 1
        now = time.monotonic()
        if self.quiet or not (self._renews or self.done in (1, self.total) or now - self._said >= EVERY):
            return
        self._said = now
        self._write(self.line(student, now))

    def line(self, student: str, now: float) -> str:
        """What there is to say."""
        left = (now - self._started) / self.done * (self.total - self.done)
        parts = [f"{self.done} of {self.total} students", f"{self.done * self.questions} questions"]
        parts.append(f"{duration(left)} left" if self.done < self.total else f"in {duration(now - self._started)}")
        return " · ".join([*parts, printable(student)])

    def close(self) -> None:
        """Remove the line that renews itself."""
        if self._renews and self._width and not self.quiet:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def _write(self, line: str) -> None:
        if self._renews:
            line = line[:100]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """A time span as a person says it: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
