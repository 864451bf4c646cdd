"""Runs promtool and amtool on files that somebody else wrote: in the sandbox when grading, within time and memory.

Used by `rules`, `rule_tests` and `routes`. What these programs print is data: it is cut, and shown as text.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from course.checks.core import processes
from course.checks.core.expectations import not_graded_here
from course.checks.core.processes import Completed

# by the name that people use; Debian calls Alertmanager differently
NAMES: dict[str, tuple[str, ...]] = {name: (name,) for name in ("prometheus", "promtool", "amtool")}
NAMES["alertmanager"] = ("alertmanager", "prometheus-alertmanager")
SECONDS = 20.0
TRIES = 3  # of a program that broke down by itself, as Go does where a busy machine gives it no thread
_DUMP = re.compile(r"^(?:goroutine \d+ |rip +0x|fatal error: )", re.MULTILINE)
ADDRESSES_KB = 3 << 20  # Go reserves far more addresses than it uses memory
# promtool keeps its series in TMPDIR, and in the sandbox it may write nowhere but where it runs
_CAPPED = 'ulimit -v "$1" 2>/dev/null; shift; TMPDIR="$PWD" exec "$@"'


def find(name: str) -> str | None:
    """Where one of Prometheus' programs is; None where it is not installed."""
    return next(filter(None, map(shutil.which, NAMES[name])), None)


def run(name: str, arguments: Sequence[str], files: Mapping[str, str], *, seconds: float = SECONDS) -> Completed:
    """Run a program in a folder of its own that holds nothing but some files.

    Args:
        name: promtool or amtool.
        arguments: of its command line.
        files: the files, by name.
        seconds: the longest that it may take.

    Raises:
        NotGradedHere: it is not installed.
    """
    program = find(name)
    if program is None:
        not_graded_here(f"the program {name} is not installed here; make doctor says how to get it", whatever=True)
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            Path(folder, file).write_text(content, encoding="utf-8")
        command = ["/bin/sh", "-c", _CAPPED, "sh", str(ADDRESSES_KB), program, *arguments]
        for _ in range(TRIES - 1):
            done = processes.run(command, cwd=Path(folder), timeout=seconds)
            if done.ok or done.timed_out or not _DUMP.search(done.output):
                return done
        return processes.run(command, cwd=Path(folder), timeout=seconds)


def last_words(done: Completed, most: int = 300) -> str:
    """The end of what a program printed, for a message; without its warnings."""
    if done.timed_out:
        return "it did not end in time"
    lines = [line.strip() for line in done.output.splitlines() if line.strip() and not line.startswith("Warning:")]
    return "\n".join(lines[-6:])[-most:] or f"it ended with status {done.returncode}"
