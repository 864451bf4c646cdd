"""Draws docs/rooms.svg and docs/submission.svg for docs/architecture.md: `python docs/draw_architecture.py`.

The rooms, their order and their purposes are read from pyproject.toml and from the packages themselves.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WIDTH, LEFT, ROW, GAP = 960, 30, 92, 12
SIDE_BY_SIDE = 4  # rooms of one layer in a line
BLUE, GREY, GREEN, RED = "#1d4f86", "#5a6672", "#2f6b3a", "#9a3b26"
AUDIENCES = {
    "cli": "everybody",
    "grading": "instructors",
    "student": "students",
    "handover": "students' notebooks",
    "labs": "authors and students",
    "checks": "questions",
    "sandboxed": "runs beside student code",
    "flights": "students' notebooks",
    "base": "every room",
}
STEPS = (
    ("Collect", "grading/intake", "zip or folder, receipt", BLUE),
    ("Restore", "grading/pipeline/restore", "the lab's own grade cells are back", BLUE),
    ("Answer cells", "grading/sandbox", "the student's kernel, in a sandbox", RED),
    ("shipped/", "the one thing that both see", "files, read with care, never run", GREY),
    ("Questions", "checks, a trusted process", "what must run goes to a worker", GREEN),
    ("Worker", "sandboxed", "student code, in a sandbox", RED),
    ("Result", "base/result", "points, reasons, hints", GREEN),
    ("Gradebook", "grading/gradebook", "nbgrader's tables; one writer", BLUE),
    ("Feedback", "grading/reports", "pages for student and instructor", BLUE),
)


def layers() -> list[list[str]]:
    """The rooms of the package `course` from top to bottom, as the linter of imports holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    house = next(contract for contract in contracts if contract.get("containers") == ["course"])
    return [[name.strip() for name in row.split("|")] for row in house["layers"]]


def purpose(room: str) -> str:
    """The first line of a room's docstring."""
    place = ROOT / "course" / room
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def inner(room: str) -> list[str]:
    """The packages in a room."""
    place = ROOT / "course" / room
    return sorted(path.parent.name for path in place.glob("*/__init__.py"))


def text(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def picture(title: str, description: str, height: float, lines: Iterator[str]) -> str:
    """A whole drawing, with a title and a description for those who do not see it."""
    head = f'<path d="M0 0L10 5L0 10z" fill="{BLUE}"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
            'aria-labelledby="title description" font-family="system-ui, sans-serif" fill="#1b1b1b">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f'<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto">{head}</marker></defs>',
            f'<rect width="{WIDTH}" height="{height:g}" fill="#f5f8fb"/>',
            *lines,
            "</svg>\n",
        ]
    )


def rooms() -> str:
    """The rooms, one row a layer: each may import what lies below it."""
    rows = layers()
    described = "; ".join(f"{name}: {purpose(name)}" for row in rows for name in row)
    words = f"The rooms of the package course, from top to bottom; each imports only rooms below it. {described}"
    height = 40 + sum(len(_lines(row)) for row in rows) * (ROW + GAP)
    return picture("The rooms of the package course", words, height, _rooms(rows))


def _lines(row: list[str]) -> list[list[str]]:
    """The rooms of one layer in lines that can be read, as equal as may be."""
    count = -(-len(row) // SIDE_BY_SIDE)
    return [row[number * len(row) // count : (number + 1) * len(row) // count] for number in range(count)]


def _rooms(layers: list[list[str]]) -> Iterator[str]:
    rows = [(line, line is lines[-1]) for lines in map(_lines, layers) for line in lines]
    for number, (row, is_last) in enumerate(rows):
        y = 26 + number * (ROW + GAP)
        width = (WIDTH - 2 * LEFT - GAP * (len(row) - 1)) / len(row)
        for place, name in enumerate(row):
            x = LEFT + place * (width + GAP)
            yield f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{ROW}" rx="6" fill="#fff" stroke="{BLUE}"/>'
            yield text(x + 12, y + 22, name, 'font-size="16" font-weight="bold"')
            if len(row) == 1:
                yield text(x + 150, y + 22, f"for: {AUDIENCES.get(name, '')}", f'font-size="13" fill="{GREY}"')
                for line, packages in enumerate(textwrap.wrap(", ".join(inner(name)), 68)):
                    yield text(x + 400, y + 22 + 40 * line, packages, f'font-size="13" fill="{BLUE}"')
            for line, words in enumerate(textwrap.wrap(purpose(name), int(width / 6.6))):
                yield text(x + 12, y + 40 + 15 * line, words, 'font-size="12"')
        if is_last and number + 1 < len(rows):  # the arrow leads to the layer below
            yield f'<path d="M{WIDTH - 16} {y + 20}V{y + ROW + GAP + 10}" stroke="{BLUE}" marker-end="url(#head)"/>'


def submission() -> str:
    """A submission's way through the rooms."""
    each = "; ".join(f"{number}. {name} ({place}): {what}" for number, (name, place, what, _) in enumerate(STEPS, 1))
    return picture("A submission's way through grading", f"Nine steps. {each}.", 378, _steps())


def _steps() -> Iterator[str]:
    width, height, across = 276, 92, 3
    for number, (name, place, what, colour) in enumerate(STEPS):
        row, column = divmod(number, across)
        x = LEFT + (column if row % 2 == 0 else across - 1 - column) * (width + 36)
        y = 26 + row * (height + 26)
        yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#fff" stroke="{colour}" '
        yield 'stroke-width="2"/>'
        yield text(x + 12, y + 26, f"{number + 1}. {name}", f'font-size="16" font-weight="bold" fill="{colour}"')
        yield text(x + 12, y + 50, place, f'font-size="13" fill="{GREY}"')
        yield text(x + 12, y + 72, what, 'font-size="13"')
        if number + 1 == len(STEPS):
            continue
        if column + 1 == across:
            yield f'<path d="M{x + width / 2:g} {y + height}v22" stroke="{BLUE}" marker-end="url(#head)"/>'
        elif row % 2 == 0:
            yield f'<path d="M{x + width} {y + height / 2:g}h32" stroke="{BLUE}" marker-end="url(#head)"/>'
        else:
            yield f'<path d="M{x} {y + height / 2:g}h-32" stroke="{BLUE}" marker-end="url(#head)"/>'


DRAWINGS = {"rooms.svg": rooms, "submission.svg": submission}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (HERE / name).write_text(draw(), encoding="utf-8")
