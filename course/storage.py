"""A store of objects: get, put, put_if_absent, list. Students' pipelines import it; here it is a folder.

A pipeline talks to its store through these four calls and nothing else, so an object store in the cloud can take the
folder's place. `connect()` opens the store that the environment variable COURSE_STORE names.

A store is sometimes down. So that a pipeline can be tried against that, the variable COURSE_STORE_FAULTS may name a
file with two numbers in JSON: `{"unavailable": 2, "die_at_write": 3}` makes the next two calls raise `Unavailable`, and
ends the process just before its third write, as `kill -9` would.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

STORE = "COURSE_STORE"
FAULTS = "COURSE_STORE_FAULTS"
KILLED = 137  # the exit status of a process that was killed
_PART = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,99}")
_DEPTH = 8


class StorageError(Exception):
    """A store could not do what it was told."""


class Unavailable(StorageError):
    """The store did not answer. Nothing was read or written; the same call may succeed later."""


class Missing(StorageError, KeyError):
    """There is no object of that key."""

    def __str__(self) -> str:
        """Return the message, without KeyError's quotes."""
        return str(self.args[0])


class BadKey(StorageError, ValueError):
    """Keys are names with slashes between them, such as landing/2013-11-05.csv."""


class FolderStore:
    """Objects in a folder. A write is whole or did not happen.

    Args:
        folder: where they are; it is made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes:
        """Return an object's content.

        Raises:
            Missing: there is no such object.
            Unavailable: the store is down.
        """
        path = self._path(key)
        _meet_faults(writes=False)
        try:
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise Missing(f"the store has no object {key!r}") from None

    def put(self, key: str, content: bytes) -> None:
        """Write an object; one of the same key is replaced.

        Raises:
            Unavailable: the store is down.
        """
        with self._written(key, content) as (fresh, path):
            os.replace(fresh, path)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless there is one of that key; return whether it was written.

        Of two writers that come at the same moment, exactly one gets True.

        Raises:
            Unavailable: the store is down.
        """
        with self._written(key, content) as (fresh, path):
            try:
                os.link(fresh, path)
            except FileExistsError:
                return False
            return True

    def list(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with a text, in order.

        Raises:
            Unavailable: the store is down.
        """
        _meet_faults(writes=False)
        paths = (path for path in self._folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        keys = (path.relative_to(self._folder).as_posix() for path in paths)
        return sorted(key for key in keys if key.startswith(prefix))

    def _path(self, key: str) -> Path:
        parts = key.split("/") if isinstance(key, str) else []
        if not 0 < len(parts) <= _DEPTH or not all(_PART.fullmatch(part) for part in parts):
            raise BadKey(f"{key!r} is not a key; a key is made of names and slashes, such as landing/2013-11-05.csv")
        return self._folder.joinpath(*parts)

    @contextlib.contextmanager
    def _written(self, key: str, content: bytes) -> Any:
        path = self._path(key)
        if not isinstance(content, bytes):
            raise TypeError(f"an object's content is bytes, not {type(content).__name__}; text.encode() makes bytes")
        _meet_faults(writes=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{secrets.token_hex(8)}")
        try:
            fresh.write_bytes(content)
            yield fresh, path
        finally:
            fresh.unlink(missing_ok=True)


def connect(address: str | None = None) -> FolderStore:
    """Open a store.

    Args:
        address: a folder; by default what the environment variable COURSE_STORE names, else `store` in this folder.
    """
    return FolderStore(Path(address or os.environ.get(STORE) or "store"))


def _meet_faults(*, writes: bool) -> None:
    """Fail, or end the process, if a file of faults says so; it counts down in the file."""
    if not (name := os.environ.get(FAULTS)) or not (file := Path(name)).is_file():
        return
    faults = json.loads(file.read_text())
    if faults.get("unavailable", 0) > 0:
        file.write_text(json.dumps({**faults, "unavailable": faults["unavailable"] - 1}))
        raise Unavailable("503: the store is not available; try again later")
    if writes and faults.get("die_at_write", 0) > 0:
        file.write_text(json.dumps({**faults, "die_at_write": faults["die_at_write"] - 1}))
        if faults["die_at_write"] == 1:
            os._exit(KILLED)
