"""Notebooks as they were saved, read with the standard library alone, and compared with what was shipped.

Used by handing in, `course status` and `%submit`, which must answer at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from course.base.blanks import STUBS
from course.base.errors import UserError

_SHIP = re.compile(r"%%ship[ \t]+(?:--no-run[ \t]+)?[\"']?([^\s\"']+)[\"']?(?:[ \t]+--no-run)?[ \t]*\n")


class UnreadableNotebook(UserError):
    """A notebook on disk cannot be read; the message says which, and what to do."""


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook on disk.

    Raises:
        UnreadableNotebook: it is no notebook.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in found if isinstance(cell, dict)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableNotebook(
            f"{path.name} cannot be read as a notebook; open it in JupyterLab, save it, and try again"
        ) from None


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which a file may hold as a list of lines."""
    text = cell.get("source", "")
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def headings(cells: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The headings in the text of cells, in order and of any level."""
    for cell in cells:
        if cell.get("cell_type") == "markdown":
            for title in re.findall(r"^#+ +(.+)$", source(cell), re.MULTILINE):
                yield title.strip()


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


def _bare(text: str) -> str:
    """Text without what shipping changes: white space at the ends of lines, tabs in a Makefile."""
    return "\n".join(line.strip() for line in text.strip().splitlines())
