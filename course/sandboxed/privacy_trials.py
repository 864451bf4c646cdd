"""Tries a student's code on people's data, in the worker's process: tables, a company's folder, a pipeline, views.

`course.checks.privacy` asks it from the other side. It runs where a student's code runs, so it imports nothing of the
course, and nothing that it returns is trusted.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import hmac
import importlib
import io
import logging
import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

MAX_FILES = 100
MAX_BYTES = 16 * 2**20
MAX_PRINTED = 100_000
MAX_ROWS = 20_000
MAX_EVENTS = 500

_trials = Path("trials").absolute()


def protect(module: str, bookings: pd.DataFrame, purpose: str, key: str, today: pd.Timestamp) -> dict[str, Any]:
    """Call protect(), and return its table, what it printed or logged, and the files that it left."""
    function = getattr(importlib.import_module(module), "protect", None)
    if not callable(function):
        return {"absent": "protect"}
    folder = _new("protect")
    with _listening() as printed, contextlib.chdir(folder):
        table = function(bookings, purpose, key, today)
    if isinstance(table, pd.DataFrame) and "passenger" in table:
        table = table.assign(passenger=[_text(name) for name in table["passenger"]])
    return {"table": table, "printed": printed.getvalue()[:MAX_PRINTED], "files": _files(folder)}


def pseudonyms(module: str, addresses: list[str], purpose: str, key: str) -> dict[str, Any]:
    """The pseudonym of each address."""
    function = getattr(importlib.import_module(module), "pseudonym", None)
    if not callable(function):
        return {"absent": "pseudonym"}
    return {"pseudonyms": [_text(function(address, purpose, key)) for address in addresses]}


def _text(name: Any) -> Any:
    """A pseudonym that is a number, as a text."""
    return str(name) if isinstance(name, int) else name


def company(trial: str, tables: dict[str, pd.DataFrame], documents: dict[str, str]) -> None:
    """Write the folder of a company, anew."""
    folder = _new(trial)
    for place in {*tables, *documents}:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
    for place, table in tables.items():
        table.to_parquet(folder / place, index=False)
    for place, text in documents.items():
        (folder / place).write_text(text, encoding="utf-8")


def erase(module: str, trial: str, email: str, keys: list[str]) -> dict[str, Any]:
    """Call erase() on the folder of a company.

    Args:
        module: the student's.
        trial: names the folder.
        email: whom to erase.
        keys: those of all pseudonyms that a person may have, as :func:`name_of` makes them.
    """
    function = getattr(importlib.import_module(module), "erase", None)
    if not callable(function):
        return {"absent": "erase"}

    def pseudonyms_of(address: str) -> list[str]:
        return [name_of(address, key) for key in keys]

    with _listening() as printed:
        report = function(_trials / trial, email, pseudonyms_of)
    return {
        "report": repr(report)[:MAX_PRINTED],
        "printed": printed.getvalue()[:MAX_PRINTED],
        "files": _files(_trials / trial),
    }


def name_of(address: str, key: str) -> str:
    """The pseudonym that the course uses in its own tables."""
    return hmac.new(key.encode(), address.strip().lower().encode(), hashlib.sha256).hexdigest()[:20]


def views(
    sql: str, names: list[str], tables: dict[str, pd.DataFrame], later: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """Create views on some tables, change what the tables hold, and read the views.

    Args:
        sql: the student's statements.
        names: of the views.
        tables: name → what the table holds while the statements run.
        later: name → what it holds when the views are read.

    Returns:
        {"views": name → table} or {"problem": …, "at": "create" or the name of a view}.
    """
    import duckdb

    settings = {
        "memory_limit": "300MB",
        "threads": 1,
        "enable_external_access": "false",
        "max_temp_directory_size": "0B",
    }
    with duckdb.connect(config=settings) as base:
        for name, table in tables.items():
            base.register("given", table)
            base.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')
            base.unregister("given")
        base.execute("SET lock_configuration = true")
        try:
            base.execute(sql)
        except duckdb.Error as error:
            return {"problem": str(error)[:400], "at": "create"}
        for name, table in later.items():
            base.register("given", table)
            base.execute(f'DELETE FROM "{name}"')
            base.execute(f'INSERT INTO "{name}" SELECT * FROM given')
            base.unregister("given")
        found = {}
        for name in names:
            try:
                found[name] = base.execute(f'SELECT * FROM "{name}" LIMIT {MAX_ROWS + 1}').df()
            except duckdb.Error as error:
                return {"problem": str(error)[:400], "at": name}
    return {"views": found}


def pipeline(module: str, trial: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Run some steps by the student's run(), and watch the files that are really opened.

    Args:
        module: the student's.
        trial: the folder of a company, in which the steps work.
        steps: name, `reads` (each a path; with `if_there`, it may be missing), `writes`, and `fails`.

    Returns:
        events, and for each step that ran what was read and written; `raised`: the message of the exception, or None.
    """
    from openlineage.client import OpenLineageClient
    from openlineage.client.serde import Serde
    from openlineage.client.transport.transport import Transport

    function = getattr(importlib.import_module(module), "run", None)
    if not callable(function):
        return {"absent": "run"}
    events: list[Any] = []

    class Collector(Transport):
        kind = "collector"

        def emit(self, event: Any) -> None:
            if len(events) < MAX_EVENTS:
                events.append(Serde.to_dict(event))

    folder = _trials / trial
    watch = Watch(folder)
    plan = [(step["name"], _step(step, watch)) for step in steps]
    raised = None
    with _listening():
        try:
            function(folder, plan, OpenLineageClient(transport=Collector()))
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"[:300]
    watch.end()
    return {"events": events, "opened": watch.opened, "raised": raised, "watched": watch.works}


