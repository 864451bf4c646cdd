"""How results look in a notebook: an accessible table for one question, and one for all that were run."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Any

import jinja2

from course.base.result import MIME, WIDTH, Result


@functools.cache
def _template(name: str) -> jinja2.Template:
    loader = jinja2.PackageLoader("course.checks.core", "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(name)


def html(result: Result) -> str:
    """The result as an HTML table: marks and words beside colours, headers with scope, a caption."""
    return _template("result.html.j2").render(result=result)


class Displayed:
    """A result as the value of a grade cell: its text is the score, which nbgrader reads; its HTML is the table."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __repr__(self) -> str:
        """The score, by which nbgrader gives partial credit.

        Its Validate button knows no hidden checks and would call a notebook failed for their points alone: there, all
        points are shown when every check that is here passed. Grading reads the machine-readable record instead.
        """
        validating = os.environ.get("NBGRADER_VALIDATING") == "1"
        result = self.result
        return f"{result.points if validating and result.score == result.visible else result.score:g}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": html(self.result), MIME: self.result.to_dict()}


class Summary:
    """The results of several questions as one table."""

    def __init__(self, results: Iterable[Result]) -> None:
        self.results = tuple(results)

    def __repr__(self) -> str:
        lines = [f"{result.title:<{WIDTH}}{result.headline()}" for result in self.results]
        return "\n".join(lines) or "No check has been run in this notebook yet."

    def _repr_html_(self) -> str:
        earned = sum(result.score for result in self.results)
        visible = sum(result.visible for result in self.results)
        return _template("summary.html.j2").render(results=self.results, earned=earned, visible=visible)
