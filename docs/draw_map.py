"""Draws docs/map.svg, the picture in README.md, from what each lab says of itself. Used by `course describe`.

Up to five labs stand in one row above a bar; up to ten in two, with the bar between them, and the way turns back below.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from html import escape

from course.labs.description import Description

ROW = 5
BOX, HIGH, GAP, LEFT, TOP = 160, 178, 25, 30, 62
BAR, SPACE = 56, 30  # the bar's height, and what an arrow to it takes
TITLE = "From a model in a notebook to a model that serves"
BELOW = "a bar that stands for grading: checks look at what was shipped, and at nothing else."


def words(labs: Sequence[Description]) -> str:
    """What the picture shows, in words."""
    each = "; ".join(f"lab {lab.number} ships {lab.ships}" for lab in labs)
    return f"The labs as boxes joined by arrows: {each}. Each box points to {BELOW}"


def text(x: float, y: float, line: str, style: str = "") -> str:
    """A line of text, centred."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(line)}</text>'


def arrow(*points: tuple[float, float]) -> str:
    """An arrow through points."""
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="#1d4f86" stroke-width="2" marker-end="url(#head)"/>'


def lines_of(words: str, width: int, most: int, what: str) -> list[str]:
    """Words as lines that fit into a box.

    Raises:
        ValueError: they are too many.
    """
    lines = textwrap.wrap(words, width)
    if len(lines) > most or any(len(line) > width for line in lines):
        raise ValueError(f"{what}: expected at most {most} lines of {width} characters; got {' / '.join(lines)}")
    return lines


def box(lab: Description, x: float, y: float) -> list[str]:
    """One lab: its box, its name and what it ships."""
    middle = x + BOX / 2
    name = lines_of(lab.short, 16, 2, f"{lab.name}/lab.yaml, short")
    ships = lines_of(lab.ships, 18, 3, f"{lab.name}/lab.yaml, ships")
    return [
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="8" fill="#fff" stroke="#1d4f86" stroke-width="2"/>',
        f'<path d="M{x} {y + 78}h{BOX}" stroke="#1d4f86"/>',
        text(middle, y + 22, f"lab {lab.number}", 'font-size="13" fill="#555"'),
        *(text(middle, y + 44 + 20 * n, line, 'font-size="16" font-weight="bold"') for n, line in enumerate(name)),
        text(middle, y + 100, "you ship", 'font-size="13" fill="#555"'),
        *(text(middle, y + 122 + 20 * n, line, 'font-size="15"') for n, line in enumerate(ships)),
    ]


def draw(labs: Sequence[Description]) -> str:
    """The whole picture, as SVG.

    Raises:
        ValueError: there are too many labs, or what a lab says of itself does not fit into its box.
    """
    if not 0 < len(labs) <= 2 * ROW:
        raise ValueError(f"the picture has room for 1 to {2 * ROW} labs; there are {len(labs)}")
    wide = 2 * LEFT + ROW * BOX + (ROW - 1) * GAP
    bar = TOP + HIGH + SPACE
    second = bar + BAR + SPACE
    high = second + HIGH + LEFT if len(labs) > ROW else bar + BAR + 24
    places = []
    for number, lab in enumerate(labs):
        column = number if number < ROW else 2 * ROW - 1 - number
        places.append((lab, LEFT + column * (BOX + GAP), TOP if number < ROW else second))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" '
        'aria-labelledby="title description" font-family="system-ui, sans-serif" text-anchor="middle" fill="#1b1b1b">',
        f'<title id="title">{escape(TITLE)}</title>',
        f'<desc id="description">{escape(words(labs))}</desc>',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L10 5L0 10z" fill="#1d4f86"/></marker></defs>',
        f'<rect width="{wide}" height="{high}" fill="#f5f8fb"/>',
        text(wide / 2, 36, "Will this flight be late? From the question to a service that stays up", 'font-size="20"'),
    ]
    for lab, x, y in places:
        parts += box(lab, x, y)
        start, end = (y + HIGH, bar - 2) if y == TOP else (y, bar + BAR + 2)
        parts.append(arrow((x + BOX / 2, start), (x + BOX / 2, end)))
    for (_, x, y), (_, there, below) in itertools.pairwise(places):
        if below != y:  # around the bar
            margin = x + BOX + LEFT / 2
            parts.append(
                arrow((x + BOX, y + 40), (margin, y + 40), (margin, below + 40), (there + BOX + 3, below + 40))
            )
        elif there > x:
            parts.append(arrow((x + BOX, y + 40), (there - 3, y + 40)))
        else:
            parts.append(arrow((x, y + 40), (there + BOX + 3, y + 40)))
    first, then = (
        "Checks look at what was shipped, and at nothing else.",
        "At once in your notebook; when graded, with ",
    )
    parts += [
        f'<rect x="{LEFT}" y="{bar}" width="{wide - 2 * LEFT}" height="{BAR}" rx="8" fill="#1d4f86"/>',
        text(wide / 2, bar + 24, first, 'font-size="17" fill="#fff"'),
        text(wide / 2, bar + 45, f"{then}hidden checks, in a sandbox.", 'font-size="14" fill="#fff"'),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
