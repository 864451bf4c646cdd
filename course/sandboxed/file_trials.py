"""Calls a student's function that writes files, in the worker's process, and returns what it wrote.

`course.checks.python.writers` asks it from the other side. It runs where a student's code runs, so it imports nothing
of the course, and nothing that it returns is trusted.
"""

from __future__ import annotations

import importlib
import stat
from pathlib import Path
from typing import Any

MAX_FILES = 300
MAX_BYTES = 24 * 2**20

_trials = Path("trials").absolute()


def call(module: str, function: str, args: list[Any], trial: str) -> dict[str, Any]:
    """Call a function with some arguments and, as the last one, the folder in which it writes.

    Args:
        module, function: the student's.
        args: all arguments but the folder.
        trial: names the folder; it stays as it is between calls.

    Returns:
        {"absent": True} where there is no such function; else {"value": what it returned, a path as its place below the
        folder, "files": path below the folder → content}, or {"problem": why the files cannot be returned}.
    """
    called = getattr(importlib.import_module(module), function, None)
    if not callable(called):
        return {"absent": True}
    folder = _trials / trial
    folder.mkdir(parents=True, exist_ok=True)
    value = called(*args, folder)
    try:
        return {"value": _place(value, folder), "files": _files(folder)}
    except ValueError as error:
        return {"problem": str(error)}


def _place(value: Any, folder: Path) -> Any:
    """A path as a text, relative to the folder if it is below it; of something else, its type."""
    if value is None:
        return None
    if not isinstance(value, Path | str):
        return {"kind": type(value).__name__}
    path = Path(value)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)[:300]


def _files(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        place, kind = path.relative_to(folder).as_posix(), path.lstat()
        if stat.S_ISDIR(kind.st_mode):
            continue
        if not stat.S_ISREG(kind.st_mode):
            raise ValueError(f"{place[:200]} is not an ordinary file")
        size += kind.st_size
        if len(found) >= MAX_FILES or size > MAX_BYTES:
            raise ValueError(f"there are more than {MAX_FILES} files, or more than {MAX_BYTES >> 20} MiB")
        found[place] = path.read_bytes()
    return found
