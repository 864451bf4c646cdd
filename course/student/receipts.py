"""Receipts: which files were handed in, each with its SHA-256, and when. Used where work is handed in and verified.

The code of a receipt is a hash of all that. Whoever knows the code can tell whether work is what was handed in then.
Needs nothing but the standard library.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.base import untrusted
from course.base.errors import UserError

FILE = "receipt.json"
VERSION = 1
MAX_BYTES = 2**20
MAX_ENTRIES = 20_000
MAX_FILE_BYTES = 200 * 2**20
FIRST_YEAR = 2000
TIME = "%Y-%m-%dT%H:%M:%SZ"


class ReceiptError(UserError):
    """A receipt cannot be read; the message says why."""


@dataclass(frozen=True)
class Receipt:
    """What was handed in, and when.

    Attributes:
        lab: the lab's name, such as 01_python_model.
        time: when, in UTC, by the clock of whoever handed in.
        files: SHA-256 (hexadecimal) by name, with `/`.
    """

    lab: str
    time: dt.datetime
    files: dict[str, str]

    @property
    def code(self) -> str:
        """What the student keeps: the first half of the SHA-256 of lab, time and files, in groups of four digits."""
        plain = json.dumps(self._plain(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        digits = hashlib.sha256(plain.encode()).hexdigest()[:32]
        return "-".join(digits[at : at + 4] for at in range(0, 32, 4))

    def _plain(self) -> dict[str, Any]:
        return {"version": VERSION, "lab": self.lab, "time": self.time.strftime(TIME), "files": self.files}

    def to_json(self) -> str:
        """The receipt as its file holds it."""
        return json.dumps({"code": self.code, **self._plain()}, indent=1, ensure_ascii=False) + "\n"


def read(data: bytes) -> Receipt:
    """A receipt from its file, which may come from anywhere.

    Raises:
        ReceiptError: it is none.
    """
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("it is too large")
        plain = json.loads(data)
        files = plain["files"]
        if plain["version"] != VERSION or not isinstance(files, dict) or not isinstance(plain["lab"], str):
            raise ValueError("it has another form")
        if not all(isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", str(sha)) for name, sha in files.items()):
            raise ValueError("it names a file without its SHA-256")
        json.dumps([plain["lab"], *files], ensure_ascii=False).encode()  # no half characters, which nothing can show
        time = dt.datetime.strptime(plain["time"], TIME).replace(tzinfo=dt.UTC)
        if time.year < FIRST_YEAR:
            raise ValueError(f"it is of the year {time.year}, when there was no such course")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReceiptError(f"the receipt cannot be read ({error})") from None
    return Receipt(plain["lab"], time, files)


def differences(folder: Path, receipt: Receipt, ignore: tuple[str, ...] = ()) -> list[str]:
    """What in a folder of ordinary files is not as the receipt says, each as "NAME was changed".

    Raises:
        FolderRefused: there is too much in the folder.
    """
    there = {
        place: Path(entry.path)
        for place, entry in untrusted.walk(folder, most=MAX_ENTRIES)
        if entry.is_file(follow_symlinks=False)
    }
    found = []
    for name in sorted({*there, *receipt.files} - {FILE, *ignore}):
        if name not in there:
            found.append(f"{name} is missing")
        elif name not in receipt.files:
            found.append(f"{name} is new")
        elif _sha256_of(there[name]) != receipt.files[name]:
            found.append(f"{name} was changed")
    return found


def sha256(data: bytes) -> str:
    """A file's SHA-256, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _sha256_of(path: Path) -> str | None:
    """The same of a file; None where it cannot be read, or is larger than anything that is handed in."""
    try:
        return sha256(untrusted.read_file(path, MAX_FILE_BYTES))
    except untrusted.FileRefused:
        return None
