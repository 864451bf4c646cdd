"""Draws docs/map.svg, the picture in README.md: `python docs/draw_map.py`. Needs the standard library only."""

from __future__ import annotations

from html import escape
from pathlib import Path

LABS = (
    ("01", "A model", "worth shipping", ("a package, tests,", "a model and its", "metrics")),
    ("02", "Serialised,", "to be trusted", ("ONNX and skops,", "schema, card,", "a store")),
    ("03", "A service", "that answers", ("an API, logs,", "tests, a page", "for people")),
    ("04", "An image that", "runs anywhere", ("an image: small,", "pinned, without", "root")),
    ("05", "On Kubernetes,", "and up", ("manifests,", "an update that", "loses nothing")),
)
WIDTH, HEIGHT = 960, 350
BOX, GAP, LEFT, TOP = 160, 25, 30, 62
TITLE = "Five labs, one product"
DESCRIPTION = (
    "Five boxes from left to right, joined by arrows: a model worth shipping, its serialised form, a service, "
    "an image, Kubernetes. Each box says what the lab ships. Under each an arrow leads down to a bar that stands "
    "for grading: checks look at what was shipped, and at nothing else."
)


def text(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text, centred."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """An arrow from one point to another."""
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="#1d4f86" stroke-width="2" marker-end="url(#head)"/>'


def lab(number: int) -> list[str]:
    """One lab: its box, its name, what it ships, and the arrows that leave it."""
    name, first, second, ships = LABS[number]
    x = LEFT + number * (BOX + GAP)
    middle = x + BOX / 2
    lines = [
        f'<rect x="{x}" y="{TOP}" width="{BOX}" height="178" rx="8" fill="#fff" stroke="#1d4f86" stroke-width="2"/>',
        f'<path d="M{x} {TOP + 78}h{BOX}" stroke="#1d4f86"/>',
        text(middle, TOP + 22, f"lab {name}", 'font-size="13" fill="#555"'),
        text(middle, TOP + 44, first, 'font-size="16" font-weight="bold"'),
        text(middle, TOP + 64, second, 'font-size="16" font-weight="bold"'),
        text(middle, TOP + 100, "you ship", 'font-size="13" fill="#555"'),
        *(text(middle, TOP + 122 + 20 * line, words, 'font-size="15"') for line, words in enumerate(ships)),
        arrow(middle, TOP + 178, middle, TOP + 206),
    ]
    if number + 1 < len(LABS):
        lines.append(arrow(x + BOX, TOP + 40, x + BOX + GAP - 3, TOP + 40))
    return lines


def draw() -> str:
    """The whole picture."""
    head = '<path d="M0 0L10 5L0 10z" fill="#1d4f86"/>'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="title description" font-family="system-ui, sans-serif" text-anchor="middle" fill="#1b1b1b">',
        f'<title id="title">{escape(TITLE)}</title>',
        f'<desc id="description">{escape(DESCRIPTION)}</desc>',
        f'<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto">{head}</marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#f5f8fb"/>',
        text(WIDTH / 2, 36, "Will this flight be late? From the question to a service that stays up", 'font-size="20"'),
    ]
    for number in range(len(LABS)):
        lines += lab(number)
    lines += [
        f'<rect x="{LEFT}" y="{TOP + 208}" width="{WIDTH - 2 * LEFT}" height="56" rx="8" fill="#1d4f86"/>',
        text(
            WIDTH / 2, TOP + 232, "Checks look at what was shipped, and at nothing else.", 'font-size="17" fill="#fff"'
        ),
        text(
            WIDTH / 2,
            TOP + 253,
            "At once in your notebook; when graded, with hidden checks, in a sandbox.",
            'font-size="14" fill="#fff"',
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("map.svg").write_text(draw(), encoding="utf-8")
