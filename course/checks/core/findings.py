"""What rules report about a shipped text: a `Finding` names the line, what is wrong there, and a hint.

Rules about Dockerfiles, build contexts and manifests return them; `expect_none` turns them into a failed check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from course.checks.core.expectations import CheckFailed

MAX_LINE = 60  # characters of a line that a message quotes


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        line: of the file, counted from 1; None when it is about something that is missing.
        reason: what is wrong, in words for the student.
        hint: a help that does not tell the answer.
        rule: the name of the rule, or a linter's code.
        text: the beginning of that line.
        file: the file, when there is more than one.
    """

    line: int | None
    reason: str
    hint: str | None = None
    rule: str = ""
    text: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.file, f"line {self.line}" if self.line else "")))
        if self.line and self.text:
            place += f" ({self.text})"
        return f"{place}: {self.reason}" if place else self.reason


def named(rule: str, found: Iterable[Finding]) -> list[Finding]:
    """The findings with the name of the rule that made them."""
    return [replace(one, rule=rule) for one in found]


def expect_none(found: Sequence[Finding]) -> None:
    """Fail the check with the first of some findings; pass when there is none."""
    if found:
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        raise CheckFailed(f"{found[0]}{more}", hint=found[0].hint)


def quote(line: str) -> str:
    """The beginning of a line, for a message: white space folded, and cut where it is long."""
    text = " ".join(line.split())
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"
