"""Keeps the tables as Parquet in the user's cache folder, and gives them out."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd

from course.base import atomic
from course.flights import build
from course.flights.moments import TODAY, YEAR_END, microsecond, microseconds

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent
PUBLIC_TABLES = "COURSE_TABLES"
"""The environment variable that names the folder of :func:`publish`."""

memory: dict[str, pd.DataFrame] = {}
"""Tables that this process has read; never handed out without copying."""


def load(name: str) -> pd.DataFrame:
    """Return a table: from this process's memory, else from the cache if it is good, else from the source."""
    if public := os.environ.get(PUBLIC_TABLES):
        return _public_table(Path(public), name)
    if name not in memory:
        source = build.source_folder()
        key = version(source)
        folder = root() / f"flights-{key}"
        table = _read_cached(folder / f"{name}.parquet", key)
        if table is None:
            tables = build.build_tables(build.read_source(source))
            _try_to_keep(folder, tables, key)
            memory.update(tables)
        else:
            memory[name] = table
    return memory[name]


def _try_to_keep(folder: Path, tables: dict[str, pd.DataFrame], key: str) -> None:
    try:
        _write_cache(folder, tables, key)
    except OSError as error:
        log.warning(
            "cannot keep the flights in %s (%s); every process will read them afresh, which takes seconds. "
            "Set COURSE_CACHE to a folder that can be written",
            folder,
            error,
        )


def publish() -> Path:
    """Write the tables without what happens from TODAY on, for processes that must not see it; the engine does this.

    Returns:
        The folder, which those processes find in the environment variable COURSE_TABLES. They need neither the source
        of the data nor the cache.

    Raises:
        OSError: the cache cannot be written.
    """
    key = version(build.source_folder())
    folder = root() / "public" / f"flights-{key}"
    names = ("plan", "happened", "weather", "airlines", "airports", "planes")
    if not all((folder / f"{name}.parquet").is_file() for name in names):
        tables = {name: load(name) for name in names}
        happened, later = tables["happened"].copy(), microseconds(tables["happened"]["_known_at"]) >= microsecond(TODAY)
        nothing = {"tailnum": None, "cancelled": False, "late": pd.NA, "_known_at": YEAR_END}
        for name in happened:
            happened.loc[later, name] = nothing.get(name, np.nan)
        tables["happened"] = happened
        tables["weather"] = take(
            tables["weather"], microseconds(tables["weather"]["observed_at"]) <= microsecond(TODAY)
        )
        tables["planes"] = take(tables["planes"], microseconds(tables["planes"]["_first_seen"]) < microsecond(TODAY))
        _write_cache(folder, tables, key)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path == folder else 0o644)  # another user's processes read them
    return folder


def _public_table(folder: Path, name: str) -> pd.DataFrame:
    place = f"{folder}/{name}"
    if place not in memory:
        table = _read_cached(folder / f"{name}.parquet", folder.name.removeprefix("flights-"))
        if table is None:
            raise FileNotFoundError(f"there is no good {name}.parquet in {folder} (set by {PUBLIC_TABLES})")
        memory[place] = table
    return memory[place]


def root() -> Path:
    """Return the folder in which the course keeps what it can make again."""
    if chosen := os.environ.get("COURSE_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("course")


def version(source: Path) -> str:
    """Name what a cached table depends on: the source's files, this package's code, and what wrote it."""
    import pyarrow

    digest = hashlib.blake2b(f"{pd.__version__} {pyarrow.__version__}".encode(), digest_size=8)
    for path in [*sorted(PACKAGE.glob("*.py")), *(source / name for name in build.FILES.values())]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_cached(path: Path, key: str) -> pd.DataFrame | None:
    """Read a cached table; None if there is none, or it is broken or somebody else's."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        # One thread: this may run in a process that forks later.
        with parquet.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            if (file.schema_arrow.metadata or {}).get(b"course.flights") != f"{key} {path.stem}".encode():
                raise ValueError("it is not this version's")
            return file.read(use_threads=False).to_pandas(use_threads=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        log.info("the cached flights in %s are unusable (%s) and are made again", path, error)
        return None


def _write_cache(folder: Path, tables: dict[str, pd.DataFrame], key: str) -> None:
    """Write every table whole or not at all: another process sees the old file or the new one, never a part."""
    import pyarrow
    import pyarrow.parquet as parquet

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        data = pyarrow.Table.from_pandas(table, preserve_index=False, nthreads=1)
        mark = {b"course.flights": f"{key} {name}".encode()}
        data = data.replace_schema_metadata({**(data.schema.metadata or {}), **mark})
        with atomic.replacing(folder / f"{name}.parquet", concurrent=True) as part:
            parquet.write_table(data, part, compression="lz4", write_page_checksum=True)
            part.chmod(0o600)  # December is in it
    _drop_old(folder)


def _drop_old(keep: Path, days: float = 14) -> None:
    """Remove caches of other versions that nobody made anew for some days."""
    for folder in keep.parent.glob("flights-*"):
        with contextlib.suppress(OSError):
            if folder != keep and folder.is_dir() and time.time() - folder.stat().st_mtime > days * 86400:
                shutil.rmtree(folder, ignore_errors=True)


def take(table: pd.DataFrame, rows: np.ndarray, names: list[str] | None = None) -> pd.DataFrame:
    """Return a new frame of some rows and columns, numbered from 0."""
    return (table if names is None else table[names])[rows].reset_index(drop=True)
