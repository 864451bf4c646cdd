"""A question groups checks that are worth points: `Question`, `@question.check`, `question.result()`."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from course.checks.core import rendering
from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet

MIME = "application/vnd.course.result+json"
VERSION = 1


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
        hidden: it is not among the checks that students get; then only title, outcome and hint are told.
        reason, expected, actual, hint: why, for the student.
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

    def to_dict(self) -> dict[str, Any]:
        """The line as plain data, without what is not set."""
        return {key: value for key, value in vars(self).items() if value is not None and value != ""}


@dataclass(frozen=True)
class Result:
    """What a question's checks found. As the value of a grade cell its text is the score, so nbgrader reads it."""

    title: str
    points: float
    checks: tuple[CheckRecord, ...]

    @property
    def score(self) -> float:
        """The points earned."""
        return _whole(sum(check.points for check in self.checks))

    @property
    def visible(self) -> float:
        """The points of the checks that are here; the rest is decided by hidden checks when grading."""
        return _whole(sum(check.worth for check in self.checks))

    @property
    def needs_person(self) -> bool:
        """A check could not be judged here: by the grader's own fault, or because something is missing."""
        return any(check.outcome in (Outcome.ERROR, Outcome.UNGRADED) for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data; its form is described in docs/results.md."""
        return {
            "version": VERSION,
            "title": self.title,
            "score": self.score,
            "points": self.points,
            "hidden_points": _whole(self.points - self.visible),
            "needs_person": self.needs_person,
            "checks": [check.to_dict() for check in self.checks],
            "text": self.to_text(),
        }

    def to_text(self) -> str:
        """The result as lines for a terminal."""
        return rendering.text(self)

    def __repr__(self) -> str:
        """The score, by which nbgrader gives partial credit.

        Its Validate button knows no hidden checks and would call a notebook failed for their points alone: there, all
        points are shown when every check that is here passed. Grading reads the machine-readable record instead.
        """
        validating = os.environ.get("NBGRADER_VALIDATING") == "1"
        return f"{self.points if validating and self.score == self.visible else self.score:g}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": rendering.html(self), MIME: self.to_dict()}


class Question:
    """A group of checks under one title.

    Args:
        title: the question's name, as the student reads it.
        points: what all its checks are worth together, hidden ones too.

    Raises:
        ValueError: the points are not positive.
    """

    def __init__(self, title: str, *, points: float) -> None:
        if not points > 0:
            raise ValueError(f"a question is worth more than 0 points; got {points}")
        self.title = title
        self.points = points
        self._checks: list[_Check] = []
        self._progress = False

    def check(
        self,
        points: float = 0,
        *,
        needs: Callable | tuple[Callable, ...] = (),
        hidden: bool = False,
        title: str | None = None,
        hint: str | None = None,
    ) -> Callable[[Callable[[], None]], Callable[[], None]]:
        """Make a function without arguments a check of this question. It passes when it returns.

        Args:
            points: what it is worth.
            needs: checks of this question that must pass before; else it is skipped.
            hidden: students do not get it; they are told its title, outcome and hint only.
            title: the line that the student reads; by default the first line of the docstring.
            hint: shown when it fails without a hint of its own.

        Raises:
            ValueError: no title, a title used before, negative points, or a need that is not an earlier check.
        """

        def register(function: Callable[[], None]) -> Callable[[], None]:
            line = title or (function.__doc__ or "").strip().partition("\n")[0]
            if not line:
                raise ValueError(f"the check {function.__name__} needs a docstring: the line that the student reads")
            if any(check.title == line for check in self._checks):
                raise ValueError(f"two checks of {self.title!r} have the title {line!r}")
            if points < 0:
                raise ValueError(f"a check cannot be worth {points} points")
            wanted = needs if isinstance(needs, tuple) else (needs,)
            known = {id(check.function): check for check in self._checks}
            if any(id(need) not in known for need in wanted):
                raise ValueError(f"the check {line!r} needs a check that does not stand above it in this question")
            self._checks.append(_Check(function, line, points, tuple(known[id(n)] for n in wanted), hidden, hint))
            return function

        return register

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Callable[[str], None]]:
        """Tell a waiting student how far a slow check is; the line is gone when the result appears.

        Yields:
            A function that shows one short line.
        """
        self._progress = True

        def step(line: str) -> None:
            rendering.show_progress(f"{self.title} · {label}: {line}")

        step("starting")
        yield step

    def result(self) -> Result:
        """Run the checks in order and return what they found.

        Raises:
            ValueError: the checks are worth more than the question.
        """
        total = sum(check.points for check in self._checks)
        if total > self.points + 1e-9:
            raise ValueError(f"the checks of {self.title!r} are worth {total:g} points, the question {self.points:g}")
        records: list[CheckRecord] = []
        passed: set[int] = set()
        unmet: set[str] = set()
        for check in self._checks:
            missing = next((need for need in check.needs if id(need) not in passed), None)
            if missing is not None:
                records.append(check.record(Outcome.SKIP, reason=f"not run: it needs “{missing.title}”"))
                continue
            record, precondition = check.run()
            if precondition is not None:
                if precondition.title not in unmet:
                    unmet.add(precondition.title)
                    records.append(precondition)
                record = check.record(Outcome.SKIP, reason=f"not run: it needs “{precondition.title}”")
            elif record.outcome is Outcome.PASS:
                passed.add(id(check))
            records.append(record)
        if self._progress:
            rendering.clear_progress()
        result = Result(self.title, _whole(self.points), tuple(records))
        _results[self.title] = result
        return result


@dataclass(frozen=True, eq=False)
class _Check:
    function: Callable[[], None]
    title: str
    points: float
    needs: tuple[_Check, ...]
    hidden: bool
    hint: str | None

    def record(self, outcome: Outcome, **details: str | None) -> CheckRecord:
        if self.hidden:
            details = {key: value for key, value in details.items() if key == "hint" or outcome is not Outcome.FAIL}
        name = self.function.__name__ if self.function.__name__ != "<lambda>" else self.title
        earned = self.points if outcome is Outcome.PASS else 0
        return CheckRecord(name, self.title, outcome, _whole(earned), _whole(self.points), self.hidden, **details)

    def run(self) -> tuple[CheckRecord, CheckRecord | None]:
        """Run the check; return its line and, where one did not hold, the line of what several checks need."""
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                self.function()
        except CheckFailed as failure:
            details = {key: getattr(failure, key) for key in ("reason", "expected", "actual", "hint")}
            details["hint"] = details["hint"] or self.hint
            if isinstance(failure, Unmet):
                if self.hidden:  # a student's error may quote the data that it was given
                    details = dict.fromkeys(details) | {"reason": "it does not hold in a hidden check"}
                line = CheckRecord(failure.title, failure.title, Outcome.FAIL, 0, 0, **details)
                return self.record(Outcome.FAIL), replace(line, hint=failure.hint)
            return self.record(Outcome.FAIL, **details), None
        except NotGradedHere as missing:
            return self.record(Outcome.UNGRADED, reason=f"not graded here: {missing}"), None
        except AssertionError as failure:
            return self.record(Outcome.FAIL, reason=str(failure) or "it does not hold", hint=self.hint), None
        except Exception as error:
            reason = "the check itself broke, which is not your fault; a person will look at it"
            detail = None if self.hidden else f"{type(error).__name__}: {error}"
            return self.record(Outcome.ERROR, reason=reason, actual=detail), None
        return self.record(Outcome.PASS), None


_results: dict[str, Result] = {}


class Summary:
    """The results of all questions that were run in this notebook, as one table."""

    def __init__(self, results: dict[str, Result]) -> None:
        self.results = tuple(results.values())

    def __repr__(self) -> str:
        return rendering.summary_text(self.results)

    def _repr_html_(self) -> str:
        return rendering.summary_html(self.results)


def summary() -> Summary:
    """A table of the questions that were run in this notebook so far, and their points."""
    return Summary(_results)


def _whole(points: float) -> float:
    rounded = round(points, 6)
    return int(rounded) if rounded == int(rounded) else rounded
