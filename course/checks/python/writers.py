"""A student's function that writes files: `writer("star.py").call("write", facts, costs)` returns what it wrote.

The near side of `file_trials`: the function runs in a worker, in a folder of the worker's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.python.modules import ask, explain

_TRIALS = "course.sandboxed.file_trials"


@dataclass(frozen=True)
class Written:
    """What came of a call.

    Attributes:
        value: what the function returned: None, or a path as text, relative to the folder where it lies below it.
        files: path below the folder → content, of all that is there after the call.
    """

    value: Any
    files: Mapping[str, bytes] = field(default_factory=dict)

    def below(self, place: str) -> dict[str, bytes]:
        """The files in one folder of it, by their path below that folder."""
        prefix = f"{place.strip('/')}/"
        return {name.removeprefix(prefix): content for name, content in self.files.items() if name.startswith(prefix)}


def writer(name: str, *, timeout: float = 20.0) -> Writer:
    """A shipped Python file with functions that write into a folder, which is their last argument.

    Args:
        name: the module, below the folder of shipped files.
        timeout: how long its import, and each call, may take, in seconds.
    """
    return Writer(name, timeout=timeout)


class Writer:
    """The near side of such a module."""

    def __init__(self, name: str, *, timeout: float = 20.0) -> None:
        self.name, self._timeout = name, timeout
        self._worker: Worker | None = None

    def call(self, function: str, *args: Any, trial: str = "first") -> Written:
        """Call a function with arguments and a folder.

        Args:
            function: its name.
            args: all arguments but the last one, the folder.
            trial: calls with the same name share a folder.

        Raises:
            Unmet: there is no such module or function.
            CheckFailed: it raised an error, did not end in time, or wrote far too much, or links.
        """
        title = f"{self.name} can be imported"
        reading.read(self.name)
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = Worker(timeout=self._timeout)
            started = ask(self._worker, self.name, "use", name=_TRIALS)
            if "error" in started:
                raise RuntimeError(f"the course's program did not start: {started['error']}")
        details = {"module": self.name.removesuffix(".py"), "function": function, "args": list(args), "trial": trial}
        reply = ask(self._worker, f"{function}()", "call", function="call", args=[], kwargs=details)
        if "error" in reply:
            raise explain(reply["error"], f"{function}()", self.name)
        answer = reply["ok"] if isinstance(reply["ok"], dict) else {}
        if answer.get("absent") is True:
            hint = "the name must be exactly this one, at the left margin of the file"
            raise Unmet(f"{self.name} defines {function}()", f"there is no {function} in {self.name}", hint=hint)
        if answer.get("problem") is not None:
            fail(f"{function}() writes files that cannot be looked at: {str(answer['problem'])[:300]}")
        files = answer.get("files")
        plain = isinstance(files, dict) and all(
            isinstance(name, str) and isinstance(content, bytes) for name, content in files.items()
        )
        if not plain:
            raise CheckFailed(f"{title}, but it answered in a form that the check cannot read")
        return Written(answer.get("value"), files)
