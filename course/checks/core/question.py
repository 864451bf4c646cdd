"""A question groups checks that are worth points: `Question`, `@question.check`, `@fixture`, `question.result()`."""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from course.checks.core import progress
from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.core.result import CheckRecord, Outcome, Result, whole

DEADLINE_S = 300.0  # an image has this long to be built
CheckFunction = TypeVar("CheckFunction", bound=Callable[..., None])


class Fixture:
    """What checks share, made when the first of them asks for it; see :func:`fixture`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__


def fixture(function: Callable[..., Any]) -> Fixture:
    """Make a function the maker of something that several checks of a question share, such as a started service.

    A check, or another fixture, asks for it by a parameter of the same name. It is made once for each run of the
    question, when it is first asked for. A function that yields goes on after its `yield` when the question ends.
    What it raises is the outcome of each check that asks for it.
    """
    return Fixture(function)


class Question:
    """A group of checks under one title.

    Args:
        title: the question's name, as the student reads it.
        points: what all its checks are worth together, hidden ones too.
        deadline_s: how long the whole question may take when it is graded, in seconds; then a person must look.

    Raises:
        ValueError: the points or the deadline are not positive.
    """

    def __init__(self, title: str, *, points: float, deadline_s: float = DEADLINE_S) -> None:
        if not points > 0:
            raise ValueError(f"a question is worth more than 0 points; got {points}")
        if not deadline_s > 0:
            raise ValueError(f"a question may take more than 0 seconds; got {deadline_s}")
        self.title = title
        self.points = points
        self.deadline_s = deadline_s
        self._checks: list[_Check] = []
        self._progress = False

    @property
    def worth(self) -> float:
        """The points of the checks that are here; hidden checks that are not here have the rest."""
        return whole(sum(check.points for check in self._checks))

    def check(
        self,
        points: float = 0,
        *,
        needs: Callable[..., None] | tuple[Callable[..., None], ...] = (),
        hidden: bool = False,
        title: str | None = None,
        hint: str | None = None,
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Make a function a check of this question. It passes when it returns. Its parameters name fixtures.

        Args:
            points: what it is worth.
            needs: checks of this question that must pass before; else it is skipped.
            hidden: students do not get it; they are shown its title, outcome and hint only.
            title: the line that the student reads; by default the first line of the docstring.
            hint: shown when it fails without a hint of its own.

        Raises:
            ValueError: no title, a title used before, negative points, or a need that is not an earlier check.
        """

        def register(function: CheckFunction) -> CheckFunction:
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
            progress.show(f"{self.title} · {label}: {line}")

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
        with contextlib.ExitStack() as closing:
            result = Result(self.title, whole(self.points), tuple(self._records(_Fixtures(closing))))
        if self._progress:
            progress.clear()
        return result

    def _records(self, fixtures: _Fixtures) -> Iterator[CheckRecord]:
        passed: set[int] = set()
        unmet: set[str] = set()
        for check in self._checks:
            missing = next((need for need in check.needs if id(need) not in passed), None)
            if missing is not None:
                yield check.record(Outcome.SKIP, reason=f"not run: it needs “{missing.title}”")
                continue
            record, precondition = check.run(fixtures)
            if precondition is not None:
                if precondition.title not in unmet:
                    unmet.add(precondition.title)
                    yield precondition
                record = check.record(Outcome.SKIP, reason=f"not run: it needs “{precondition.title}”")
            elif record.outcome is Outcome.PASS:
                passed.add(id(check))
            yield record


class _Fixtures:
    """The fixtures of one run of a question: each made once, and closed at the end in reverse order."""

    def __init__(self, closing: contextlib.ExitStack) -> None:
        self._closing = closing
        self._made: dict[int, Callable[[], Any]] = {}

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The arguments that a check, or a fixture, asks for by name; parameters with a default keep it.

        Raises:
            TypeError: a parameter names no fixture of the function's module.
            Exception: whatever a fixture raised, again each time.
        """
        found = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not parameter.empty:
                continue
            wanted = getattr(function, "__globals__", {}).get(name)
            if not isinstance(wanted, Fixture):
                raise TypeError(f"the parameter {name!r} of {function.__name__}() names no fixture of its module")
            found[name] = self._value(wanted)
        return found

    def _value(self, wanted: Fixture) -> Any:
        if id(wanted) not in self._made:
            try:
                made = self._make(wanted.function)
            except Exception as error:
                self._made[id(wanted)] = _raiser(error)
            else:
                self._made[id(wanted)] = lambda: made
        return self._made[id(wanted)]()

    def _make(self, function: Callable[..., Any]) -> Any:
        arguments = self.arguments(function)
        if inspect.isgeneratorfunction(function):
            return self._closing.enter_context(contextlib.contextmanager(function)(**arguments))
        return function(**arguments)


def _raiser(error: Exception) -> Callable[[], Any]:
    def again() -> Any:
        raise error

    return again


@dataclass(frozen=True, eq=False)
class _Check:
    function: Callable[..., None]
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
        return CheckRecord(name, self.title, outcome, whole(earned), whole(self.points), self.hidden, **details)

    def run(self, fixtures: _Fixtures) -> tuple[CheckRecord, CheckRecord | None]:
        """Run the check; return its line and, where one did not hold, the line of what several checks need."""
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                self.function(**fixtures.arguments(self.function))
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
