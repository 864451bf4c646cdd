"""A student's module, called through a process of its own: `module("features.py").add_calendar(flights)`."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Stopped, Worker
from course.checks.files import reading
from course.sandboxed.serialization import WireError


def module(name: str, *, timeout: float = 10.0, readable: Sequence[Path] = ()) -> Module:
    """A shipped Python file whose functions can be called; it is started at the first call.

    Args:
        name: its path below the folder of shipped files, such as "features.py".
        timeout: how long its import, and each call, may take, in seconds.
        readable: folders that it needs to read, besides that of shipped files.
    """
    return Module(name, timeout=timeout, readable=readable)


class Module:
    """The near side of a student's module: each attribute is a function of it, called in the other process."""

    def __init__(self, name: str, *, timeout: float = 10.0, readable: Sequence[Path] = ()) -> None:
        self._name = name
        self._timeout = timeout
        self._readable = tuple(readable)
        self._worker: Worker | None = None
        self._names: list[str] = []

    def __getattr__(self, function: str) -> Function:
        if function.startswith("_"):
            raise AttributeError(function)
        return Function(self, function)

    def _call(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: bool = False) -> Any:
        answer = self._reply(function, args, kwargs, arguments)
        if "error" in answer:
            raise explain(answer["error"], f"{function}()", self._name)
        return answer["ok"]

    def _reply(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: bool) -> dict[str, Any]:
        self._start()
        if function not in self._names:
            raise Unmet(
                f"{self._name} defines {function}()",
                f"there is no {function} in {self._name}",
                hint="the name must be exactly this one, at the left margin of the file",
            )
        details = {"function": function, "args": list(args), "kwargs": kwargs, "arguments": arguments}
        return ask(self._worker, f"{function}()", "call", **details)

    def _start(self) -> None:
        if self._worker is not None and self._worker.process.poll() is None:
            return
        title = f"{self._name} can be imported"
        reading.read(self._name)
        top = self._name.removesuffix(".py").split("/")[0]
        if top in sys.stdlib_module_names or top in packages_distributions():
            hint = f"call the file something else: Python has a library {top} already"
            raise Unmet(title, f"the name {self._name} is taken", hint=hint)
        self._worker = Worker(timeout=self._timeout, readable=self._readable)
        try:
            answer = ask(self._worker, self._name, "load", path=self._name)
            if "error" in answer:
                raise explain(answer["error"], self._name, self._name)
            if not isinstance(answer["ok"], list):
                raise CheckFailed(f"{self._name} answered in a form that the check cannot read")
        except CheckFailed as error:
            self._worker.close()
            details = {"expected": error.expected, "actual": error.actual, "hint": error.hint}
            raise Unmet(title, error.reason, **details) from None
        self._names = [str(name) for name in answer["ok"]]


