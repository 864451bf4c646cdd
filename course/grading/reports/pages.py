"""The look of pages that are written for people: one HTML file each, without scripts, for phones, screens and paper."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --bar: #4477aa; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 52rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
thead th { overflow-wrap: normal; }
th[scope=row] { font-weight: normal; } .number { text-align: right; white-space: nowrap; }
section.question { border: 1px solid var(--line); border-radius: .4rem; padding: .2rem .8rem .6rem; margin: .8rem 0; }
ul.checks { list-style: none; padding: 0; margin: 0; } ul.checks li { padding: .25rem 0; }
pre, .more { white-space: pre-wrap; margin: .1rem 0 .1rem 1.4rem; font-size: .9rem; }
pre { background: var(--soft); padding: .3rem .5rem; border-radius: .3rem; } blockquote { margin: .5rem 0; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; } svg rect { fill: var(--bar); }
svg text { fill: currentColor; font-size: 11px; }
@media print { body { max-width: none; font-size: 10pt; } section.question, tr, li { break-inside: avoid; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML page.

    Args:
        title: plain text, also the page's only h1.
        body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def table(caption: str, headers: Iterable[str], rows: Iterable[Iterable[str | float]]) -> str:
    """A table of plain values; numbers stand to the right, the first column names the row."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in headers)
    lines = "".join("<tr>" + "".join(map(_cell, range(len(row)), row)) + "</tr>" for row in map(list, rows))
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(place: int, value: str | float) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{value:g}</td>'
    return f'<th scope="row">{escape(value)}</th>' if place == 0 else f"<td>{escape(value)}</td>"


def points(score: float, worth: float) -> str:
    """ "7.5 of 10 points"."""
    return f"{round(score, 2):g} of {worth:g} point{'s' * (worth != 1)}"
