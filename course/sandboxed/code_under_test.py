"""The far side of the boundary: holds one version of the code under test, and calls it for the tests.

The text of the modules is compiled and forgotten. Nothing of it can be reached from the other side: not the text, not
the code, not a name that begins with an underscore. May import nothing of the course but `boundary`.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import io
import os
import pickle
import socket
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from course.sandboxed import boundary

TABLES = "tables"  # the module from which a version takes its data: `from tables import TABLES`


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of the version from memory."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = {name.removesuffix(".py").replace("/", "."): text for name, text in modules.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name in self._modules else None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self._modules[module.__name__], f"<{module.__name__}>", "exec"), vars(module))


class Server:
    """Answers what the tests ask, until they are gone.

    Args:
        modules: the files of the version, name → text.
        tables: the data that it works on, by name.
        channel: where the tests ask.
        touched: called at the first question that the code answers.
    """

    def __init__(
        self, modules: Mapping[str, str], tables: Mapping[str, Any], channel: socket.socket, touched: Callable[[], None]
    ) -> None:
        self._names = {name.removesuffix(".py").replace("/", ".") for name in modules}
        self._channel = channel
        self._touched: Callable[[], None] | None = touched
        self._objects: list[Any] = []
        for name in self._names:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, _Finder(modules))
        holder = types.ModuleType(TABLES)
        holder.TABLES = dict(tables)  # type: ignore[attr-defined]
        sys.modules[TABLES] = holder

    def serve(self) -> None:
        """Answer until the tests are gone."""
        while True:
            try:
                request = boundary.receive(self._channel)
            except (EOFError, OSError):
                return
            boundary.send(self._channel, self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        try:
            kind, *details = boundary.loads(request)
            answer = getattr(self, f"_on_{kind}")(*details)
            return answer if isinstance(answer, bytes) else boundary.dumps(answer)
        except BaseException as error:
            return boundary.dumps(_describe(error))

    def _on_names(self) -> tuple[str, Any]:
        """Which modules there are."""
        return "ok", sorted(self._names)

    def _on_module(self, name: str) -> tuple[str, Any]:
        """The public names of a module: functions with their parameters, and data."""
        found: dict[str, Any] = {}
        for public, value in vars(self._module(name)).items():
            if public.startswith("_") or isinstance(value, types.ModuleType | type):
                continue
            if callable(value):
                if getattr(value, "__module__", None) == name:
                    found[public] = ("function", _parameters(value))
                continue
            try:
                boundary.dumps(value)
            except boundary.NoData:
                continue
            found[public] = ("data", value)
        return "ok", found

    def _on_call(self, module: str, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
        function = None if name.startswith("_") else getattr(self._module(module), name, None)
        if not callable(function) or getattr(function, "__module__", None) != module:
            raise AttributeError(f"module {module!r} has no function {name!r}")
        return self._call(function, list(args), kwargs)

    def _on_method(self, number: int, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
        return self._call(self._public(number, name), list(args), kwargs)

    def _on_get(self, number: int, name: str) -> tuple[str, ...]:
        value = self._public(number, name)
        self._touch()
        return ("method",) if callable(value) else ("ok", value)

    def _on_wsgi(self, number: int, environ: dict[str, Any], body: bytes, testing: bool) -> tuple[str, ...]:
        """Have the application answer one request."""
        self._touch()
        application, started = self._objects[number], []
        application.testing = testing
        whole = dict(environ) | {"wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr}

        def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
            started[:] = [status, [(str(key), str(value)) for key, value in headers]]
            return lambda data: None

        answer = application.wsgi_app(whole, start_response)
        data = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return "ok", (*started, data)  # type: ignore[return-value]

    def _module(self, name: str) -> types.ModuleType:
        if name not in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return importlib.import_module(name)

    def _public(self, number: int, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._objects[number], name)

    def _call(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Call it. What it did to its arguments is part of the answer."""
        places: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        before = {place: pickle.dumps(value, 5) for place, value in places.items()}
        result = function(*args, **kwargs)
        if hasattr(result, "wsgi_app"):
            return boundary.dumps(("application", self._keep(result)))
        self._touch()
        changed = {place: value for place, value in places.items() if pickle.dumps(value, 5) != before[place]}
        for place, value in places.items():
            if value is result and not isinstance(value, int | float | str | bytes | tuple | None):
                return boundary.dumps(("argument", place, changed))
        try:
            return boundary.dumps(("ok", result, changed))
        except boundary.NoData:
            return boundary.dumps(("object", self._keep(result), changed))

    def _keep(self, value: Any) -> int:
        self._objects.append(value)
        return len(self._objects) - 1

    def _touch(self) -> None:
        if self._touched is not None:
            self._touched()
            self._touched = None


def _parameters(function: Callable[..., Any]) -> list[tuple[str, int, bool, Any]]:
    """Name, kind and default of each parameter; the annotations stay here, they tell one author from another."""
    try:
        listed = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    found = []
    for parameter in listed:
        has_default = parameter.default is not parameter.empty
        default = parameter.default if has_default else None
        try:
            boundary.dumps(default)
        except boundary.NoData:
            default = None
        found.append((parameter.name, int(parameter.kind), has_default, default))
    return found


def _describe(error: BaseException) -> tuple[str, list[tuple[str, str]], str, Any]:
    """An exception: the names of its class and of those that it comes from, its message and arguments."""
    family = [(kind.__module__, kind.__qualname__) for kind in type(error).__mro__ if kind is not object]
    try:
        message = str(error)
    except BaseException:
        message = ""
    arguments: Any = error.args
    try:
        boundary.dumps(arguments)
    except boundary.NoData:
        arguments = (message,)
    return "error", family, message, arguments


def hide() -> None:
    """Let no other process of the same user look into this one, on Linux."""
    _set_dumpable(0)


def show() -> None:
    """Take :func:`hide` back, in a fork that has nothing to hide."""
    _set_dumpable(1)


def _set_dumpable(value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(4, value, 0, 0, 0)  # PR_SET_DUMPABLE


def run(modules: Mapping[str, str], tables: Mapping[str, Any], channel: socket.socket, touched: int) -> None:
    """Serve one version; `touched` is a file descriptor that gets one byte when the tests first use the code."""
    Server(modules, tables, channel, lambda: (os.write(touched, b"t"), None)[1]).serve()
