"""The near side of the boundary: modules that look like those of the code under test, whose functions ask for it.

A test imports them under the usual names. What they return is what the code returned; what the code did to its
arguments is done to them here, too. May import nothing of the course but `boundary`.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import inspect
import os
import pickle
import socket
import sys
import threading
import types
from typing import Any

import numpy as np
import pandas as pd

from course.sandboxed import boundary

MAX_BODY = 64 * 2**20


class Channel:
    """Questions to the code under test, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    def ask(self, *question: Any) -> tuple[Any, ...]:
        """Ask, and return the answer; an exception over there is raised here."""
        try:
            message = pickle.dumps(question, 5)  # whether all of it is data is seen over there
        except Exception as error:
            raise boundary.NoData(f"only data can be given to the code under test: {error}") from None
        with self._lock:
            try:
                boundary.send(self._connection, message)
                answer = boundary.loads(boundary.receive(self._connection))
            except (EOFError, OSError) as error:
                raise RuntimeError("the code under test has ended") from error
        if answer[0] == "error":
            raise _exception(*answer[1:])
        return answer

    def call(self, question: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call something over there."""
        kind, value, *more = self.ask(*question, list(args), kwargs)
        if kind == "application":
            return _application(self, value)
        places: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        for place, content in more[0].items():
            _become(places[place], content)
        if kind == "argument":
            return places[value]
        return Object(self, value) if kind == "object" else value


class Object:
    """Something that the code under test returned and that is no data, such as a model: its methods can be called."""

    def __init__(self, channel: Channel, number: int) -> None:
        self.__dict__.update(_channel=channel, _number=number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kind, *value = self._channel.ask("get", self._number, name)
        if kind == "ok":
            return value[0]

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._channel.call(("method", self._number, name), args, kwargs)

        method.__name__ = name
        return method

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} cannot be set: the code under test is behind a boundary")

    def __repr__(self) -> str:
        return "<an object of the code under test>"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of the code under test as stubs."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._names: list[str] | None = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name in sys.stdlib_module_names or name.startswith("_"):
            return None
        if self._names is None:
            self._names = self._channel.ask("names")[1]
        return importlib.machinery.ModuleSpec(name, self) if name in self._names else None

    def exec_module(self, module: types.ModuleType) -> None:
        for name, (kind, details) in self._channel.ask("module", module.__name__)[1].items():
            value = details if kind == "data" else _function(self._channel, module.__name__, name, details)
            setattr(module, name, value)


def install(connection: socket.socket) -> None:
    """Have the modules of the code under test imported as stubs that ask through this connection."""
    sys.meta_path.insert(0, _Finder(Channel(connection)))


def _function(channel: Channel, module: str, name: str, parameters: list[tuple[str, int, bool, Any]]) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        return channel.call(("call", module, name), args, kwargs)

    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    kinds = list(inspect._ParameterKind)
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(label, kinds[kind], default=default if has_default else inspect.Parameter.empty)
            for label, kind, has_default, default in parameters
        ]
    )
    return function


def _application(channel: Channel, number: int) -> Any:
    """A Flask application whose requests the code under test answers."""
    from flask import Flask

    class Application(Flask):
        def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
            body = environ["wsgi.input"].read(MAX_BODY)
            plain = {key: value for key, value in environ.items() if isinstance(value, str | int | float | tuple)}
            question = ("wsgi", number, plain, body, bool(self.testing))
            _, (status, headers, data) = channel.ask(*question)
            start_response(status, headers)
            return [data]

    here = os.getcwd()
    return Application("api", static_folder=None, root_path=here, instance_path=here)


def _become(value: Any, content: Any) -> None:
    """Give an argument the content that the code under test left in it."""
    if isinstance(value, pd.DataFrame | pd.Series) and type(value) is type(content):
        value._mgr = content._mgr
        if isinstance(value, pd.Series):
            value.name = content.name
    elif isinstance(value, np.ndarray) and isinstance(content, np.ndarray) and value.shape == content.shape:
        value[...] = content
    elif isinstance(value, list):
        value[:] = content
    elif isinstance(value, dict | set):
        value.clear()
        value.update(content)


def _exception(family: list[tuple[str, str]], message: str, arguments: tuple[Any, ...]) -> BaseException:
    """An exception of the code under test: of the same class where that is known here, else of the same family."""
    for place, (module, name) in enumerate(family):
        kind = _class(module, name)
        if kind is None:
            continue
        if place:
            kind = type(family[0][1].rpartition(".")[2], (kind,), {"__str__": lambda self: message})
        try:
            error = kind.__new__(kind, *arguments)
            error.args = arguments
        except Exception:
            continue
        return error
    return RuntimeError(message)


def _class(module: str, name: str) -> type[BaseException] | None:
    if module == "builtins":
        found = getattr(builtins, name, None)
    elif module.partition(".")[0] in ("pandas", "numpy", "sklearn", "werkzeug", "json", "zoneinfo", "dateutil"):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            return None
    else:
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
