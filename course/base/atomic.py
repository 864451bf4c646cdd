"""Files and folders that are replaced as a whole: a reader finds the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False, concurrent: bool = False) -> Iterator[Path]:
    """Yield the place of a temporary file, which takes the place of `path` when the block ends well.

    Args:
        path: the file to write; its folder is made where it is missing.
        durable: what was written has reached the disk before it takes its place, so that it survives a power cut.
        concurrent: several processes may write `path` at once, so each has a temporary file of its own. Else there is
            one, and what a killed process left of it is written over by the next.

    Raises:
        OSError: it cannot be written. `path` is as it was before, as it is when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, "new", concurrent)
    try:
        yield temporary
        if durable:
            descriptor = os.open(temporary, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write(
    path: Path, content: str | bytes, *, durable: bool = False, concurrent: bool = False, mode: int | None = None
) -> None:
    """Write a file whole or not at all.

    Args:
        path, durable, concurrent: see :func:`replacing`.
        content: text (written as UTF-8; what cannot be encoded becomes a question mark) or bytes.
        mode: its permissions; those that the process gives to new files by default.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    with replacing(path, durable=durable, concurrent=concurrent) as temporary:
        temporary.write_bytes(data)
        if mode is not None:
            temporary.chmod(mode)


@contextlib.contextmanager
def replacing_folder(path: Path, *, concurrent: bool = False) -> Iterator[Path]:
    """Yield a new, empty folder, which takes the place of `path` when the block ends well.

    Args:
        path: the folder; a file that is there is replaced too.
        concurrent: see :func:`replacing`.

    Raises:
        OSError: it cannot be written. `path` is as it was before, as it is when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = _beside(path, "new", concurrent), _beside(path, "old", concurrent)
    _remove(fresh)
    _remove(old)
    fresh.mkdir()
    try:
        yield fresh
        if os.path.lexists(path):
            os.replace(path, old)
        try:
            os.replace(fresh, path)
        except BaseException:
            if os.path.lexists(old):
                os.replace(old, path)
            raise
        _remove(old)
    finally:
        _remove(fresh)


def _beside(path: Path, suffix: str, concurrent: bool) -> Path:
    own = f".{os.urandom(4).hex()}" if concurrent else ""
    return path.with_name(f".{path.name}{own}.{suffix}")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()  # it was a file
