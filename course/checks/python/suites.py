"""A student's tests, judged: `tests("test_features.py")` runs them against one version of the code; `Mutation`, many.

Good tests pass on every correct version and fail on every broken one. Each run is a fork of one worker process
(`course.sandboxed.pytest_runner`), so a version costs a few tenths of a second.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.processes import Stopped, Worker
from course.checks.core.question import Question
from course.checks.files import reading
from course.checks.python.modules import ask, explain

MAX_TEST_BYTES = 256 * 2**10
RUNNER = "course.sandboxed.pytest_runner"
GET_AWAY = "what would have to be different in its result, and which of your assertions looks at that?"

Text = str | Callable[[], str]
Version = Mapping[str, Text]


@dataclass(frozen=True)
class Run:
    """How a test file fared against one version of the code.

    Attributes:
        passed, failed, errors, skipped: how many tests; an error is one that broke outside of the test itself.
        names: the tests that were found.
        failures: for each failed or broken test its name, kind (the exception's type), message and line.
        output: the end of what pytest printed.
        problem: why there is no verdict at all, such as a test that does not end; None if there is one.
        timed_out: that is why.
        hint: a help for that.
    """

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    names: tuple[str, ...] = ()
    failures: tuple[dict[str, Any], ...] = ()
    output: str = ""
    problem: str | None = None
    hint: str | None = None
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """There was at least one test, and every one passed or was skipped."""
        return self.problem is None and self.passed > 0 and not self.failed and not self.errors

    @property
    def red(self) -> bool:
        """A test failed: the version is rejected."""
        return self.problem is None and self.failed + self.errors > 0


def tests(name: str) -> Suite:
    """A shipped file of tests for pytest.

    Args:
        name: its path below the folder of shipped files, such as "test_features.py".
    """
    return Suite(name)


tests.__test__ = False  # pytest would take it for a test where it is imported


class Suite:
    """A shipped pytest file that can be run against versions of the code under test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._source: str | None = None

    def source(self) -> str:
        """Its text.

        Raises:
            Unmet: it is missing, too large, or not text.
        """
        if self._source is None:
            self._source = reading.text(self.name, max_bytes=MAX_TEST_BYTES)
        return self._source

    def run(
        self,
        against: Version,
        *,
        tables: Mapping[str, pd.DataFrame] | None = None,
        timeout: float = 20.0,
        first: bool = False,
        warm: Sequence[str] = (),
    ) -> Run:
        """Run it once, in a clean folder and a process of its own, without the student's plugins, settings or conftest.

        Args:
            against: the files that lie beside it, name → text, such as {"features.py": source}. A conftest.py among
                them gives fixtures.
            tables: data for the fixture `tables` (a dictionary), which a conftest.py can use.
            timeout: how long it may compute, in seconds.
            first: stop at the first test that fails.
            warm: modules to import once, before the first run.

        Raises:
            Unmet: the file is not there, or is no text.
            CheckFailed: the process that runs tests was brought to its end.
            ValueError: a version has a file with the name of the test file.
        """
        place = PurePosixPath(self.name).name
        if place in against:
            raise ValueError(f"a version of the code cannot hold {place}, the student's own file")
        source = self.source()
        modules = {file: _resolve(text) for file, text in against.items()}
        _runner.prepare(timeout, warm, tables or {})
        details = {"name": place, "source": source, "modules": modules, "timeout": timeout, "first": first}
        answer = ask(_runner.worker, self.name, "call", function="run", args=[], kwargs=details)
        if "error" in answer:
            raise explain(answer["error"], self.name, self.name)
        return read_report(answer["ok"], timeout)


class _Runner:
    """The process that runs tests, shared by all suites: it holds no code of a student, its forks do."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._held: Mapping[str, pd.DataFrame] = {}
        self._warm: tuple[str, ...] | None = None

    def prepare(self, timeout: float, warm: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> None:
        """Have a process that answers, has imported what is needed, and holds these tables."""
        if self.worker is None or self.worker.process.poll() is not None:
            self.worker, self._held, self._warm = Worker(timeout=3 * timeout + 20), {}, None
            self._must("use", name=RUNNER)
        self.worker.timeout = 3 * timeout + 20
        if self._warm != tuple(warm):
            self._must("call", function="warm", args=[list(warm)], kwargs={})
            self._warm = tuple(warm)
        if self._held is not tables and (self._held or tables):
            self._must("call", function="hold", args=[dict(tables)], kwargs={})
            self._held = tables

    def _must(self, do: str, **details: Any) -> None:
        """Ask what involves no code of the student's, so that a failure is the grader's own."""
        try:
            answer = self.worker.request(do, **details)
        except Stopped as stopped:
            raise RuntimeError(f"the process that runs tests did not start: {stopped}") from None
        if "error" in answer:
            raise RuntimeError(f"the process that runs tests did not start: {answer['error']}")


_runner = _Runner()


def read_report(report: Any, timeout: float) -> Run:
    """Make a Run of what the runner reports; whatever a student's code may have put there, only its form is trusted."""
    if not isinstance(report, dict) or not isinstance(report.get("events"), list):
        return Run(problem="the tests reported in a form that the check cannot read")
    events = [event for event in report["events"] if isinstance(event, dict)]
    status = report.get("status")
    output = _text(report.get("output"), 4000)
    names: tuple[str, ...] = ()
    outcomes: dict[str, str] = {}
    failures: list[dict[str, Any]] = []
    running = None
    for event in events:
        if isinstance(event.get("tests"), list):
            names = tuple(_text(name, 200) for name in event["tests"][:500])
        elif "start" in event:
            running = _text(event["start"], 200)
        elif event.get("collected") == "error":
            failures.append({"name": None, **_failure(event)})
            outcomes["(import)"] = "error"
        elif event.get("outcome") in ("passed", "failed", "error", "skipped"):
            name = _text(event.get("test"), 200)
            outcome = event["outcome"]
            if outcomes.get(name) not in ("failed", "error"):
                outcomes[name] = outcome
            if outcome in ("failed", "error"):
                failures.append({"name": name, **_failure(event)})
    count = {outcome: list(outcomes.values()).count(outcome) for outcome in ("passed", "failed", "error", "skipped")}
    problem, hint = _problem(status, events, names, count, running, timeout)
    return Run(
        count["passed"],
        count["failed"],
        count["error"],
        count["skipped"],
        names,
        tuple(failures),
        output,
        problem,
        hint,
        status is None,
    )


def _problem(status, events, names, count, running, timeout) -> tuple[str | None, str | None]:
    ended = [event["end"] for event in events if "end" in event]
    at = f" in {running}" if running else ""
    if status is None:
        hint = "is there a loop that does not end, or a test that asks for far more than it needs?"
        return f"the tests did not finish within {timeout:g} seconds; they were{at or ' being imported'}", hint
    if not ended or ended[-1] != status:
        hint = "a test says what it found with assert, and never ends the program or its processes"
        return f"the tests ended Python itself{at}, before pytest was done", hint
    if status == 2 and not count["error"]:
        return f"the tests stopped pytest{at}", "let every test run: pytest.exit() has no place in a test"
    if status == 5 or (not names and not count["error"]):
        return "there is no test in the file", "a test is a function whose name begins with test_"
    if status == 0 and not count["passed"]:
        return f"every test is skipped ({count['skipped']})", "a skipped test says nothing about the code"
    red = count["failed"] + count["error"] > 0
    if status not in (0, 1, 2) or red != (status in (1, 2)):
        return "pytest ended in a way that does not fit what the tests reported", None
    return None, None


def _failure(event: dict[str, Any]) -> dict[str, Any]:
    line = event.get("line")
    return {
        "kind": _text(event.get("kind"), 100),
        "message": _text(event.get("message"), 600),
        "line": line if isinstance(line, int) and not isinstance(line, bool) else None,
    }


def _text(value: Any, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


# ----------------------------------------------------------------------------------------------------------- mutation


def original(path: str, *, digest: str) -> Callable[[], str]:
    """A file of the lab that students get and should not change, such as "given/features.py", read when it is needed.

    Args:
        path: where it is, below the lab's folder.
        digest: the first digits (eight at least) of the SHA-256 of the file: it is the one the checks were written for.

    Returns:
        A function that gives its text, and raises Unmet if it is missing or was changed.

    Raises:
        ValueError: the digest is too short to tell files apart.
    """
    if len(digest) < 8:
        raise ValueError(f"give eight digits of the file's SHA-256 at least, got {digest!r}")

    def read() -> str:
        title = f"{path} is as it was given"
        try:
            data = Path(path).read_bytes()
        except OSError:
            raise Unmet(title, f"{path} is missing or cannot be read", hint="copy it from the course again") from None
        if not hashlib.sha256(data).hexdigest().startswith(digest):
            hint = "take your changes back, and experiment on a copy"
            raise Unmet(title, f"{path} was changed, and the checks were written for it as it was given", hint=hint)
        return data.decode()

    return read


def variant(source: Text, *changes: tuple[str, str]) -> Callable[[], str]:
    """A copy of a source text with some passages replaced, made when it is needed.

    Args:
        source: the text, or a function that gives it, as :func:`original` returns.
        changes: (old, new) pairs; each old passage occurs exactly once when its turn comes.

    Returns:
        A function that gives the text, and raises ValueError if a passage does not occur, or occurs more than once.
    """

    def change() -> str:
        text = _resolve(source)
        for old, new in changes:
            if text.count(old) != 1 or old == new:
                raise ValueError(f"the passage {old!r} occurs {text.count(old)} times; it must occur once, and change")
            text = text.replace(old, new)
        return text

    return change


def _resolve(text: Text) -> str:
    return text() if callable(text) else text


@dataclass
class Mutation:
    """Checks that a file of tests passes on every correct version of some code and fails on every broken one.

    Everything runs when the first check is asked: the correct versions first, then the broken ones, each once.

    Attributes:
        question: where the checks go.
        suite: the tests.
        correct: correct versions, by what they are called in messages; the first is what students were given.
        tables: a function that returns data for the fixture `tables`, for all versions; it is called when the first
            check runs, not when the question is loaded.
        warm: modules to import once, before the first run.
        timeout: how long the tests may compute on a correct version, in seconds; on a broken one it is twice that.
            A broken version on which they do not end is caught: whoever waits for them sees no green.
        advice: the hint when a correct version is rejected.
    """

    question: Question
    suite: Suite
    correct: dict[str, Version]
    tables: Callable[[], Mapping[str, pd.DataFrame]] = dict
    warm: Sequence[str] = ("course.flights",)
    timeout: float = 5.0
    advice: str = "test what the description promises, and nothing that another correct version may do differently"

    def __post_init__(self) -> None:
        self._broken: dict[str, list[Version]] = {}
        self._verdicts: dict[str, list[Run]] | None = None
        self._tests = 0
        self._data: Mapping[str, pd.DataFrame] = {}

        def passes_on_correct_code() -> None:
            self._judge()

        title = f"the tests in {self.suite.name} pass on correct code"
        self._gate = self.question.check(title=title)(passes_on_correct_code)

    def accepts(self, name: str, version: Version) -> None:
        """Add a correct version; `name` completes "test_x fails on …"."""
        self.correct[name] = version

    def catches(
        self, title: str, versions: Version | Iterable[Version], *, points: float, hidden: bool = False, hint: str = ""
    ) -> None:
        """Add a check that the tests fail on broken versions: on each of them.

        Args:
            title: the line that the student reads, about a behaviour: "a day of week that is off by one is caught".
            versions: one broken version or several.
            points: what it is worth.
            hidden: students do not get it.
            hint: shown when it fails.
        """
        listed = [versions] if isinstance(versions, Mapping) else list(versions)

        def is_caught() -> None:
            self._judge()
            runs = self._verdicts[title]
            stuck = next((run for run in runs if run.problem and not run.timed_out), None)
            if stuck is not None:
                raise CheckFailed(f"there is no verdict: {stuck.problem}", hint=stuck.hint)
            away = sum(not run.red and not run.timed_out for run in runs)
            if away:
                some = "it" if len(runs) == 1 else f"{away} of {len(runs)} variants"
                on = "it" if away == 1 else "them"
                raise CheckFailed(f"{some} got away: {_count(self._tests)} on {on}", hint=hint or GET_AWAY)

        is_caught.__name__ = re.sub(r"\W+", "_", title).strip("_").lower()
        self.question.check(points, title=title, needs=self._gate, hidden=hidden)(is_caught)
        self._broken[title] = listed

    def _judge(self) -> None:
        if self._verdicts is not None:
            return
        self.suite.source()
        self._data = self.tables()
        total = len(self.correct) + 1 + sum(len(versions) for versions in self._broken.values())
        with self.question.progress("running your tests") as step:
            self._try_correct_ones(step, total)
            self._try_broken_ones(step, total)

    def _run(self, version: Version, *, first: bool) -> Run:
        """Run the tests on a version; on a broken one (`first`) the first failure is enough."""
        timeout = self.timeout * (2 if first else 1)
        return self.suite.run(version, tables=self._data, timeout=timeout, warm=self.warm, first=first)

    def _try_correct_ones(self, step, total: int) -> None:
        original = next(iter(self.correct))
        seen: Run | None = None
        for position, name in enumerate([*self.correct, original]):
            step(f"version {position + 1} of {total}")
            run = self._run(self.correct[name], first=False)
            if run.problem:
                raise Unmet(f"the tests in {self.suite.name} can be run", run.problem, hint=run.hint)
            if not run.ok:
                if seen is not None and name == original:
                    raise CheckFailed(
                        f"{_place(run)} passes and fails on the same code",
                        actual=_message(run),
                        hint="a test must give the same answer every time: fix its random numbers, clocks and order",
                    )
                raise _rejected(run, name, self.advice if seen is not None else None)
            seen = seen or run
        self._tests = seen.passed

    def _try_broken_ones(self, step, total: int) -> None:
        queue = [(title, place, version) for title, some in self._broken.items() for place, version in enumerate(some)]
        random.Random(hashlib.sha256(self.suite.source().encode()).digest()).shuffle(queue)
        verdicts: dict[str, dict[int, Run]] = {title: {} for title in self._broken}
        stuck = 0
        for done, (title, place, version) in enumerate(queue):
            step(f"version {len(self.correct) + 2 + done} of {total}")
            if stuck >= 3:
                verdicts[title][place] = Run(problem="not tried: the tests had been stuck three times before")
                continue
            run = self._run(version, first=True)
            stuck += run.problem is not None
            verdicts[title][place] = run
        self._verdicts = {title: [runs[place] for place in sorted(runs)] for title, runs in verdicts.items()}


def _rejected(run: Run, version: str, hint: str | None) -> CheckFailed:
    failure = run.failures[0]
    if failure["name"] is None:
        line = f"line {failure['line']}: " if failure["line"] else ""
        hints = {
            "NotImplementedError": "this is the place for your tests",
            "ModuleNotFoundError": "tests import features, and what environment.yml installs",
            "NameError": "a file has only what it imports itself; the notebook's imports do not reach it",
            "SyntaxError": "look at that line, and at the end of the line before it",
            "IndentationError": "look at the spaces before that line, and at the line above it",
        }
        return CheckFailed(f"the file cannot be imported: {line}{_message(run)}", hint=hints.get(failure["kind"], hint))
    hints = {
        "NotImplementedError": "this is the place for your tests",
        "NameError": "a file has only what it imports itself; the notebook's imports do not reach it",
    }
    others = f" (and {len(run.failures) - 1} more)" if len(run.failures) > 1 else ""
    reason = f"{_place(run)} fails on {version}, which keeps every promise{others}"
    return CheckFailed(reason, actual=_message(run), hint=hints.get(failure["kind"], hint))


def _place(run: Run) -> str:
    failure = run.failures[0]
    return failure["name"] + (f" (line {failure['line']})" if failure["line"] else "")


def _message(run: Run) -> str:
    failure = run.failures[0]
    noise = ("Use -v", "Full diff")
    lines = [line.strip() for line in failure["message"].splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(noise) and not (line.startswith("+") and len(line) > 120)]
    lines = [line if len(line) <= 160 else f"{line[:159]}…" for line in lines[:6]]
    kind = failure["kind"]
    text = "\n".join(lines)
    return text if kind in ("AssertionError", "") and text else f"{kind}: {text}".rstrip(": ")


def _count(number: int) -> str:
    return "your test passes" if number == 1 else f"your {number} tests pass"
