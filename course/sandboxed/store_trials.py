"""Tries a student's model store, in the worker's process: one call, a killed or failing writer, several at once.

`stores` asks it from the other side. It runs where a student's code runs, so it imports nothing of the course, and
nothing that it answers is trusted. Writers are forked, and each ends by itself.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

FILE_SYSTEM = {"open", "shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree", "tempfile.mkdtemp"}
FILE_SYSTEM |= {"tempfile.mkstemp", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}
LONGEST = 5.0


def artifact(name: str, files: dict[str, str]) -> None:
    """Write an artifact folder.

    Args:
        name: of the folder.
        files: name → content in base64.
    """
    folder = _source(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(base64.b64decode(content))


def take(folder: str, trial: str) -> None:
    """Take a copy of a store's folder as the store of a trial."""
    shutil.copytree(folder, _root(trial), symlinks=True)


def links(trial: str) -> list[str]:
    """The links in a store's folder."""
    top = _root(trial)
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_symlink())[:10]


def call(module: str, trial: str, method: str, args: list[Any]) -> dict[str, Any]:
    """Call a method of a store that is opened anew for it.

    Args:
        module: the student's module.
        trial: names the store's folder.
        method: add, names, find, promote, demote or production. `add` takes a name and the name of an artifact.
        args: its arguments.

    Returns:
        {"value": …}, for a path {"files": name → digest}; or {"raised": type, "message": …, "store_error": bool, …}.
    """
    library = importlib.import_module(module)
    if not hasattr(library, "ModelStore"):
        return {"raised": "AttributeError", "message": f"{module}.py has no ModelStore", "store_error": False}
    if method == "add":
        args = [args[0], _source(args[1])]
    expected = getattr(library, "StoreError", ())
    try:
        found = getattr(library.ModelStore(_root(trial)), method)
        value = found(*args) if callable(found) else found
    except Exception as error:
        place = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(f"{module}.py")
        ]
        return {
            "raised": type(error).__name__,
            "message": str(error)[:500],
            "store_error": bool(expected) and isinstance(error, expected),
            "line": place[-1].lineno if place else None,
        }
    if method == "find":
        return {"files": digests(Path(value))} if isinstance(value, str | Path) else {"value": repr(value)[:200]}
    return {"value": list(value) if isinstance(value, tuple | set | dict) or hasattr(value, "__next__") else value}


def digests(folder: Path) -> dict[str, str] | None:
    """The files of a folder and their digests; None where there is no such folder."""
    if not folder.is_dir():
        return None
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in there}


def tamper(trial: str, digest: str, content: str) -> int:
    """Overwrite all files of a store that have a digest; return how many there were."""
    found = [path for path in _root(trial).rglob("*") if path.is_file() and not path.is_symlink()]
    found = [path for path in found if hashlib.sha256(path.read_bytes()).hexdigest() == digest]
    for path in found:
        path.chmod(0o644)
        path.write_bytes(base64.b64decode(content))
    return len(found)


def full_disk(module: str, trial: str, method: str, args: list[Any], room: int, kill: bool) -> dict[str, Any]:
    """Call a method in a process in which no file can become larger than some bytes.

    Args:
        module, trial, method, args: as for :func:`call`.
        room: the bytes.
        kill: whether the writer is killed at that moment; else its write raises an OSError.

    Returns:
        How it ended, as :func:`_outcome` says it.
    """

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return _outcome(_start(module, trial, [(method, args)], prepare))


def killed_at(module: str, trial: str, method: str, args: list[Any], step: int) -> dict[str, Any]:
    """Call a method in a process that is killed before its step-th operation on files.

    Returns:
        How it ended; "killed" is False when it has fewer operations.
    """

    def prepare() -> None:
        seen: set[str] = set()

        def watch(event: str, arguments: tuple) -> None:
            if event in FILE_SYSTEM and not _is_reading(event, arguments):
                seen.add(f"{event} {arguments!r}")  # once each: whoever tries the same again and again is waiting
                if len(seen) >= step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)

    return _outcome(_start(module, trial, [(method, args)], prepare))


def at_once(module: str, trial: str, writers: list[list[Any]], pause: float) -> list[dict[str, Any]]:
    """Let several processes write to a store at the same moment.

    Args:
        module, trial: as for :func:`call`.
        writers: what each does: a list of [method, arguments].
        pause: each waits so long before each of its operations on files, so that they come between each other, in s.

    Returns:
        How each ended.
    """
    begin = time.monotonic() + 0.05

    def prepare() -> None:
        def watch(event: str, arguments: tuple) -> None:
            if event in FILE_SYSTEM:
                time.sleep(pause)

        sys.addaudithook(watch)
        time.sleep(max(0.0, begin - time.monotonic()))

    started = [_start(module, trial, steps, prepare) for steps in writers]
    return [_outcome(child) for child in started]


def _is_reading(event: str, arguments: tuple) -> bool:
    if event != "open":
        return False
    mode, flags = (arguments[1] if len(arguments) > 1 else None), (arguments[2] if len(arguments) > 2 else 0)
    if isinstance(mode, str):
        return not set(mode) & set("wax+")
    return not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _start(module: str, trial: str, steps: list[Any], prepare) -> tuple[int, int]:
    """Fork a process that makes some calls, and answers with what came of the last that raised, or of the last."""
    importlib.import_module(module)
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    answer: dict[str, Any] = {}
    try:
        os.close(reading)
        prepare()
        for method, args in steps:
            answer = call(module, trial, method, args)
            if "raised" in answer:
                break
    except BaseException as error:
        answer = {"raised": type(error).__name__, "message": str(error)[:500], "store_error": False}
    finally:
        with contextlib.suppress(OSError):
            os.write(writing, json.dumps(answer, default=repr).encode()[:60_000])
        os._exit(0)


def _outcome(started: tuple[int, int]) -> dict[str, Any]:
    """Wait for a forked process: what it answered, and whether it was killed or did not end."""
    child, reading = started
    deadline = time.monotonic() + LONGEST
    status = None
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.002)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        return {"hangs": True, "killed": False}
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    answer = json.loads(data) if data else {}
    return {**answer, "killed": os.WIFSIGNALED(status), "hangs": False}


def _root(trial: str) -> Path:
    return Path.cwd() / "stores" / trial


def _source(name: str) -> Path:
    return Path.cwd() / "artifacts" / name
