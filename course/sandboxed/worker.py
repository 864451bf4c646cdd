"""The program that runs a student's code, in a process of its own; `processes.Worker` starts it and talks to it.

It may import nothing of the course but `serialization`, and holds nothing that a student should not see.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import linecache
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from course.sandboxed import serialization

MAX_TEXT = 2000
MAX_FAMILY = 30  # base classes of one exception


def limit(seconds: int, megabytes: int) -> None:
    """Cap CPU time (s), memory and file size (MiB) of this process and of those it starts."""
    caps = {
        "RLIMIT_CPU": seconds,
        "RLIMIT_AS": megabytes * 2**20,
        "RLIMIT_FSIZE": 256 * 2**20,
        "RLIMIT_CORE": 0,
    }
    for name, value in caps.items():
        # a stricter limit may hold already, or the system may know no such limit
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends; elsewhere the CPU limit must do."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Program:
    """What the worker holds between requests: one loaded module."""

    def __init__(self, shipped: Path) -> None:
        self.shipped = shipped
        self.module: ModuleType | None = None

    def load(self, path: str) -> list[str]:
        """Import a shipped file, and return its public names."""
        sys.path.append(str(self.shipped))
        name = path.removesuffix(".py").replace("/", ".")
        file = self.shipped / path
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        self.module = module
        return [name for name in vars(module) if not name.startswith("_")]

    def use(self, name: str) -> list[str]:
        """Import a module of the course that works on shipped files, and return its public names."""
        sys.path.append(str(self.shipped))
        self.module = importlib.import_module(name)
        return [name for name in vars(self.module) if not name.startswith("_")]

    def call(self, function: str, args: list[Any], kwargs: dict[str, Any], arguments: bool = False) -> Any:
        """Call a function of the loaded module; with `arguments`, return its arguments as it left them, too."""
        result = getattr(self.module, function)(*args, **kwargs)
        return {"result": result, "arguments": args} if arguments else result


def describe(error: BaseException, shipped: Path) -> dict[str, Any]:
    """Say what happened in a student's code: type, message, and the last line of a shipped file on the way."""
    where, line, code = None, None, None
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(str(shipped)):
        where, line, code = error.filename, error.lineno, error.text
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith(str(shipped)):
                where, line, code = frame.filename, frame.lineno, frame.line
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        message = "(the error has no message)"
    return {
        "type": type(error).__name__[:100],
        "family": family(error),
        "message": str(message)[:MAX_TEXT],
        "file": None if where is None else os.path.relpath(where, shipped),
        "line": line,
        "code": None if code is None else str(code).strip()[:200],
        "cannot_travel": isinstance(error, serialization.WireError),
    }


def family(error: BaseException) -> list[str]:
    """The classes of an exception, its own first, without `object`: "ValueError" if built in, else "module.Name"."""
    names = []
    with contextlib.suppress(Exception):  # whatever a class of the student's makes of its own name
        for kind in type(error).__mro__[:MAX_FAMILY]:
            place = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            names.append(f"{place}{kind.__name__}"[:200])
    return [name for name in names if name != "object"]


def serve(requests: int, answers: int, shipped: Path) -> None:
    """Answer requests until the other side closes the pipe."""
    program = Program(shipped)
    stream = os.fdopen(requests, "rb", closefd=True)

    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise EOFError
        return data

    while True:
        try:
            request = serialization.receive(read)
        except EOFError:
            return
        try:
            linecache.checkcache()
            operation = getattr(program, request.pop("do"))
            reply = serialization.pack({"ok": operation(**request)})
        except BaseException as error:  # SystemExit and KeyboardInterrupt of a student's code are answers, too
            reply = serialization.pack({"error": describe(error, shipped)})
        serialization.write(answers, reply)


def main() -> None:
    """`worker.py REQUESTS ANSWERS SHIPPED SECONDS MEGABYTES`: file descriptors, a folder, and the limits."""
    requests, answers, shipped, seconds, megabytes = sys.argv[1:]
    sys.argv[:] = ["worker"]
    die_with_parent()
    limit(int(seconds), int(megabytes))
    serve(int(requests), int(answers), Path(shipped))


if __name__ == "__main__":
    main()
