"""What a lab starts from: the student's own work of an earlier lab if it passes, else a reference. Used by notebooks.

`receive()` copies it to `handed_over/` beside the notebook. Which lab it comes from, and what is taken of it, stands
under `starts_from` in the lab's `lab.yaml`. A student's model is opened only in a process of its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from course.base import atomic
from course.base.errors import UserError
from course.base.removal import remove
from course.checks.model.flight_schemas import inlined
from course.labs import description, extras
from course.labs.description import REFERENCE, Origin
from course.labs.trials import NotUsable, collect, trial

FOLDER = "handed_over"
SCHEMA, SUMS = "schema.json", "SHA256SUMS"
STAMP = ".own"


class HandoverError(UserError):
    """There is nothing to start from; the message says what to mend."""


@dataclass(frozen=True)
class Start:
    """What a lab starts from.

    Attributes:
        folder: a copy of the files, in `handed_over/` beside the notebook.
        own: whether they are the student's own.
        why: the sentence that was printed.
    """

    folder: Path
    own: bool
    why: str


def receive(lab: Path | None = None) -> Start:
    """Copy what this lab starts from to `handed_over/`, and print one sentence that says whose it is and why.

    Args:
        lab: the lab's folder; by default the current one, in which its notebooks run.

    Raises:
        HandoverError: this lab starts from nothing, or its reference is missing too.
        MissingExtra: the packages that only this lab needs are not installed.
        DescriptionError: its lab.yaml is not as it should be.
    """
    lab = (lab or Path.cwd()).resolve()
    origin = rule(lab)
    extras.require(description.read(lab))
    target = lab / FOLDER
    with atomic.replacing_folder(target, concurrent=True) as fresh:
        try:
            _take_own(lab, fresh, origin)
            own, why = True, f"This lab starts from your own work of lab {origin.lab[:2]}: it opens and predicts."
        except NotUsable as problem:
            remove(fresh)
            fresh.mkdir()
            own, why = False, f"This lab starts from the reference, because yours {problem}."
            copy_reference(lab, fresh)
    print(why)
    return Start(target, own, why)


def rule(lab: Path) -> Origin:
    """What a lab takes from an earlier one.

    Args:
        lab: its folder.

    Raises:
        HandoverError: it takes nothing, or is no lab's folder.
        DescriptionError: its lab.yaml is not as it should be.
    """
    found = description.find(lab)
    if found is None:
        raise HandoverError(
            f"there is no {description.FILE} in {lab.name}, so this is no lab's folder. Go to one, such as "
            "labs/02_serialisation; if the file was lost, get the lab's files again"
        )
    if found.starts_from is None:
        raise HandoverError(f"the lab {lab.name!r} starts from no other lab; there is nothing to receive")
    return found.starts_from


def copy_reference(lab: Path, target: Path) -> None:
    """Copy a lab's reference, with those of its files that are stored with an earlier lab.

    Args:
        lab: the lab's folder.
        target: an empty folder.

    Raises:
        HandoverError: it is not there, or only a part of it is; the message says which.
        DescriptionError: a lab.yaml is not as it should be.
    """
    origin, files = rule(lab), description.reference(lab)
    missing = [name for name in (origin.model, *origin.needs) if name not in files]
    if missing:
        lacks = f"lacks {missing[0]}" if files else "is not there"
        advice = "It belongs to the lab's files; get them again, or run course reference if you have the solutions."
        if origin.inherits and not (lab.parent / origin.lab).is_dir():
            advice = f"A part of it is stored with lab {origin.lab[:2]}: put the folder {origin.lab} beside this one."
        raise HandoverError(
            f"there is nothing to start from: {lab.name}/{REFERENCE.as_posix()} {lacks}. {advice}"
        ) from None
    for name, path in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)


def _take_own(lab: Path, fresh: Path, origin: Origin) -> None:
    """Collect a student's own work and try it, unless just this was tried before.

    It is in the folder of the lab before or, where that is not there, as when a lab is graded alone, still in the copy
    that was handed over earlier.
    """
    before, earlier = lab.parent / origin.lab / "shipped", lab / FOLDER
    tried = _read_stamp(earlier)
    if os.path.isdir(before):
        collect(before, fresh, origin.takes)
    elif tried is not None:
        collect(earlier, fresh, origin.takes)
    else:
        raise NotUsable("is not there")
    for path in sorted(fresh.rglob(SCHEMA)):
        _write_out(path)
    stamp = _stamp(fresh)
    if stamp != tried:
        trial(fresh, origin)
    (fresh / STAMP).write_text(stamp + "\n")


def _write_out(path: Path) -> None:
    """Write a schema out in full, without `$ref`, and its new checksum: later labs read its properties."""
    data, sums = path.read_bytes(), path.with_name(SUMS)
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError):
        return  # whoever needs it will say so
    if not isinstance(schema, dict) or (written := inlined(schema)) == schema:
        return
    path.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if sums.is_file():
        before, now = (hashlib.sha256(content).hexdigest().encode() for content in (data, path.read_bytes()))
        sums.write_bytes(re.sub(before, now, sums.read_bytes(), flags=re.IGNORECASE))


def _stamp(folder: Path) -> str:
    """A hash of files and of the library that opens them."""
    found = hashlib.sha256(importlib.metadata.version("scikit-learn").encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != STAMP):
        found.update(f"\n{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _read_stamp(folder: Path) -> str | None:
    """The stamp of work that was tried and found to be good, and handed over before."""
    try:
        return (folder / STAMP).read_text()[:100].strip()
    except (OSError, ValueError):
        return None