def _step(step: dict[str, Any], watch: Watch) -> Callable[..., None]:
    def work(read: Callable[[str], pd.DataFrame], write: Callable[[pd.DataFrame, str], None]) -> None:
        watch.begin(step["name"])
        frames = []
        for place in step["reads"]:
            try:
                frames.append(read(place))
                watch.did("reads", place)
            except FileNotFoundError:
                if place not in step.get("if_there", []):
                    raise
        if step.get("fails"):
            raise RuntimeError("the disk is full")
        for place in step["writes"]:
            write(frames[-1], place)
            watch.did("writes", place)

    return work


class Watch:
    """Watches by Linux's inotify which files below a folder are read and written; elsewhere it notes what steps did."""

    _OPENED_AND_READ, _WRITTEN, _MOVED_HERE, _FOLDER = 0x10, 0x8, 0x80, 0x40000000

    def __init__(self, folder: Path) -> None:
        self.opened: list[dict[str, Any]] = []
        self._folder, self._places = folder, {}
        self._notes: dict[str, set[str]] = {"reads": set(), "writes": set()}
        self._name: str | None = None
        self._handle = -1
        library = ctypes.CDLL(None, use_errno=True)
        if hasattr(library, "inotify_init1"):
            self._handle = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self._OPENED_AND_READ | self._WRITTEN | self._MOVED_HERE
        for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())) if self._handle >= 0 else ():
            number = library.inotify_add_watch(self._handle, os.fsencode(place), mask)
            self._places[number] = place
        self.works = self._handle >= 0 and -1 not in self._places

    def begin(self, name: str) -> None:
        """A step begins; what was opened until now belongs to the one before."""
        self._settle()
        self._name = name

    def did(self, kind: str, place: str) -> None:
        """A step has read or written a file."""
        self._notes[kind].add(place)

    def end(self) -> None:
        """The pipeline has ended."""
        self._settle()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _settle(self) -> None:
        found = self._drain() if self.works else self._notes
        self._notes = {"reads": set(), "writes": set()}
        if self._name is not None:
            kept = {kind: sorted(place for place in found[kind] if (self._folder / place).exists()) for kind in found}
            self.opened.append({"name": self._name, **kept})
        self._name = None

    def _drain(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {"reads": set(), "writes": set()}
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                number, mask, _, length = struct.unpack_from("iIII", data)
                name, data = data[16 : 16 + length].rstrip(b"\0"), data[16 + length :]
                if mask & self._FOLDER or number not in self._places or not name:
                    continue
                place = (self._places[number] / os.fsdecode(name)).relative_to(self._folder).as_posix()
                found["reads" if mask & self._OPENED_AND_READ else "writes"].add(place)


def _new(trial: str) -> Path:
    folder = _trials / trial
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@contextlib.contextmanager
def _listening() -> Iterator[io.StringIO]:
    """What is printed or logged meanwhile."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            yield heard
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def _files(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        place, kind = path.relative_to(folder).as_posix(), path.lstat()
        if stat.S_ISDIR(kind.st_mode):
            continue
        size += kind.st_size
        if not stat.S_ISREG(kind.st_mode) or len(found) >= MAX_FILES or size > MAX_BYTES:
            raise ValueError(f"{place[:200]} is not an ordinary file, or the files are too many or too large")
        found[place] = path.read_bytes()
    return found