class Function:
    """The near side of one function of a student's module."""

    def __init__(self, owner: Module, name: str) -> None:
        self._owner, self._name = owner, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it in its process; arguments and the result travel by value.

        Raises:
            CheckFailed: it raised an error, did not end in time, or returned what cannot travel.
        """
        return self._owner._call(self._name, args, kwargs)

    def reply(self, *args: Any, **kwargs: Any) -> Reply:
        """Call it where an error may be the right answer, and return what came of it.

        Raises:
            CheckFailed: the process ended, did not answer in time, or what it returned cannot travel.
        """
        answer = self._owner._reply(self._name, args, kwargs, False)
        error = answer.get("error")
        if error is None:
            return Reply(answer.get("ok"), None, "", answer)
        if not isinstance(error, dict) or error.get("cannot_travel") is True:
            raise explain(error, f"{self._name}()", self._owner._name)
        about = (str(error.get("type"))[:100], str(error.get("message") or "")[:500])
        return Reply(None, *about, answer, family_of(error))

    def and_arguments(self, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """Call it, and return its result and its positional arguments as it left them."""
        answer = self._owner._call(self._name, args, kwargs, arguments=True)
        if not isinstance(answer, dict) or set(answer) != {"result", "arguments"}:
            raise CheckFailed(f"{self._name}() answered in a form that the check cannot read")
        return answer["result"], answer["arguments"]


@dataclass(frozen=True)
class Reply:
    """What came of a call: a value, or an exception.

    Attributes:
        value: what it returned.
        error: the name of the exception's own class; None if it returned. Judge by :meth:`raised`, not by this name.
        message: of the exception.
        answer: all that came.
        family: the classes of the exception, its own first: "ValueError" if built in, else "module.Name".
    """

    value: Any
    error: str | None
    message: str
    answer: dict[str, Any]
    family: tuple[str, ...] = ()

    def raised(self, *names: str) -> bool:
        """Whether it raised an exception of one of these classes, or of a class derived from one.

        Args:
            names: of classes, such as "ValueError", or "Refused" for one that a module of any name defines.
        """
        return any(is_a(self.family, name) for name in names)

    def must_raise(self, name: str, call: str, *, because: str = "", hint: str | None = None) -> None:
        """Pass if it raised an exception of this class, or of a class derived from it.

        Args:
            name: of the class, such as "ValueError".
            call: the call, as the student would write it: "parse('')".
            because: why it must raise, as the end of a sentence that begins with "though".
        """
        why = f", though {because}" if because else ""
        expected = f"{name}, or a class derived from it"
        if self.error is None:
            fail(f"{call} raises nothing{why}", expected=expected, actual=f"it returned {self.value!r}", hint=hint)
        if self.raised("NotImplementedError") and not self.raised(name):
            fail(f"{call} is not written yet", hint="this is the place for your code")
        if not self.raised(name):
            actual = f"{self.error}: {self.message}" if self.message else self.error
            fail(f"{call} raises another error{why}", expected=expected, actual=actual, hint=hint)

    def failure(self, what: str, name: str) -> CheckFailed:
        """The exception as a failed check."""
        return explain(self.answer.get("error"), what, name)


def ask(worker: Worker, what: str, do: str, **details: Any) -> dict[str, Any]:
    """Send a request to a worker; a worker that ends or does not answer is the student's failure."""
    try:
        return worker.request(do, **details)
    except Stopped as stopped:
        hint = (
            "is there a loop that does not end, or far more work than is needed?" if "finish" in str(stopped) else None
        )
        raise CheckFailed(f"{what} gave no answer: {stopped}", hint=hint) from None
    except WireError as error:
        raise CheckFailed(f"{what} gave an answer that cannot be read: {error}") from None


def family_of(error: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of an exception that a worker described, its own first; only its own name where no more came."""
    named = error.get("family")
    names = [name[:200] for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return tuple(names[:30]) or (str(error.get("type"))[:100],)


def is_a(family: Iterable[str], name: str) -> bool:
    """Whether a family of exceptions has a class of this name; a name of Python's own is only Python's own class."""
    if isinstance(getattr(builtins, name, None), type):
        return name in family
    return any(member == name or member.endswith(f".{name}") for member in family)


def hint_for(family: Iterable[str], hints: Mapping[str, str]) -> str | None:
    """The hint for the first class of a family of exceptions that has one."""
    return next((hints[name] for name in (one.rpartition(".")[2] for one in family) if name in hints), None)


def explain(error: Any, what: str, name: str) -> CheckFailed:
    """A student's exception as a failed check, with its place and, for the commonest mistakes, a hint."""
    if not isinstance(error, dict):
        return CheckFailed(f"{what} failed in a form that the check cannot read")
    kind, message, line, code, file = (error.get(key) for key in ("type", "message", "line", "code", "file"))
    if error.get("cannot_travel") is True:
        return CheckFailed(f"{what} returned something else than expected: {str(message)[:500]}")
    place = f"line {line}" if isinstance(line, int) else ""
    if place and isinstance(file, str) and file != name:
        place = f"{file[:100]}, {place}"
    reason = f"{place + ': ' if place else ''}{str(kind)[:100]}{': ' if message else ''}{str(message or '')[:500]}"
    hints = {
        "NameError": "a module has only what it imports itself; the notebook's imports do not reach it",
        "NotImplementedError": "this is the place for your code",
        "ModuleNotFoundError": "a module can import what environment.yml installs, and other shipped modules",
        "KeyError": "is there a column or key of that name, spelled the same?",
        "FileNotFoundError": "a module runs in another folder than the notebook; it cannot lean on files beside it",
        "SystemExit": "a module must not end the program",
    }
    actual = f"at: {code[:200]}" if isinstance(code, str) and code else None
    return CheckFailed(reason, actual=actual, hint=hint_for(family_of(error), hints))
