"""Pages that are written for people: one HTML file each, without scripts, for phones, screens and paper.

They are Jinja2 templates in `templates/`. Every value is escaped there, so what a student wrote is text, never markup.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from course.grading.progress import duration


@dataclass(frozen=True)
class Table:
    """A table of plain values, as the macro `table` shows it.

    Attributes:
        caption: what it shows.
        headers: one per column.
        rows: text and numbers; the first column names the row.
    """

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | float]]


def render(template: str, title: str, **values: Any) -> str:
    """A whole page.

    Args:
        template: the name of a template that extends page.html.j2.
        title: plain text, also the page's only h1.
        values: what the template shows.
    """
    return _environment().get_template(template).render(title=title, **values)


def points(score: float, worth: float) -> str:
    """ "7.5 of 10 points"."""
    return f"{round(score, 2):g} of {worth:g} point{'s' * (worth != 1)}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("course.grading.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"points": points, "duration": duration, "number": "{:g}".format}
    return environment
