"""Handing in: a lab's folder as one zip with a receipt. Used by `course submit`, `%submit` and, to verify, `collect`.

The receipt names every file with its SHA-256 and the time; its code is a hash of all that. Whoever knows the code can
tell whether work is what was handed in then. Needs nothing but the standard library, and knows nothing of checks.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

RECEIPT = "receipt.json"
FOLDER = "handed_in"
VERSION = 1
MAX_FILES = 2_000
MAX_FILE_BYTES = 50 * 2**20
MAX_TOTAL_BYTES = 200 * 2**20
MAX_RECEIPT_BYTES = 2**20
LEFT_OUT = (".ipynb_checkpoints", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv", "__MACOSX", ".DS_Store")
GIVEN = "given"  # instructors have it, and put it back
TIME = "%Y-%m-%dT%H:%M:%SZ"
REHEARSAL = "COURSE_REHEARSAL"  # set where a notebook is validated, not worked on
STUB = "YOUR WORK HERE"  # what a release puts where a file is to be written
STUBS = ("YOUR CODE HERE", STUB, "raise NotImplementedError()")
_SHIP = re.compile(r"%%ship[ \t]+(?:--no-run[ \t]+)?[\"']?([^\s\"']+)[\"']?(?:[ \t]+--no-run)?[ \t]*\n")
_ZIP = re.compile(r"(?P<lab>\d\d_[a-z0-9_]+)-\d{8}-\d{6}")


class HandingInError(Exception):
    """Work cannot be handed in, or a receipt cannot be read; the message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback."""
        return [f"Not handed in: {self}"]


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


@dataclass(frozen=True)
class HandedIn:
    """A zip that was made.

    Attributes:
        zip: the file that the instructor gets.
        kept: the receipt beside it, which the student keeps.
        receipt: what it says.
        remarks: what the student should look at, each a sentence.
    """

    zip: Path
    kept: Path
    receipt: Receipt
    remarks: tuple[str, ...]

    @property
    def shipped(self) -> list[str]:
        """The shipped files among those handed in."""
        return sorted(name.removeprefix("shipped/") for name in self.receipt.files if name.startswith("shipped/"))

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for scripts."""
        return {
            "version": VERSION,
            "lab": self.receipt.lab,
            "time": self.receipt.time.strftime(TIME),
            "code": self.receipt.code,
            "zip": str(self.zip),
            "receipt": str(self.kept),
            "files": self.receipt.files,
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        files, shipped = len(self.receipt.files), self.shipped
        lines = [f"{self.receipt.lab}: {files} file{'s' * (files != 1)}, {len(shipped)} of them shipped"]
        lines += [f"  {name}" for name in shipped[:12]] + ["  …"] * (len(shipped) > 12)
        lines += [f"look at this: {remark}" for remark in self.remarks]
        lines += [
            f"receipt {self.receipt.code}",
            f"give this file to your instructor: {_near(self.zip)}",
            f"keep this one:                     {_near(self.kept)}",
        ]
        return "\n".join(lines)


def hand_in(lab: Path, to: Path | None = None, *, at: dt.datetime | None = None) -> HandedIn:
    """Put a lab's folder into a zip with a receipt. Earlier ones stay.

    Args:
        lab: the lab's folder, such as labs/01_python_model.
        to: the folder for the zip; by default `handed_in/` in the course's folder.
        at: the time; now by default.

    Raises:
        HandingInError: this is no lab's folder, a notebook cannot be read, or it is too large.
    """
    lab = lab.resolve()
    notebooks = sorted(lab.glob("*.ipynb"))
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", lab.name) or not notebooks:
        raise HandingInError(f"{lab} is no lab's folder; go to one, such as labs/01_python_model, or name it")
    for path in notebooks:
        cells(path)  # one that cannot be read would be refused
    time = (at or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).replace(microsecond=0)
    remarks: list[str] = []
    contents = {name: path.read_bytes() for name, path in _files(lab, remarks)}
    if sum(map(len, contents.values())) > MAX_TOTAL_BYTES or len(contents) > MAX_FILES:
        largest = sorted(contents, key=lambda name: -len(contents[name]))[:3]
        raise HandingInError(
            f"{lab.name} holds {len(contents)} files and {sum(map(len, contents.values())) >> 20} MiB; at most "
            f"{MAX_FILES} and {MAX_TOTAL_BYTES >> 20} MiB can be handed in. Move elsewhere what does not belong to "
            f"your work. The largest: {', '.join(largest)}"
        )
    receipt = Receipt(lab.name, time, {name: _sha256(data) for name, data in contents.items()})
    remarks += unsaved(lab)
    if not any(name.startswith("shipped/") for name in contents):
        remarks.append("nothing is shipped yet, and grades are given to what was shipped; run your answer cells first")
    folder = (to or course_folder(lab) / FOLDER).resolve()
    target = folder / f"{lab.name}-{time:%Y%m%d-%H%M%S}.zip"
    kept = target.with_name(f"{target.stem}-{RECEIPT}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_zip(target, lab.name, contents, receipt)
        kept.write_text(receipt.to_json(), encoding="utf-8")
    except OSError as error:
        raise HandingInError(
            f"{folder} cannot be written to ({error.strerror}); name another place with --to"
        ) from None
    return HandedIn(target, kept, receipt, tuple(remarks))


def course_folder(lab: Path) -> Path:
    """The course's folder, of a lab in its `labs/`; else the folder that the lab lies in."""
    return lab.parent.parent if lab.parent.name == "labs" else lab.parent


def latest(lab: Path, folder: Path | None = None) -> Receipt | None:
    """The last receipt of a lab that was kept on this machine; None when there is none."""
    folder = folder or course_folder(lab) / FOLDER
    for path in sorted(folder.glob(f"{lab.name}-*-{RECEIPT}"), reverse=True):
        try:
            return read_receipt(path.read_bytes())
        except (OSError, HandingInError):
            continue
    return None


def changed_since(lab: Path, receipt: Receipt) -> list[str]:
    """The files of a lab's folder that are not as they were handed in."""
    now = {name: _sha256(path.read_bytes()) for name, path in _files(lab, [])}
    return sorted(name for name in {*now, *receipt.files} if now.get(name) != receipt.files.get(name))


def read_receipt(data: bytes) -> Receipt:
    """A receipt from its file, which may come from anywhere.

    Raises:
        HandingInError: it is none.
    """
    try:
        if len(data) > MAX_RECEIPT_BYTES:
            raise ValueError("it is too large")
        plain = json.loads(data)
        files = plain["files"]
        if plain["version"] != VERSION or not isinstance(files, dict) or not isinstance(plain["lab"], str):
            raise ValueError("it has another form")
        if not all(isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", str(sha)) for name, sha in files.items()):
            raise ValueError("it names a file without its SHA-256")
        time = dt.datetime.strptime(plain["time"], TIME).replace(tzinfo=dt.UTC)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HandingInError(f"the receipt cannot be read ({error})") from None
    return Receipt(plain["lab"], time, files)


def differences(folder: Path, receipt: Receipt, ignore: tuple[str, ...] = ()) -> list[str]:
    """What in a folder of ordinary files is not as the receipt says, each as "NAME was changed"."""
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    found = []
    for name in sorted({*there, *receipt.files} - {RECEIPT, *ignore}):
        if name not in there:
            found.append(f"{name} is missing")
        elif name not in receipt.files:
            found.append(f"{name} is new")
        elif _sha256(there[name].read_bytes()) != receipt.files[name]:
            found.append(f"{name} was changed")
    return found


def is_our_name(stem: str) -> bool:
    """Whether a zip's name (without .zip) is one that :func:`hand_in` gives, which says nothing of whose it is."""
    return _ZIP.match(stem) is not None


def unsaved(lab: Path) -> list[str]:
    """Where notebooks on disk and shipped files are not an answer, as when one was not saved: a sentence each."""
    shipping: dict[str, list[tuple[str, str, bool]]] = {}
    for path in sorted(lab.glob("*.ipynb")):
        for cell in cells(path):
            text = source(cell)
            found = _SHIP.match(text)
            if cell.get("cell_type") == "code" and found:
                answer = bool(((cell.get("metadata") or {}).get("nbgrader") or {}).get("solution"))
                shipping.setdefault(found[1], []).append((path.name, text[found.end() :], answer))
    missing: dict[str, list[str]] = {}
    different: dict[str, list[str]] = {}
    untouched: dict[str, list[str]] = {}
    for name, versions in shipping.items():
        place = lab / "shipped" / PurePosixPath(name)
        if place.is_symlink():
            continue
        written = [(notebook, answer) for notebook, body, answer in versions if not any(stub in body for stub in STUBS)]
        shipped = _bare(place.read_text(encoding="utf-8", errors="replace")) if place.is_file() else None
        holding = [notebook for notebook, body, _ in versions if _bare(body) == shipped]
        if not written:
            if holding:
                untouched.setdefault(holding[-1], []).append(name)
        elif shipped is None:
            if any(answer for _, answer in written):
                missing.setdefault(written[-1][0], []).append(name)
        elif not holding:
            different.setdefault(written[-1][0], []).append(name)
    return [
        *(f"{notebook}: not shipped yet, run the cell of {', '.join(names)}" for notebook, names in missing.items()),
        *(
            f"{notebook}: the saved notebook does not hold what was shipped as {', '.join(names)}; save the notebook, "
            "and run that cell again"
            for notebook, names in different.items()
        ),
        *(
            f"{notebook}: what was shipped as {', '.join(names)} is the cell as it was given; write your answer there, "
            "and run it again"
            for notebook, names in untouched.items()
        ),
    ]


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which a file may hold as a list of lines."""
    text = cell.get("source", "")
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook on disk.

    Raises:
        HandingInError: it is no notebook.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in found if isinstance(cell, dict)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise HandingInError(
            f"{path.name} cannot be read as a notebook; open it in JupyterLab, save it, and try again"
        ) from None


def _bare(text: str) -> str:
    """Text without what shipping changes: white space at the ends of lines, tabs in a Makefile."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _files(lab: Path, remarks: list[str]) -> Iterator[tuple[str, Path]]:
    """The files that are handed in: name and place, in order. Links and special files are left out, with a remark."""
    for folder, folders, names in os.walk(lab):
        here = Path(folder)
        kept = [name for name in folders if name not in LEFT_OUT and not (here == lab and name == GIVEN)]
        folders[:] = sorted(name for name in kept if not (here / name).is_symlink())
        odd = [name for name in kept if name not in folders]
        for name in sorted(names):
            path = here / name
            label = path.relative_to(lab).as_posix()
            if name in LEFT_OUT or name.endswith(".pyc") or label == RECEIPT:
                continue
            details = path.lstat()
            if not stat.S_ISREG(details.st_mode):
                odd.append(name)
            elif details.st_size > MAX_FILE_BYTES:
                size = f"{details.st_size >> 20} MiB"
                raise HandingInError(
                    f"{label} has {size}, and {MAX_FILE_BYTES >> 20} MiB is the most; move it elsewhere"
                )
            else:
                yield label, path
        remarks += [
            f"{(here / name).relative_to(lab).as_posix()} is a link, or no ordinary file, and was left out"
            for name in odd
        ]


def _write_zip(target: Path, top: str, contents: dict[str, bytes], receipt: Receipt) -> None:
    temporary = target.with_name(f".{target.name}.new")
    when = min(
        max(receipt.time.timetuple()[:6], (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58)
    )  # what a zip can say
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**contents, RECEIPT: receipt.to_json().encode()}.items():
            entry = zipfile.ZipInfo(f"{top}/{name}", when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    os.replace(temporary, target)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _near(path: Path) -> str:
    """A path as a person in the current folder would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
