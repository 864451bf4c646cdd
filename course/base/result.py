"""The result of a question, as data: `Result`, its lines, its record for machines and its text for a terminal.

Everybody who reads a result reads it here: notebooks, the gradebook, feedback, reports. docs/results.md describes the
record.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

MIME = "application/vnd.course.result+json"  # the media type of the record, among the outputs of a grade cell
VERSION = 1
SIGNS = {"pass": "✓", "fail": "✗", "skip": "–", "error": "!", "ungraded": "?"}
WORDS = {"pass": "passed", "fail": "failed", "skip": "not run", "error": "check broke", "ungraded": "not graded here"}
WIDTH = 64
FOLDED = 3  # so many checks that were not run for the same reason become one line
MAX_TITLES = 300


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"
    UNGRADED = "ungraded"


@dataclass(frozen=True)
class CheckRecord:
    """One line of a result.

    Attributes:
        name: the check's stable name.
        title: what the student reads.
        outcome: how it ended.
        points: what it earned; worth: what it could.
        hidden: it is not among the checks that students get; then only title, outcome and hint are shown.
        reason, expected, actual, hint: why, for the student.
        cause: of an error or of what is not graded here: "exception", "deadline" (the question took too long), "end"
            (its process ended), "missing" (on this machine), "machine" (missing, whatever was shipped).
    """

    name: str
    title: str
    outcome: Outcome
    points: float
    worth: float
    hidden: bool = False
    reason: str | None = None
    expected: str | None = None
    actual: str | None = None
    hint: str | None = None
    cause: str | None = None

    @property
    def sign(self) -> str:
        """One character for the outcome."""
        return SIGNS[self.outcome]

    @property
    def word(self) -> str:
        """The outcome in words."""
        return WORDS[self.outcome]

    @property
    def earned(self) -> str:
        """The points in words, such as "1 / 2"; empty for a check without points."""
        return f"{self.points:g} / {self.worth:g}" if self.worth else ""

    def details(self) -> Iterator[str]:
        """Why it ended so: reason, expected beside actual, hint; each may have several lines."""
        if self.reason:
            yield self.reason
        if self.expected and self.actual and _short(self.expected) and _short(self.actual):
            yield f"expected {self.expected}; got {self.actual}"
        else:
            if self.expected:
                yield _labelled("expected", self.expected)
            if self.actual:
                yield self.actual if self.actual.startswith("at: ") else _labelled("got", self.actual)
        if self.hint:
            yield f"hint: {self.hint}"

    def to_dict(self) -> dict[str, Any]:
        """The line as plain data, without what is not set."""
        return {key: value for key, value in vars(self).items() if value is not None and value != ""}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CheckRecord:
        """From plain data; keys that are not known are ignored.

        Raises:
            ValueError: a key is missing, or has a value of another type.
        """
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        texts = [known.get(name) for name in ("cause", "reason", "expected", "actual", "hint")]
        sound = (
            isinstance(known.get("name"), str)
            and isinstance(known.get("title"), str)
            and known.get("outcome") in list(Outcome)
            and all(_is_number(known.get(key)) for key in ("points", "worth"))
            and all(text is None or isinstance(text, str) for text in texts)
        )
        if not sound:
            raise ValueError(f"not the record of a check: {str(dict(data))[:200]}")
        return cls(**{**known, "outcome": Outcome(known["outcome"]), "hidden": bool(known.get("hidden"))})


@dataclass(frozen=True)
class Result:
    """What the checks of a question found.

    Attributes:
        title: the question's title.
        points: what the question is worth, hidden checks included.
        checks: one line for each check, and for each condition that several checks need.
    """

    title: str
    points: float
    checks: tuple[CheckRecord, ...]

    @property
    def score(self) -> float:
        """The points earned."""
        return whole(sum(check.points for check in self.checks))

    @property
    def visible(self) -> float:
        """The points of the checks that are here; the rest is decided by hidden checks when grading."""
        return whole(sum(check.worth for check in self.checks))

    @property
    def hidden_points(self) -> float:
        """The points of checks that are not here."""
        return whole(self.points - self.visible)

    @property
    def needs_person(self) -> bool:
        """A check could not be judged here: by the grader's own fault, or because something is missing."""
        return any(check.outcome in (Outcome.ERROR, Outcome.UNGRADED) for check in self.checks)

    @property
    def passed(self) -> bool:
        """Every check that is here passed."""
        return all(check.outcome is Outcome.PASS for check in self.checks)

    def headline(self) -> str:
        """The points in words: "4 of 4 points, 2 more are decided by hidden checks"."""
        words = f"{self.score:g} of {self.visible:g} point{'s' * (self.visible != 1)}"
        if (hidden := self.points - self.visible) > 1e-9:
            words += f", {hidden:g} more {'is' if hidden == 1 else 'are'} decided by hidden checks"
        if self.needs_person:
            words += ", and a person will look at what could not be judged here"
        return words

    def to_text(self) -> str:
        """The result as lines for a terminal."""
        lines = [f"{self.title} · {self.headline()}"]
        for check in self.shown():
            title = check.title + (" (hidden)" if check.hidden else "")
            lines.append(f"{check.sign} {title:<{WIDTH - 1}} {check.earned}".rstrip())
            lines += [f"    {line}" for detail in check.details() for line in detail.splitlines()]
        return "\n".join(lines)

    def shown(self) -> Iterator[CheckRecord]:
        """The lines as people read them: checks that were not run for the same reason, one below the other, are one."""
        for _, group in itertools.groupby(self.checks, lambda check: _why_skipped(check) or id(check)):
            lines = list(group)
            if len(lines) < FOLDED:
                yield from lines
                continue
            worth = whole(sum(line.worth for line in lines))
            titles = "; ".join(line.title for line in lines)
            title = f"{len(lines)} checks: {titles if len(titles) <= MAX_TITLES else titles[: MAX_TITLES - 1] + '…'}"
            hidden = all(line.hidden for line in lines)
            yield CheckRecord("folded", title, Outcome.SKIP, 0, worth, hidden, reason=lines[0].reason)

    def to_dict(self) -> dict[str, Any]:
        """The record for machines; its form is described in docs/results.md."""
        return {
            "version": VERSION,
            "title": self.title,
            "score": self.score,
            "points": self.points,
            "hidden_points": self.hidden_points,
            "needs_person": self.needs_person,
            "checks": [check.to_dict() for check in self.checks],
            "text": self.to_text(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """From the record for machines; see :meth:`to_dict`.

        Raises:
            ValueError: it is not such a record.
        """
        checks = data.get("checks")
        if not isinstance(data.get("title"), str) or not _is_number(data.get("points")) or not isinstance(checks, list):
            raise ValueError(f"not the record of a result: {str(dict(data))[:200]}")
        return cls(data["title"], data["points"], tuple(CheckRecord.from_dict(check) for check in checks))


def _why_skipped(check: CheckRecord) -> str | None:
    return check.reason if check.outcome is Outcome.SKIP else None


def whole(points: float) -> float:
    """Points rounded to six decimals, as a whole number where they are one."""
    rounded = round(points, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: str) -> bool:
    return len(value) <= 80 and "\n" not in value


def _labelled(label: str, value: str) -> str:
    if "\n" not in value:
        return f"{label} {value}"
    return f"{label}\n" + "\n".join(f"    {line}" for line in value.splitlines())
