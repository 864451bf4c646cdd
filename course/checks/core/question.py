"""A question groups checks that are worth points: `Question`, `@question.check`, `@fixture`, `question.result()`."""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from course.base.result import CheckRecord, Outcome, Result, whole
from course.base.texts import readable
from course.checks.core import phases, progress
from course.checks.core.expectations import MAX_SHOWN, CheckFailed, NotGradedHere, Unmet

DEADLINE_S = 300.0  # an image has this long to be built
NOT_REACHED = "the question ended before this check could be judged; a person will look at it"
CheckFunction = TypeVar("CheckFunction", bound=Callable[..., None])


class Fixture:
    """What checks share, made when the first of them asks for it; see :func:`fixture`."""

    def __init__(self, function: Callable[..., Any], shared: bool = False) -> None:
        self.function, self.shared = function, shared
        self.__doc__ = function.__doc__


@overload
def fixture(function: Callable[..., Any], /) -> Fixture: ...
@overload
def fixture(*, shared: bool) -> Callable[[Callable[..., Any]], Fixture]: ...
def fixture(
    function: Callable[..., Any] | None = None, /, *, shared: bool = False
) -> Fixture | Callable[[Callable[..., Any]], Fixture]:
    """Make a function the maker of something that several checks of a question share, such as a started service.

    A check, or another fixture, asks for it by a parameter of the same name. It is made when it is first asked for,
    once for the visible checks of the question, and once more for the hidden ones. A function that yields goes on after
    its `yield` when these checks are done. What it raises is the outcome of each check that asks for it.

    Args:
        function: makes it.
        shared: make it once for both, where no code of a student's could remember in it what it was asked: an image
            that is built, a table, files that were unpacked. Never a process, a service or a container.
    """
    return Fixture(function) if function is not None else lambda made: Fixture(made, shared)


