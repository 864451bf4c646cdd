"""When work was handed in: the file `timestamp.txt` in a submission, which nbgrader reads, too."""

from __future__ import annotations

import datetime as dt

FILE = "timestamp.txt"
FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"
MAX_CHARACTERS = 60


def write(moment: dt.datetime) -> str:
    """The text of the file, for a moment with a time zone."""
    return moment.astimezone(dt.UTC).strftime(FORMAT) + "\n"


def text(files: dict[str, bytes]) -> str:
    """What the file says, of a submission's files by name; "" where there is none. A student may have written it."""
    return files.get(FILE, b"").decode("utf-8", "replace").strip()[:MAX_CHARACTERS]


def read(said: str) -> dt.datetime | None:
    """The moment, in UTC; None where the text is not one that :func:`write` wrote."""
    try:
        return dt.datetime.strptime(said.strip(), FORMAT).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
