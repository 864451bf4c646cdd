"""What became of each submission, durable as soon as it is known: classroom/outcomes/ and classroom/autograded/.

A file is written beside its place and renamed into it, so that it is whole or not there. The gradebook is written from
these files; a run that was stopped finds them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from course.base import atomic, timestamps, untrusted
from course.base.texts import readable
from course.grading.pipeline.submission import SubmissionOutcome

VERSION = 1
MAX_FILES = 2_000
MAX_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Submitted:
    """What a student handed in: its files by path, when it came ("" when that is not known), what was odd."""

    files: dict[str, bytes]
    at: str
    notes: tuple[str, ...]


def handed_in(folder: Path) -> Submitted:
    """Read a submission's files with care: ordinary files only, no links, sizes capped.

    Args:
        folder: classroom/submitted/<student>/<lab>.
    """
    files: dict[str, bytes] = {}
    notes: list[str] = []
    total = 0
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in (".ipynb_checkpoints", "__pycache__"))
        for name in sorted(names):
            path = Path(place, name)
            shown = readable(path.relative_to(folder).as_posix())
            if len(files) >= MAX_FILES or total > MAX_BYTES:
                notes.append(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB were handed in; the rest was left")
                return Submitted(files, "", tuple(notes))
            if shown != path.relative_to(folder).as_posix():
                notes.append(f"{shown} has a name that is not UTF-8; it was left out")
                continue
            try:
                data = untrusted.read_file(path, MAX_BYTES - total)
            except untrusted.FileRefused:
                notes.append(f"{shown} is a link, no ordinary file or too large; it was left out")
            else:
                files[shown] = data
                total += len(data)
    return Submitted(files, timestamps.text(files), tuple(notes))


class Store:
    """The outcomes of one lab.

    Args:
        root: the course's folder.
        lab: the lab's name.
    """

    def __init__(self, root: Path, lab: str) -> None:
        self.lab = lab
        self.folder = root / "classroom" / "outcomes" / lab
        self._autograded = root / "classroom" / "autograded"

    def path(self, student: str) -> Path:
        """The file of one student's outcome."""
        return self.folder / f"{student}.json"

    def read(self, student: str) -> SubmissionOutcome | None:
        """The outcome of a student's work, or None where there is none that can be used."""
        try:
            data = json.loads(self.path(student).read_text(encoding="utf-8"))
            outcome = SubmissionOutcome.from_dict(data["outcome"]) if data.get("version") == VERSION else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        # a run that was killed between two renames leaves an outcome without its notebooks
        whole = outcome is None or outcome.trouble or (self._autograded / student / self.lab).is_dir()
        return outcome if whole else None

    def all(self) -> list[SubmissionOutcome]:
        """Every outcome of the lab, by student."""
        found = (self.read(path.stem) for path in sorted(self.folder.glob("[!.]*.json")))
        return [outcome for outcome in found if outcome is not None]

    def keep(self, outcome: SubmissionOutcome, files: dict[str, bytes]) -> None:
        """Make an outcome durable: the executed notebooks for the formgrader first, then the outcome itself.

        Args:
            outcome: what became of the work; its executed notebooks are taken out.
            files: what was handed in, which stands beside the executed notebooks.

        Raises:
            OSError: the disk is full or cannot be written; nothing is half there.
        """
        executed = {f"{book.name}.ipynb": book.executed.encode() for book in outcome.notebooks if book.executed}
        for book in outcome.notebooks:
            book.executed = ""
        if not outcome.trouble:
            self._keep_notebooks(outcome.student, {**files, **executed}, executed)
        text = json.dumps({"version": VERSION, "outcome": outcome.to_dict()}, ensure_ascii=False)
        atomic.write(self.path(outcome.student), text, durable=True)

    def _keep_notebooks(self, student: str, files: dict[str, bytes], executed: Collection[str]) -> None:
        place = self._autograded / student / self.lab
        with atomic.replacing_folder(place) as fresh:
            for name, data in files.items():
                if name.lower().endswith(".ipynb") and name not in executed:
                    continue  # as it was handed in, a notebook may hold what an instructor's browser would run
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(data)