class Question:
    """A group of checks under one title.

    Args:
        title: the question's name, as the student reads it.
        points: what all its checks are worth together, hidden ones too.
        deadline_s: how long the whole question may take when it is graded, in seconds.

    Attributes:
        another: makes another copy of it, of which nothing has run; None where it stands in no module.

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
        self.another: Callable[[], Question] | None = None
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
            hidden: students do not get it; they are shown its title, its outcome and the hint that stands here, never
                one that a failure brings. Hidden checks run after all visible ones, with fixtures and processes of
                their own.
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

    def blank(self) -> Result:
        """The result of this question before any of its checks has run."""
        waits = {"reason": NOT_REACHED, "cause": "end"}
        lines = tuple(check.record(Outcome.ERROR, hint=check.hint, **waits) for check in self._checks)
        return Result(self.title, whole(self.points), lines)

    def result(self, report: Callable[[int, CheckRecord], None] | None = None) -> Result:
        """Run the checks and return what they found: first the visible ones, then the hidden ones.

        Args:
            report: is called with the place and the line of each check, as soon as it is done.

        Raises:
            ValueError: the checks are worth more than the question.
        """
        total = sum(check.points for check in self._checks)
        if total > self.points + 1e-9:
            raise ValueError(f"the checks of {self.title!r} are worth {total:g} points, the question {self.points:g}")
        run, another = _Run(report), self
        with contextlib.ExitStack() as shared:
            run.phase(self._checks, hidden=False, shared=shared)
            if any(check.hidden for check in self._checks):
                phases.begin_hidden()
                try:
                    another = self.another() if self.another else self
                    run.phase(another._checks, hidden=True, shared=shared)
                finally:
                    gc.collect()  # what the checks made ends now
                    phases.end_hidden()
        if self._progress or another._progress:
            progress.clear()
        return Result(self.title, whole(self.points), run.lines())


class _Run:
    """One run of a question: the lines of its checks, by their place."""

    def __init__(self, report: Callable[[int, CheckRecord], None] | None) -> None:
        self._report = report
        self._lines: dict[int, list[CheckRecord]] = {}
        self._passed: set[str] = set()
        self._unmet: set[str] = set()
        self._made: dict[str, Callable[[], Any]] = {}

    def lines(self) -> tuple[CheckRecord, ...]:
        """The lines, in the order in which the checks stand in the question."""
        return tuple(line for _, lines in sorted(self._lines.items()) for line in lines)

    def phase(self, checks: list[_Check], *, hidden: bool, shared: contextlib.ExitStack) -> None:
        """Run the visible or the hidden checks."""
        with contextlib.ExitStack() as closing:
            fixtures = _Fixtures(closing, shared, self._made)
            for place, check in enumerate(checks):
                if check.hidden is hidden:
                    self._lines[place] = self._of(check, fixtures)
                    if self._report is not None:
                        self._report(place, self._lines[place][-1])

    def _of(self, check: _Check, fixtures: _Fixtures) -> list[CheckRecord]:
        """The line of a check, and before it that of what several checks need, where that does not hold."""
        missing = next((need for need in check.needs if need.title not in self._passed), None)
        if missing is not None:
            return [check.skipped(missing.title)]
        record, precondition = check.run(fixtures)
        if record.outcome is Outcome.PASS:
            self._passed.add(check.title)
        if precondition is None:
            return [record]
        if check.hidden:  # what it lacks is told only where all visible checks lacked the same
            alone = self._unmet == {precondition.title} and not self._passed
            return [check.skipped(precondition.title) if alone else record]
        new = precondition.title not in self._unmet
        self._unmet.add(precondition.title)
        return [*([precondition] if new else []), check.skipped(precondition.title)]


class _Fixtures:
    """The fixtures of one phase of a question: each made once, and closed at the end in reverse order.

    Args:
        closing: closes them when the phase ends.
        shared: closes those that both phases share when the question ends.
        both: what was made of those, by name.
    """

    def __init__(
        self, closing: contextlib.ExitStack, shared: contextlib.ExitStack, both: dict[str, Callable[[], Any]]
    ) -> None:
        self._closing, self._shared = closing, shared
        self._made: dict[int, Callable[[], Any]] = {}
        self._both = both

    def arguments(self, function: Callable[..., Any], shared: bool = False) -> dict[str, Any]:
        """The arguments that a check, or a fixture, asks for by name; parameters with a default keep it.

        Args:
            function: the check or the fixture.
            shared: it is a fixture that both phases share.

        Raises:
            TypeError: a parameter names no fixture of the function's module, or one that a shared one cannot ask for.
            Exception: whatever a fixture raised, again each time.
        """
        found = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not parameter.empty:
                continue
            wanted = getattr(function, "__globals__", {}).get(name)
            if not isinstance(wanted, Fixture):
                raise TypeError(f"the parameter {name!r} of {function.__name__}() names no fixture of its module")
            if shared and not wanted.shared:
                raise TypeError(f"the shared fixture {function.__name__}() asks for {name}, which is not shared")
            found[name] = self._value(wanted)
        return found

    def _value(self, wanted: Fixture) -> Any:
        made: dict[Any, Callable[[], Any]] = self._both if wanted.shared else self._made
        key = wanted.function.__name__ if wanted.shared else id(wanted)
        if key not in made:
            try:
                value = self._make(wanted)
            except Exception as error:
                made[key] = _raiser(error)
            else:
                made[key] = lambda: value
        return made[key]()

    def _make(self, wanted: Fixture) -> Any:
        function, closing = wanted.function, self._shared if wanted.shared else self._closing
        arguments = self.arguments(function, wanted.shared)
        if inspect.isgeneratorfunction(function):
            return closing.enter_context(contextlib.contextmanager(function)(**arguments))
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

    def record(self, outcome: Outcome, *, cause: str | None = None, **details: str | None) -> CheckRecord:
        """The line of this check. Of a hidden one that ran it holds nothing that a student's code could choose."""
        if self.hidden and outcome is Outcome.FAIL:
            details = {"hint": self.hint}
        name = self.function.__name__ if self.function.__name__ != "<lambda>" else self.title
        found = {key: None if text is None else readable(text) for key, text in details.items()}
        earned, worth = whole(self.points if outcome is Outcome.PASS else 0), whole(self.points)
        return CheckRecord(name, self.title, outcome, earned, worth, self.hidden, cause=cause, **found)

    def skipped(self, needed: str) -> CheckRecord:
        """The line of this check where something else had to hold first."""
        return self.record(Outcome.SKIP, reason=f"not run: it needs “{needed}”")

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
            if isinstance(failure, Unmet):
                shown = {key: None if text is None else readable(text) for key, text in details.items()}
                title = readable(failure.title)
                return self.record(Outcome.FAIL), CheckRecord(title, title, Outcome.FAIL, 0, 0, False, **shown)
            details["hint"] = details["hint"] or self.hint
            return self.record(Outcome.FAIL, **details), None
        except NotGradedHere as missing:
            why = "it cannot be judged on this machine" if self.hidden else f"not graded here: {missing}"
            cause = "machine" if missing.whatever else "missing"
            return self.record(Outcome.UNGRADED, reason=why, hint=self.hint, cause=cause), None
        except AssertionError as failure:
            return self.record(Outcome.FAIL, reason=_said(failure) or "it does not hold", hint=self.hint), None
        except Exception as error:
            return self._broken(error), None
        return self.record(Outcome.PASS), None

    def _broken(self, error: Exception) -> CheckRecord:
        """An exception that nobody expected: of the check, or of what it met. Who caused it is settled elsewhere."""
        if self.hidden:
            why = "the check could not go on; a person will look at it"
            return self.record(Outcome.ERROR, reason=why, hint=self.hint, cause="exception")
        reason = (
            "the check met something that it did not expect, and could not go on. Compare what you ship with what the "
            "exercise asks for; if it is as it should be, the check has a bug: then a person will look at it"
        )
        details = f"{type(error).__name__}: {_said(error)}"[:MAX_SHOWN]
        return self.record(Outcome.ERROR, reason=reason, actual=details, hint=self.hint, cause="exception")


def _said(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # its message cannot be made of what it holds
        return ""
