"""How a result looks: as an accessible table in a notebook, and as lines in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course.checks.core.question import CheckRecord, Result

SIGNS = {"pass": "✓", "fail": "✗", "skip": "–", "error": "!", "ungraded": "?"}
WORDS = {"pass": "passed", "fail": "failed", "skip": "not run", "error": "check broke", "ungraded": "not graded here"}
WIDTH = 64


def headline(result: Result) -> str:
    """The points in words: "4 of 4 points, 2 more are decided by hidden checks"."""
    words = f"{result.score:g} of {result.visible:g} point{'s' * (result.visible != 1)}"
    hidden = result.points - result.visible
    if hidden > 1e-9:
        words += f", {hidden:g} more {'is' if hidden == 1 else 'are'} decided by hidden checks"
    if result.needs_person:
        words += ", and a person will look at what could not be judged here"
    return words


def text(result: Result) -> str:
    """The result as lines for a terminal."""
    lines = [f"{result.title} · {headline(result)}"]
    for check in result.checks:
        title = check.title + (" (hidden)" if check.hidden else "")
        points = f"{check.points:g} / {check.worth:g}" if check.worth else ""
        lines.append(f"{SIGNS[check.outcome]} {title:<{WIDTH - 1}} {points}".rstrip())
        lines += [f"    {line}" for detail in _details(check) for line in detail.splitlines()]
    return "\n".join(lines)


def _details(check: CheckRecord) -> Iterable[str]:
    if check.reason:
        yield check.reason
    if check.expected and check.actual and _short(check.expected) and _short(check.actual):
        yield f"expected {check.expected}; got {check.actual}"
    else:
        if check.expected:
            yield _labelled("expected", check.expected)
        if check.actual:
            yield check.actual if check.actual.startswith("at: ") else _labelled("got", check.actual)
    if check.hint:
        yield f"hint: {check.hint}"


def _short(value: str) -> bool:
    return len(value) <= 80 and "\n" not in value


def _labelled(label: str, value: str) -> str:
    if "\n" not in value:
        return f"{label} {value}"
    return f"{label}\n" + "\n".join(f"    {line}" for line in value.splitlines())


def html(result: Result) -> str:
    """The result as an HTML table: marks and words beside colours, headers with scope, a caption."""
    rows = "".join(_row(check) for check in result.checks)
    caption = f"<strong>{escape(result.title)}</strong> · {escape(headline(result))}"
    return _table(caption, ("Outcome", "Check", "Points"), rows)


def _table(caption: str, headers: Iterable[str], rows: str) -> str:
    heads = "".join(f'<th scope="col" style="text-align: left">{name}</th>' for name in headers)
    return (
        '<table class="course-result" style="margin-left: 0">'
        f'<caption style="text-align: left; caption-side: top">{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(check: CheckRecord) -> str:
    sign = f"{SIGNS[check.outcome]} {WORDS[check.outcome]}"
    title = escape(check.title) + (" <em>(hidden)</em>" if check.hidden else "")
    details = "".join(
        f'<div style="white-space: pre-wrap; font-size: 90%">{escape(detail)}</div>' for detail in _details(check)
    )
    points = f"{check.points:g} / {check.worth:g}" if check.worth else ""
    return (
        f'<tr><td style="text-align: left; white-space: nowrap; vertical-align: top">{sign}</td>'
        f'<th scope="row" style="text-align: left; font-weight: normal">{title}{details}</th>'
        f'<td style="text-align: right; white-space: nowrap; vertical-align: top">{points}</td></tr>'
    )


def summary_text(results: Iterable[Result]) -> str:
    """One line a question."""
    lines = [f"{result.title:<{WIDTH}}{headline(result)}" for result in results]
    return "\n".join(lines) or "No check has been run in this notebook yet."


def summary_html(results: Iterable[Result]) -> str:
    """One row a question."""
    results = tuple(results)
    if not results:
        return "<p>No check has been run in this notebook yet.</p>"
    rows = "".join(
        f'<tr><th scope="row" style="text-align: left; font-weight: normal">{escape(result.title)}</th>'
        f'<td style="text-align: left">{escape(headline(result))}</td></tr>'
        for result in results
    )
    earned, visible = sum(result.score for result in results), sum(result.visible for result in results)
    caption = f"<strong>This notebook so far</strong> · {earned:g} of {visible:g} visible points"
    return _table(caption, ("Question", "Points"), rows)


def show_progress(line: str) -> None:
    """Show one line where the result will appear; only a notebook has such a place.

    COURSE_PROGRESS=off leaves it out, for programs that keep every line of output, such as nbval.
    """
    if _in_notebook():
        from IPython.display import clear_output, display

        clear_output(wait=True)
        display({"text/plain": line}, raw=True)


def clear_progress() -> None:
    """Remove the line that :func:`show_progress` showed, as soon as something else is shown."""
    if _in_notebook():
        from IPython.display import clear_output

        clear_output(wait=True)


def _in_notebook() -> bool:
    import os
    import sys

    if os.environ.get("COURSE_PROGRESS") == "off":
        return False
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None and hasattr(get_ipython(), "kernel")
