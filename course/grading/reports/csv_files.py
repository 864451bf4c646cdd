"""The one writer of CSV: what a spreadsheet would take for a formula, or a terminal for a command, becomes text."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from course.base.texts import printable


def text(header: Sequence[str], rows: Iterable[Sequence[Any]], verbatim: Collection[int] = ()) -> str:
    """A CSV file.

    Args:
        header: the names of its columns.
        rows: its cells.
        verbatim: columns that are written as they are: those by which a platform finds a line again.
    """
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow([cell if number in verbatim else plain(cell) for number, cell in enumerate(header)])
    for row in rows:
        writer.writerow([cell if number in verbatim else plain(cell) for number, cell in enumerate(row)])
    return made.getvalue()


def plain(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not compute."""
    if not isinstance(value, str):
        return value
    shown = "\n".join(printable(line) for line in value.splitlines())
    formula = shown.lstrip()[:1] in tuple("=+-@|%") or value[:1] in ("\t", "\r", "\n")
    return f"'{shown}" if formula and not _is_number(shown) else shown


def number(value: float) -> str:
    """Points as they are shown everywhere: two digits after the point at most."""
    return f"{round(value, 2):.10g}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value in ("", "-")  # a single hyphen is how Moodle writes "never"
    return True
