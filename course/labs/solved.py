"""The solutions of a lab for its students, after the deadline: solved notebooks, all checks, and what people get wrong.

The page about the mistakes is written from the submissions that the tests keep. Runs the questions of `solutions/`,
which are the course's own. Used by `course solutions`.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from course.base import atomic
from course.base.errors import UserError
from course.base.result import CheckRecord
from course.checks.core.loading import FOLDER, load
from course.labs import bundle, description, notebooks, release, source

TOP = "solved"  # the folder of the course in which they lie, beside labs/
PAGE = "README.md"
_MARKERS = (*source.SOLUTION, *source.HIDDEN)
_SCHEME = re.compile(r"(?m)^=== (BEGIN|END) MARK SCHEME ===[ \t]*$")


class SolutionsError(UserError):
    """The solutions cannot be written; the message says why."""


@dataclass(frozen=True)
class _Kept:
    """A submission that the tests keep: what the person did, in which notebook, and what it earns by question."""

    says: str
    notebook: str
    grades: dict[str, float]


def write(root: Path, lab: str, *, target: Path | None = None, here: bool = False) -> Path:
    """Write the solutions of a lab, to give to a class or to compare your own work with.

    Args:
        root: the course's folder.
        lab: the lab's name or number.
        target: the zip to write; `dist/NAME-solutions.zip` by default.
        here: write the folder `solved/NAME` of this course instead, and no zip.

    Returns:
        The zip, or the folder.

    Raises:
        SolutionsError: the lab is a draft.
        ReleaseError: there is no `solutions/`, as in the students' zip.
        UnknownName: there is no such lab.
    """
    source_folder = release.choose(root, [lab])[0]
    if description.is_draft(source_folder):
        raise SolutionsError(f"{source_folder.name} is a draft: students do not have it yet")
    files = contents(root, source_folder)
    if here:
        folder = root / TOP / source_folder.name
        shutil.rmtree(folder, ignore_errors=True)
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder
    target = target or root / "dist" / f"{source_folder.name}-solutions.zip"
    with atomic.replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{bundle.TOP}/{TOP}/{source_folder.name}/{name}", bundle.TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return target


def contents(root: Path, lab: Path) -> dict[str, bytes]:
    """What students get: solved notebooks as they ran, the questions with hidden checks, given files, and a page.

    Args:
        root: the course's folder.
        lab: the lab's folder in `solutions/`.
    """
    files = {path.relative_to(lab).as_posix(): path.read_bytes() for path in source.given_files(lab)}
    files.pop(description.FILE, None)
    for path in source.questions(lab):
        files[f"{FOLDER}/{path.name}"] = _unmarked(path.read_text(encoding="utf-8")).encode()
    for path in source.sources(lab):
        book = notebooks.read(path)
        for cell in book.cells:
            cell.source = _SCHEME.sub(_judged, _unmarked(cell.source)).rstrip("\n")
        files[path.name] = nbformat.writes(book).encode()
    files[PAGE] = page(root, lab).encode()
    return files


def page(root: Path, lab: Path) -> str:
    """Commentary on a lab: each question with all of its checks, and the mistakes that people make.

    Args:
        root: the course's folder; its `tests/labs` has the submissions that are kept, if it is there.
        lab: the lab's folder in `solutions/`.
    """
    known = description.read(lab)
    lines = [
        f"# Solutions of lab {known.number}: {known.title}",
        "",
        "The notebooks beside this page are one way to solve the lab, and not the only one: whatever the checks",
        "accept is right. Below are all checks of each question, including those that were hidden, and mistakes that",
        "people really make.",
    ]
    wrong = list(_kept(root, lab.name, "wrong"))
    right = list(_kept(root, lab.name, "right"))
    for path in source.sources(lab):
        lines += ["", f"## [{known.notebooks[path.stem].title}]({path.name})"]
        for cell in notebooks.read(path).cells:
            name = notebooks.grade_id(cell)
            if name is not None and (lab / FOLDER / f"{name}.py").is_file():
                lines += ["", *_of_question(lab, name, wrong)]
        others = [kept.says for kept in right if kept.notebook == path.stem]
        if others:
            lines += ["", "### Right in other ways", "", *(f"- {says}" for says in others)]
    return "\n".join(lines) + "\n"


def _of_question(lab: Path, name: str, wrong: list[_Kept]) -> Iterator[str]:
    question = load(lab / FOLDER, name)
    yield f"### {question.title}"
    yield ""
    yield f"[`{name}`]({FOLDER}/{name}.py), {question.points:g} points:"
    yield ""
    yield from (_of_check(check) for check in question.blank().checks)
    mistakes = [kept for kept in wrong if kept.grades.get(name, question.points) < question.points]
    if mistakes:
        yield ""
        yield "What people get wrong:"
        yield ""
        yield from (f"- {kept.says} This earns {kept.grades[name]:g} of {question.points:g}." for kept in mistakes)


def _of_check(check: CheckRecord) -> str:
    notes = [f"{check.worth:g}", *(["hidden"] if check.hidden else [])]
    return f"- {check.title} ({', '.join(notes)})" + (f". Hint: {check.hint}" if check.hint else "")


def _kept(root: Path, lab: str, kind: str) -> Iterator[_Kept]:
    for path in sorted((root / "tests" / "labs" / lab / kind).glob("*.yaml")):
        document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        grades = document.get("grades") or {}
        yield _Kept(str(document["says"]).strip(), str(document["notebook"]), {k: float(v) for k, v in grades.items()})


def _unmarked(text: str) -> str:
    """A text without the lines that mark solutions and hidden checks, in whatever kind of comment they stand."""
    return "".join(line for line in text.splitlines(True) if not any(mark in line for mark in _MARKERS))


def _judged(found: re.Match[str]) -> str:
    return "**How it was judged**" if found.group(1) == "BEGIN" else ""
