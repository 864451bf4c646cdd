"""Tables that a student's code wrote, as Parquet and as CSV: `Tables().read(name, content)`, `same(parquet, csv, key)`.

Parquet is read in a worker of its own (`table_reader`), because a small file may stand for very much; CSV is text.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, fail, quoted
from course.checks.core.processes import Stopped, Worker
from course.sandboxed.serialization import WireError

MAX_BYTES = 8 * 2**20
MAX_ROWS = 100_000
MAX_COLUMNS = 100
MAX_CELLS = 1_000_000
_READER = "course.sandboxed.table_reader"
_NOTHING = {"", "null", "nan", "na", "n/a", "none", "nat", "<na>", "\\n"}
_TRUE, _FALSE = {"true", "t", "1", "1.0", "yes"}, {"false", "f", "0", "0.0", "no"}
_LONGEST = 400  # of the text of a number, a time or a truth value


class Tables:
    """Reads Parquet files in a process that is started at the first one.

    Args:
        timeout: how long one file may take, in seconds.
    """

    def __init__(self, timeout: float = 15.0) -> None:
        self._timeout = timeout
        self._worker: Worker | None = None

    def read(self, name: str, content: bytes) -> pd.DataFrame:
        """The table in a Parquet file: plain columns, numbered from 0.

        Args:
            name: the file's, for messages.
            content: its bytes, of any origin.

        Raises:
            CheckFailed: it is not such a file, or stands for more than a table of a report needs.
        """
        if len(content) > MAX_BYTES:
            fail(f"{name} is larger than {MAX_BYTES >> 20} MiB")
        try:
            answer = self._ask(content)
        except (Stopped, WireError) as error:
            hint = "a small Parquet file can stand for very much: write it with DuckDB, pandas or pyarrow as they are"
            raise CheckFailed(f"{name} cannot be read: {error}"[:400], hint=hint) from None
        table = answer.get("table") if isinstance(answer, dict) else None
        if not isinstance(table, pd.DataFrame):
            problem = answer.get("problem") if isinstance(answer, dict) else None
            fail(f"{name} {str(problem or 'cannot be read as Parquet')[:300]}")
        if table.size > MAX_CELLS:
            fail(f"{name} holds more than {MAX_CELLS:,} values", actual=f"{table.shape[0]:,} rows of {table.shape[1]}")
        table.columns = pd.Index([str(column)[:200] for column in table.columns])
        return table

    def _ask(self, content: bytes) -> Any:
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = Worker(timeout=self._timeout)
            started = self._worker.request("use", name=_READER)
            if "error" in started:
                raise RuntimeError(f"the course's reader did not start: {started['error']}")
        answer = self._worker.request("call", function="read_parquet", args=[content], kwargs={})
        if "error" in answer:
            error = answer["error"]
            return {"problem": f"cannot be read: {error.get('message') if isinstance(error, dict) else error}"}
        return answer["ok"]


@bounded("the CSV file can be read", "the CSV file")
def read_csv(name: str, content: bytes) -> pd.DataFrame:
    """The table in a CSV file, each value as text: UTF-8, one line of names, commas.

    Raises:
        CheckFailed: it is something else.
    """
    if len(content) > MAX_BYTES:
        fail(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}")
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            if len(rows) > MAX_ROWS or len(row) > MAX_COLUMNS:
                fail(f"{name} holds more than {MAX_ROWS:,} rows or {MAX_COLUMNS} columns")
            rows.append(row)
    except csv.Error as error:
        fail(
            f"line {len(rows) + 1} of {name} is not CSV: {error}",
            hint="a program that writes CSV sets quotes as needed",
        )
    if not rows:
        fail(f"{name} is empty", hint="its first line has the names of the columns")
    names = rows[0]
    if len(names) == 1 and any(sign in names[0] for sign in ";\t"):
        fail(f"{name} does not separate its columns by commas", got=names[0][:100])
    if len(set(names)) < len(names):
        fail(f"{name} has two columns of the same name", actual=", ".join(names)[:200])
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            fail(f"row {number} of {name} has {len(row)} values, and its first line has {len(names)} names")
    return pd.DataFrame(rows[1:], columns=names, dtype=object)


def canonical(value: Any) -> Any:
    """A value as it is compared and counted: None if missing, a truth value, a number, or text. Times are ISO 8601.

    Midnight without a zone is its day; whole numbers are one with the same number as a fraction.
    """
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | Decimal):
        number = float(value) if abs(value) < 1e300 else math.inf
        return None if math.isnan(number) else number
    if isinstance(value, pd.Timestamp | dt.datetime | np.datetime64):
        moment = pd.Timestamp(value)
        if pd.isna(moment):
            return None
        if moment.tz is not None:
            return moment.tz_convert("UTC").isoformat()
        return moment.date().isoformat() if moment == moment.normalize() else moment.isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)[:_LONGEST]


def canonical_column(column: pd.Series) -> list[Any]:
    """All values of a column in that form."""
    return [canonical(value) for value in column.astype(object)]


@bounded("the tables can be compared", "the comparison")
def same(parquet: pd.DataFrame, written: pd.DataFrame, key: Sequence[str], name: str) -> None:
    """Fail unless a CSV file holds the same table as a Parquet file, in any order of rows and columns.

    Args:
        parquet: the table of the Parquet file.
        written: the table of the CSV file: text.
        key: the columns that name a row; each is in `parquet`.
        name: the table's, for messages.
    """
    if set(parquet.columns) != set(written.columns):
        odd = {"", "Unnamed: 0", "__index_level_0__"} & (set(parquet.columns) | set(written.columns))
        fail(
            f"{name}.parquet and {name}.csv have other columns",
            hint="pandas writes its row numbers, too; index=False leaves them out" if odd else None,
            expected=", ".join(map(str, parquet.columns)),
            actual=", ".join(map(str, written.columns)),
        )
    if len(parquet) != len(written):
        fail(f"{name}.parquet has {len(parquet):,} rows, and {name}.csv {len(written):,}")
    values = {column: canonical_column(parquet[column]) for column in parquet.columns}
    texts = {column: _as(values[column], written[column].tolist()) for column in parquet.columns}
    place = {row: number for number, row in enumerate(zip(*(map(_rounded, values[part]) for part in key), strict=True))}
    for number, row in enumerate(zip(*(map(_rounded, texts[part]) for part in key), strict=True)):
        at = place.get(row)
        if at is None:
            shown = ", ".join(map(str, row))
            fail(f"a row of {name}.csv is not in {name}.parquet: its key is {shown[:150]!r}")
        for column in parquet.columns:
            if not _alike(values[column][at], texts[column][number]):
                fail(
                    f"{column} differs in {name}.parquet and {name}.csv, for {', '.join(map(str, row))[:150]!r}",
                    expected=quoted(values[column][at]),
                    actual=quoted(written[column].iloc[number]),
                )


def _as(values: list[Any], texts: list[str]) -> list[Any]:
    """Texts of a CSV column, read as the kind of values that the same column of the Parquet file holds."""
    kind = next((type(value) for value in values if value is not None), None)
    return [_read(text, kind) for text in texts]


def _read(text: str, kind: type | None) -> Any:
    if kind is not str:
        plain = text.strip().lower()
        if plain in _NOTHING:
            return None
        if len(plain) > _LONGEST:
            return text
        if kind is bool:
            return True if plain in _TRUE else False if plain in _FALSE else text
        if kind is float:
            try:
                return canonical(float(plain))
            except ValueError:
                return text
        return text
    return _moment(text) if text else None


def _moment(text: str) -> str:
    """A text that is a time, in the form in which times are compared; any other text as it is."""
    looks = len(text) <= 40 and text[:4].isdigit() and text[4:5] == "-" and text[7:8] == "-"
    if not looks:
        return text
    try:
        return str(canonical(pd.Timestamp(text)))
    except (ValueError, OverflowError):
        return text


def _rounded(value: Any) -> Any:
    """A part of a key: numbers to nine digits, no text as nothing."""
    return float(f"{value:.9g}") if isinstance(value, float) else None if value == "" else value


def _alike(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-9)
    if value in (None, "") and other in (None, ""):
        return True
    if isinstance(value, str) and isinstance(other, str) and value != other:
        return value.replace("\r\n", "\n") == other.replace("\r\n", "\n") or _moment(value) == other
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)
