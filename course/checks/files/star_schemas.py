"""A star schema in files: one Parquet and one CSV file per table, and `model.yml`, which says what they mean.

    star = Star(files, Tables())
    star.agrees("predictions", "prediction")                        # Parquet and CSV hold the same
    star.leads("predictions", "origin", "airports", "airport")      # each row finds its row in the other table
    star.has_keys("predictions")                                    # by model.yml: no key is missing, or there twice

`model.yml` names for each table its key, its references and its columns:

    tables:
      predictions:
        key: prediction
        references: {origin: airports.airport}
        columns:
          prediction: {meaning: the id of the log line}
          cost: {meaning: what the error cost, unit: EUR}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from course.checks.core.expectations import Unmet, fail
from course.checks.files import reading
from course.checks.files.tables import Tables, canonical_column, read_csv, same

MODEL = "model.yml"
MOST_TABLES = 30
SHOWN = 5


class Star:
    """The tables of a star schema and what its model says of them.

    Args:
        files: name → content, of any origin.
        tables: reads Parquet.
    """

    def __init__(self, files: Mapping[str, bytes], tables: Tables) -> None:
        self.files, self._tables = files, tables
        self._read: dict[str, pd.DataFrame] = {}
        self._model: dict[str, dict[str, Any]] | None = None

    @property
    def model(self) -> dict[str, dict[str, Any]]:
        """What model.yml says: the name of a table → key, references and columns.

        Raises:
            Unmet: it is missing, cannot be read, or does not have this form.
        """
        if self._model is None:
            self._model = _model(self._content(MODEL))
        return self._model

    def table(self, name: str) -> pd.DataFrame:
        """A table, from its Parquet file."""
        if name not in self._read:
            file = f"{name}.parquet"
            self._read[name] = self._tables.read(file, self._content(file))
        return self._read[name]

    def has(self, name: str, *columns: str) -> None:
        """Fail unless a table has these columns, among others."""
        missing = [column for column in columns if column not in self.table(name)]
        if missing:
            got = ", ".join(map(str, self.table(name).columns))
            fail(f"the table {name} lacks {', '.join(missing)}", expected=", ".join(columns), actual=got)

    def agrees(self, name: str, *key: str) -> None:
        """Fail unless a table's CSV file holds the same as its Parquet file; `key` are the columns that name a row."""
        self.has(name, *key)
        same(self.table(name), read_csv(f"{name}.csv", self._content(f"{name}.csv")), key, name)

    def leads(self, name: str, column: str, table: str, key: str) -> None:
        """Fail unless each value of a column is among the keys of another table."""
        self.has(name, column)
        self.has(table, key)
        there = set(canonical_column(self.table(table)[key]))
        orphans = [value for value in canonical_column(self.table(name)[column]) if value not in there]
        if orphans:
            shown = ", ".join(sorted({repr(value) for value in orphans})[:SHOWN])
            hint = "such rows vanish from every report that joins the two tables; a dimension needs a row for each"
            reason = f"{len(orphans)} rows of {name} have a {column} that {table}.{key} lacks: {shown}"
            fail(reason[:300], hint=hint)

    def key(self, name: str) -> list[str]:
        """The columns that name a row of a table, as model.yml says.

        Raises:
            CheckFailed: the model has no key for it, or one that is no column.
        """
        if name not in self.model:
            fail(f"{MODEL} says nothing of the table {name}", actual=", ".join(self.model)[:200] or "no tables")
        key = self.model[name].get("key")
        columns = [key] if isinstance(key, str) else key
        if not isinstance(columns, list) or not columns or not all(isinstance(column, str) for column in columns):
            hint = "without a key nobody can join the table, or see that a row is there twice"
            fail(f"{MODEL} names no key of the table {name}", expected="key: the name of a column", got=key, hint=hint)
        strange = [column for column in columns if column not in self.table(name)]
        if strange:
            there = ", ".join(map(str, self.table(name).columns))
            fail(f"the key of {name} in {MODEL} is not a column of it: {strange[0][:100]!r}", actual=there)
        return columns

    def has_keys(self, name: str) -> None:
        """Fail unless each row of a table has a key that no other row has."""
        key = self.key(name)
        rows = list(zip(*(canonical_column(self.table(name)[column]) for column in key), strict=True))
        if any(part is None for row in rows for part in row):
            fail(f"a row of {name} has no {' or no '.join(key)}, though that is its key")
        if len(set(rows)) < len(rows):
            seen: set[Any] = set()
            twice = next(row for row in rows if row in seen or seen.add(row))  # type: ignore[func-returns-value]
            shown = ", ".join(map(str, twice))[:150]
            fail(
                f"{len(rows) - len(set(rows))} rows of {name} have a key that another row has, such as {shown!r}",
                expected=f"{len(rows):,} keys for {len(rows):,} rows",
                actual=f"{len(set(rows)):,} keys",
            )

    def references(self, name: str) -> dict[str, tuple[str, str]]:
        """The references of a table: column → the table and the column that it leads to.

        Raises:
            CheckFailed: one names no column, no table, or another column than that table's key.
        """
        self.key(name)
        given = self.model[name].get("references") or {}
        if not isinstance(given, dict):
            fail(f"references of {name} in {MODEL} must map columns to keys", got=given, expected="{column: table.key}")
        found = {}
        for column, target in given.items():
            table, _, key = str(target).partition(".")
            if column not in self.table(name):
                fail(f"{MODEL} has a reference of {name} that is not a column of it", got=column)
            if table not in self.model or [key] != self.key(table):
                hint = "write the table, a dot and its key, such as airports.airport"
                fail(f"the reference {name}.{column} does not name the key of a table", got=target, hint=hint)
            found[str(column)] = (table, key)
        return found

    def refers(self, name: str, wanted: Mapping[str, str]) -> None:
        """Fail unless model.yml has these references of a table: column → the other table."""
        found = self.references(name)
        for column, table in wanted.items():
            if found.get(column, ("", ""))[0] != table:
                hint = f"references: {{{column}: {table}.…}}"
                got = ", ".join(f"{one}: {'.'.join(to)}" for one, to in found.items()) or "no references"
                fail(f"{MODEL} has no reference from {name}.{column} to the table {table}", actual=got, hint=hint)

    def is_documented(self, name: str, *, units: Sequence[str] = ()) -> None:
        """Fail unless model.yml gives the meaning of each column of a table, and the unit of some."""
        self.key(name)
        columns = self.model[name].get("columns")
        if not isinstance(columns, dict):
            fail(f"{MODEL} describes no columns of {name}", expected="columns: {name: {meaning: …}}", got=columns)
        there = [str(column) for column in self.table(name).columns]
        silent = [column for column in there if not _says(columns.get(column), "meaning")]
        if silent:
            fail(f"{MODEL} gives no meaning of {', '.join(f'{name}.{column}' for column in silent[:SHOWN])}")
        gone = [str(column) for column in columns if column not in there]
        if gone:
            fail(f"{MODEL} describes a column that {name} does not have: {gone[0][:100]!r}", actual=", ".join(there))
        bare = [column for column in units if not _says(columns.get(column), "unit")]
        if bare:
            fail(f"{MODEL} gives no unit of {', '.join(f'{name}.{column}' for column in bare)}", got=columns[bare[0]])

    def _content(self, name: str) -> bytes:
        if name not in self.files:
            there = ", ".join(sorted(self.files)[:20])[:300] or "nothing"
            raise Unmet(f"{name} is written", f"there is no {name} in the folder", actual=there)
        return self.files[name]


def _says(column: Any, what: str) -> bool:
    text = column.get(what) if isinstance(column, dict) else None
    return isinstance(text, str) and bool(text.strip())


def _model(content: bytes) -> dict[str, dict[str, Any]]:
    title = f"{MODEL} can be read"
    if len(content) > reading.MAX_DOCUMENT_BYTES:
        raise Unmet(title, f"{MODEL} is too large")
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unmet(title, f"{MODEL} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    document = reading.parse(source, MODEL)
    tables = document.get("tables") if isinstance(document, dict) else None
    if (
        not isinstance(tables, dict)
        or len(tables) > MOST_TABLES
        or not all(isinstance(table, dict) for table in tables.values())
    ):
        raise Unmet(
            title,
            f"{MODEL} does not list the tables",
            expected="tables: {predictions: {key: …, references: …, columns: …}, …}",
            actual=str(tables if isinstance(document, dict) and "tables" in document else document)[:200],
        )
    return {str(name): table for name, table in tables.items()}
