"""What the guides show of the labs: tables and a picture, written from each `lab.yaml`. Used by `course describe`.

A generated part of a page stands between two marks, which Markdown does not show:

    <!-- begin overview: written by `course describe` from solutions/*/lab.yaml -->
    <!-- end overview -->

PARTS below names the parts. A page may hold each once.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

from course.base.errors import UserError
from course.labs import description
from course.labs.description import Description

PAGES = ("README.md", "solutions/index.md", "site/index.md")
SCRIPT = "docs/draw_map.py"
PICTURE = "docs/map.svg"
_PART = re.compile(r"(?P<begin><!-- begin (?P<name>\w+)\b[^>]*-->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)
_MARK = re.compile(r"<!-- (?:begin|end) (\w+)")


class GuideError(UserError):
    """A page cannot be written from what the labs say of themselves; the message says what to mend."""


def describe(root: Path, *, check: bool = False) -> list[str]:
    """Write the generated parts of the pages, and the picture; drafts are left out.

    Args:
        root: the course's folder. A page that it lacks is passed over.
        check: change nothing.

    Returns:
        The files that changed, or would.

    Raises:
        DescriptionError: a lab.yaml is not as it should be.
        GuideError: a mark has no other half, or names no part.
    """
    labs = description.of_course(root)
    wanted = {name: _page(root, name, labs) for name in PAGES if (root / name).is_file()}
    if (root / SCRIPT).is_file():
        wanted[PICTURE] = _script(root)["draw"](labs)
    changed = []
    for name, text in wanted.items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            changed.append(name)
            if not check:
                path.write_text(text, encoding="utf-8", newline="\n")
    return changed


def overview(root: Path, labs: Sequence[Description]) -> str:
    """One table of all notebooks, with links from the course's folder."""
    rows = ["| lab | notebook | time | you ship |", "|---|---|---|---|"]
    for lab in labs:
        label = f"{lab.number} {lab.title}"
        for name, notebook in lab.notebooks.items():
            link = f"[{notebook.title}](labs/{lab.name}/{name}.ipynb)"
            rows.append(f"| {label} | {link} | {notebook.minutes} min | {notebook.ships} |".replace("|  |", "| |"))
            label = ""
    return "\n".join(rows) + "\n"


def syllabus(root: Path, labs: Sequence[Description]) -> str:
    """A section for each lab with a table of its notebooks, with links from the folder of the labs."""
    parts = []
    for lab in labs:
        rows = [f"### Lab {lab.number}: {lab.title}\n", f"{lab.line}\n"]
        rows += ["| Notebook | What you ship | Time |", "|---|---|---|"]
        for place, (name, notebook) in enumerate(lab.notebooks.items(), start=1):
            link = f"[{notebook.title}]({lab.name}/{name}.ipynb)"
            rows.append(f"| {place}. {link} | {notebook.ships} | {notebook.minutes} minutes |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def picture(root: Path, labs: Sequence[Description]) -> str:
    """The picture of the course, with a text in its place, with a link from the course's folder."""
    return f"![{_script(root)['words'](labs)}]({PICTURE})\n"


PARTS: dict[str, Callable[[Path, Sequence[Description]], str]] = {
    "overview": overview,
    "syllabus": syllabus,
    "picture": picture,
}


def _page(root: Path, name: str, labs: Sequence[Description]) -> str:
    text = (root / name).read_text(encoding="utf-8")
    marked = [found["name"] for found in _PART.finditer(text)]
    odd = [mark for mark in _MARK.findall(text) if mark not in marked]
    if odd:
        raise GuideError(
            f"{name}: expected a mark that begins the part {odd[0]!r} and one that ends it; one is missing"
        )
    unknown = [part for part in marked if part not in PARTS]
    if unknown:
        raise GuideError(f"{name}: there is no part {unknown[0]!r} to write; there are {', '.join(PARTS)}")
    return _PART.sub(lambda found: f"{found['begin']}{PARTS[found['name']](root, labs)}{found['end']}", text)


def _script(root: Path) -> dict[str, Callable[[Sequence[Description]], str]]:
    return runpy.run_path(str(root / SCRIPT))
