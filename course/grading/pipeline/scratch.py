"""One folder for all the temporary files of a run, removed at its end, and by the next run where that was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from course.base.threads import ONE_THREAD

LONGEST = 40  # characters; sockets lie below, and the path of a socket has at most 107


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Have this run's temporary files in one folder; remove it, and those of runs that were killed."""
    top = Path(tempfile.gettempdir())
    if len(str(top)) > LONGEST and os.access("/tmp", os.W_OK):
        top = Path("/tmp")
    for old in top.glob("course-run-*"):
        pid = old.name.split("-")[2]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"course-run-{os.getpid()}-", dir=top))
    before = tempfile.tempdir, {name: os.environ.get(name) for name in ONE_THREAD}
    tempfile.tempdir = str(folder)
    os.environ.update(ONE_THREAD)  # kernels inherit it; several threads on few processors are slower
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        for name, value in before[1].items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
