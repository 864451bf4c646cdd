"""A student's tests, judged: `tests("test_features.py")` runs them against one version of the code; `Mutation`, many.

Good tests pass on every correct version and fail on every broken one. When grading, each run has a sandbox of its own,
forked from a process that has imported pytest already, so a version costs a few tenths of a second. All versions have
the same flags, limits and files beside the tests, they come in random order, and the code under test is behind a
boundary (`course.sandboxed.boundary`): tests see what it does, and nothing that tells versions apart otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from course.checks.core import phases, processes
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.processes import Stopped, Worker
from course.checks.core.question import Question
from course.checks.files import reading
from course.checks.python.modules import ask, explain

MAX_TEST_BYTES = 256 * 2**10
RUNNER = "course.sandboxed.pytest_runner"
MOST_SET_ASIDE = 3
CAUGHT_AGAIN = 2
GET_AWAY = "what would have to be different in its result, and which of your assertions looks at that?"

Text = str | Callable[[], str]
Version = Mapping[str, Text]


@dataclass(frozen=True)
class Run:
    """How a test file fared against one version of the code.

    Attributes:
        passed, failed, errors, skipped: how many tests; an error is one that broke outside of the test itself.
        names: the tests that were found.
        red_names: those that failed or broke; "(import)" for the file itself.
        green_names: those that passed.
        touched: the tests used the code under test.
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
    red_names: frozenset[str] = frozenset()
    green_names: frozenset[str] = frozenset()
    touched: bool = False
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
        warm: Sequence[str] = (),
        enough: Iterable[str] = (),
    ) -> Run:
        """Run it once, in a clean folder and a process of its own, without the student's plugins, settings or conftest.

        Args:
            against: the files of the version, name → text. Modules, such as {"features.py": source}, are behind a
                boundary: tests import them by name and call their functions. A conftest.py, which gives fixtures, and
                files that are not Python lie beside the tests, for all to read; they must be the same for each version.
            tables: data for the version, which its modules import: `from tables import TABLES`. It gets those that its
                text names.
            timeout: how long the tests may compute, in seconds.
            warm: modules to import once, before the first run.
            enough: test functions; once one of these fails, nobody waits for the others. The tests do not know of it.

        Raises:
            Unmet: the file is not there, or is no text.
            CheckFailed: the process that runs tests was brought to its end.
            ValueError: a version has a file with the name of the test file.
        """
        place = PurePosixPath(self.name).name
        if place in against:
            raise ValueError(f"a version of the code cannot hold {place}, the student's own file")
        source = self.source()
        modules, beside = split(against)
        whole = "\n".join(modules.values())
        named = {name: table for name, table in (tables or {}).items() if f'"{name}"' in whole or f"'{name}'" in whole}
        started = {"name": place, "source": source, "beside": beside, "timeout": timeout}
        with _runner.ready(timeout, warm) as worker:
            arrived = {"modules": modules, "tables": named, "enough": sorted(enough)}
            for function, details in (("prepare", started), ("run", arrived)):
                answer = ask(worker, self.name, "call", function=function, args=[], kwargs=details)
                if "error" in answer:
                    raise explain(answer["error"], self.name, self.name)
        return read_report(answer["ok"], timeout)

    def copied(self, originals: Mapping[str, Text]) -> list[str]:
        """The functions of the given code that the file repeats."""
        texts = {name: _resolve(text) for name, text in originals.items()}
        with _runner.ready(20, (), "course.sandboxed.copied_code") as worker:
            details = {"tests": self.source(), "originals": texts}
            answer = ask(worker, self.name, "call", function="copied", args=[], kwargs=details)
        found = answer.get("ok")
        return [_text(name, 200) for name in found] if isinstance(found, list) else []


def split(version: Version) -> tuple[dict[str, str], dict[str, str]]:
    """The modules of a version, and the files that lie beside the tests."""
    modules: dict[str, str] = {}
    beside: dict[str, str] = {}
    for file, text in version.items():
        is_module = file.endswith(".py") and PurePosixPath(file).name != "conftest.py"
        (modules if is_module else beside)[file] = _resolve(text)
    return modules, beside


class _Runner:
    """The processes that run tests. In a sandbox each run has a new one; else they share one, of which runs are forks.

    A new one costs little where it is forked from a process that has imported everything, as when grading. On a
    student's own machine it would import for seconds, and nobody is deceived there.
    """

    def __init__(self) -> None:
        self._shared: dict[str, Worker] = {}
        self._warm: tuple[str, ...] | None = None
        self._nothing: tempfile.TemporaryDirectory[str] | None = None

    @contextlib.contextmanager
    def ready(self, timeout: float, warm: Sequence[str], program: str = RUNNER) -> Iterator[Worker]:
        """A process that has imported the program and these modules."""
        shared = processes.start_process is processes.start_plainly
        worker = self._shared.get(program) if shared else None
        if worker is None or worker.process.poll() is not None:
            worker = self._start(timeout, program)
            if program == RUNNER:
                _must(worker, "call", function="warm", args=[list(warm)], kwargs={})
        elif program == RUNNER and self._warm != tuple(warm):
            _must(worker, "call", function="warm", args=[list(warm)], kwargs={})
        worker.timeout = 3 * timeout + 20
        if shared:
            self._shared[program] = worker
            self._warm = tuple(warm) if program == RUNNER else self._warm
        try:
            yield worker
        finally:
            if not shared:
                worker.close()

    def _start(self, timeout: float, program: str) -> Worker:
        if self._nothing is None:
            self._nothing = tempfile.TemporaryDirectory(prefix="course-")
            Path(self._nothing.name).chmod(0o755)
        # what was shipped stays out of sight: tests have what is in their file, and the code under test
        worker = Worker(timeout=3 * timeout + 20, folder=Path(self._nothing.name))
        _must(worker, "use", name=program)
        return worker


def _must(worker: Worker, do: str, **details: Any) -> None:
    """Ask what involves no code of the student's, so that a failure is the grader's own."""
    try:
        answer = worker.request(do, **details)
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
    problem, hint = None, None
    ended = report.get("ended") is True and count["failed"] + count["error"] > 0
    if not ended:
        problem, hint = _problem(status, events, names, count, running, timeout)
    return Run(
        passed=count["passed"],
        failed=count["failed"],
        errors=count["error"],
        skipped=count["skipped"],
        names=names,
        red_names=frozenset(name for name, outcome in outcomes.items() if outcome in ("failed", "error")),
        green_names=frozenset(name for name, outcome in outcomes.items() if outcome == "passed"),
        touched=report.get("touched") is True,
        failures=tuple(failures),
        output=output,
        problem=problem,
        hint=hint,
        timed_out=status is None and not ended,
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

    Everything runs when the first check asks for it: the first correct version, then all others in random order, the
    first correct one among them a second time.

    A test function that fails on a correct version is set aside: it catches nothing, and the others are judged without
    it. `points` says what that costs. A file is not judged at all where it cannot be run, passes and fails on the same
    code, never uses the code under test, repeats it, or has more than a few functions to set aside.

    Attributes:
        question: where the checks go.
        suite: the tests.
        correct: correct versions, by what they are called in messages; the first is what students were given.
        tables: a function that returns data for the versions; see :meth:`Suite.run`. It is called when the first check
            runs, not when the question is loaded.
        warm: modules to import once, before the first run.
        timeout: how long the tests may compute on one version, in seconds. A broken version on which they do not end
            is caught: whoever waits for them sees no green.
        advice: the hint when a correct version is rejected.
        points: what it is worth that every test passes on correct code (and the tests catch something). With 0, one
            test that fails there costs all of the question, which is for questions of few points.
        given: files of the code under test that students have, name → text; tests that repeat a function of them
            are not judged.
    """

    question: Question
    suite: Suite
    correct: dict[str, Version]
    tables: Callable[[], Mapping[str, pd.DataFrame]] = dict
    warm: Sequence[str] = ("course.flights",)
    timeout: float = 10.0
    advice: str = "test what the description promises, and nothing that another correct version may do differently"
    points: float = 0
    given: Mapping[str, Text] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._broken: dict[str, list[Version]] = {}
        self._hidden: set[str] = set()
        self._judgement: _Judgement | CheckFailed | None = None
        title = f"the tests in {self.suite.name} pass on correct code"

        def passes_on_correct_code() -> None:
            judgement = self._judge()
            if judgement.rejected is not None:
                raise judgement.rejected
            if self.points and not any(map(judgement.is_caught, judgement.runs)):
                hint = "a test that passes on every version says nothing about any; what would be different?"
                raise CheckFailed("they pass, and they pass on every broken version as well", hint=hint)

        check = self.question.check(self.points, title=title)(passes_on_correct_code)
        self._needs = () if self.points else (check,)

    def accepts(self, name: str, version: Version, *, hidden: bool = False) -> None:
        """Add a correct version; `name` completes "test_x fails on …".

        Args:
            name: what it is called.
            version: its files.
            hidden: students do not have it; what a test reports about it is not shown.
        """
        self.correct[name] = version
        if hidden:
            self._hidden.add(name)

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
            judgement = self._judge(hidden)
            places = [(title, place) for place in range(len(listed))]
            runs = [judgement.runs[place] for place in places]
            stuck = next((run for run in runs if run.problem and not run.timed_out), None)
            if stuck is not None:
                raise CheckFailed(f"there is no verdict: {stuck.problem}", hint=stuck.hint)
            away = sum(not judgement.is_caught(place) for place in places)
            if away:
                some = "it" if len(runs) == 1 else f"{away} of {len(runs)} variants"
                on = "it" if away == 1 else "them"
                raise CheckFailed(f"{some} got away: {_count(judgement.tests)} on {on}", hint=hint or GET_AWAY)

        is_caught.__name__ = re.sub(r"\W+", "_", title).strip("_").lower()
        self.question.check(points, title=title, needs=self._needs, hidden=hidden, hint=hint or GET_AWAY)(is_caught)
        self._broken[title] = listed

    def _judge(self, hidden: bool = False) -> _Judgement:
        """What came of all runs. Hidden checks take what the visible ones had: no code could remember in any run."""
        key = f"{self.question.title}\n{self.suite.name}\n{self.suite.source()}"
        if self._judgement is None and hidden:
            self._judgement = _judged.get(key)
        if self._judgement is None:
            try:
                with self.question.progress("running your tests") as step:
                    self._judgement = self._run_all(step)
            except CheckFailed as failure:
                self._judgement = failure
            _judged.clear()
            _judged[key] = self._judgement
        if isinstance(self._judgement, CheckFailed):
            raise self._judgement
        return self._judgement

    def _run_all(self, step: Callable[[str], None]) -> _Judgement:
        can_be_judged = f"the tests in {self.suite.name} can be judged"
        self.suite.source()
        if self.given and (copied := self.suite.copied(self.given)):
            hint = "write down what you expect, from the promise and a calendar: a copy repeats the code's mistakes"
            reason = "the tests repeat code that they are to test (a rule of this course)"
            raise Unmet(can_be_judged, reason, actual=", ".join(copied[:4]), hint=hint)
        tables = self.tables()
        original = next(iter(self.correct))
        queue: list[tuple[str, int]] = [*((name, -1) for name in self.correct if name != original), (original, -2)]
        queue += [(title, place) for title, some in self._broken.items() for place in range(len(some))]
        random.SystemRandom().shuffle(queue)
        self._all_have_the_same_beside_them()
        runs: dict[tuple[str, int], Run] = {}
        stuck = 0
        enough: set[str] = set()
        for number, (title, place) in enumerate([(original, -1), *queue], 1):
            step(f"version {number} of {len(queue) + 1}")
            if stuck >= 3:
                runs[title, place] = Run(problem="not tried: the tests had been stuck three times before")
                continue
            version = self.correct[title] if place < 0 else self._broken[title][place]
            run = runs[title, place] = self._run(version, tables, enough if place >= 0 else ())
            stuck += run.problem is not None
            if place < 0:
                self._must_have_a_verdict(run, can_be_judged)
            if number == 1:
                self._must_make_sense(run, can_be_judged)
                enough = {_function(test) for test in run.green_names} - {_function(test) for test in run.red_names}
        return self._judgement_of(runs, tables, can_be_judged)

    def _run(self, version: Version, tables: Mapping[str, pd.DataFrame], enough: Iterable[str] = ()) -> Run:
        return self.suite.run(version, tables=tables, timeout=self.timeout, warm=self.warm, enough=enough)

    def _all_have_the_same_beside_them(self) -> None:
        versions = [*self.correct.values(), *(version for some in self._broken.values() for version in some)]
        first = split(versions[0])[1]
        if any(split(version)[1] != first for version in versions):
            raise ValueError("what lies beside the tests must be the same for every version: it would tell them apart")

    def _must_have_a_verdict(self, run: Run, title: str) -> None:
        if run.problem:
            raise Unmet(title, run.problem, hint=run.hint)

    def _must_make_sense(self, run: Run, title: str) -> None:
        if "(import)" in run.red_names:
            failure = _rejected(run, next(iter(self.correct)), None)
            raise Unmet(title, failure.reason, actual=failure.actual, hint=failure.hint)
        if not run.touched and run.green_names:
            hint = "import the code that is to be tested, or ask for the fixtures, and assert what comes back"
            raise Unmet(title, "no test uses the code that it is to test", hint=hint)

    def _judgement_of(
        self, runs: dict[tuple[str, int], Run], tables: Mapping[str, pd.DataFrame], title: str
    ) -> _Judgement:
        original = next(iter(self.correct))
        first, again = runs[original, -1], [runs[original, -2]]
        changed = first.red_names ^ again[0].red_names
        aside: dict[str, str] = {}
        for name, version in self.correct.items():
            run = runs[name, -1]
            new = {_function(test) for test in run.red_names} - set(aside)
            if new and name != original:
                again.append(self._run(version, tables))
                self._must_have_a_verdict(again[-1], title)
                changed |= run.red_names ^ again[-1].red_names
            aside.update(dict.fromkeys(sorted(new), name))
        if changed:
            run = next(run for run in (*runs.values(), *again) if changed & run.red_names)
            raise Unmet(
                title,
                f"{_place(run, changed)} passes and fails on the same code",
                actual=_message(run, changed),
                hint="a test must give the same answer every time: fix its random numbers, clocks and order",
            )
        kept = {_function(test) for test in first.green_names} - set(aside)
        rejected = None
        if aside:
            rejected = self._rejection(runs, aside)
            if not kept or len(aside) > min(MOST_SET_ASIDE, len(kept)):
                more = "" if not kept else f"; of {len(kept) + len(aside)} test functions, {len(aside)} fail there"
                raise Unmet(title, rejected.reason + more, actual=rejected.actual, hint=rejected.hint)
            if self.points:
                names = ", ".join(list(aside)[:3])
                rejected.reason += f"; the other tests are judged without {names}"
        passed = sum(_function(test) in kept for test in first.green_names)
        broken = {place: run for place, run in runs.items() if place[1] >= 0}
        for (name, place), run in broken.items():  # it ended at the failure of a test that is set aside
            if run.red and {_function(test) for test in run.red_names} <= set(aside):
                broken[name, place] = self._run(self._broken[name][place], tables, kept)
        self._must_catch_again(broken, kept, tables, title)
        return _Judgement(broken, frozenset(kept), passed, rejected)

    def _must_catch_again(
        self,
        broken: dict[tuple[str, int], Run],
        kept: set[str],
        tables: Mapping[str, pd.DataFrame],
        title: str,
    ) -> None:
        """Try two versions again that a test caught: one that fails by chance is no test."""
        caught = [place for place, run in broken.items() if run.red and {_function(t) for t in run.red_names} & kept]
        for name, place in random.SystemRandom().sample(caught, min(CAUGHT_AGAIN, len(caught))):
            run = broken[name, place]
            again = self._run(self._broken[name][place], tables, {_function(test) for test in run.red_names})
            if not again.red_names & run.red_names:
                hint = "a test must give the same answer every time: fix its random numbers, clocks and order"
                raise Unmet(title, f"{_place(run).partition(' (')[0]} passes and fails on the same code", hint=hint)

    def _rejection(self, runs: dict[tuple[str, int], Run], aside: dict[str, str]) -> CheckFailed:
        version = next(name for name in self.correct if name in aside.values())
        names = {function for function, name in aside.items() if name == version}
        run = runs[version, -1]
        failures = tuple(item for item in run.failures if _function(item["name"] or "(import)") in names)
        is_first = version == next(iter(self.correct))
        failure = _rejected(replace(run, failures=failures), version, None if is_first else self.advice)
        if version in self._hidden:  # what a test finds there is not for its author
            failure.actual = None
        return failure


@dataclass(frozen=True)
class _Judgement:
    """What came of all runs.

    Attributes:
        runs: of the broken versions, by title and place.
        kept: the test functions that passed on every correct version.
        tests: how many tests these are.
        rejected: why some are not kept, or None.
    """

    runs: dict[tuple[str, int], Run]
    kept: frozenset[str]
    tests: int
    rejected: CheckFailed | None

    def is_caught(self, place: tuple[str, int]) -> bool:
        """A test that is kept failed on a broken version, or the tests did not end."""
        run = self.runs[place]
        red = {_function(test) for test in run.red_names}
        return run.timed_out or (run.problem is None and ("(import)" in red or bool(red & self.kept)))


_judged: dict[str, _Judgement | CheckFailed] = {}  # of the question that is running
phases.after_hidden(_judged.clear)


def _function(test: str) -> str:
    """The function of a test: without the values of its parameters."""
    return test.partition("[")[0]


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
    if re.search(r"is a built-in module|could not get source|source code", failure["message"]):
        hint = "the code under test runs in another process: look at what it does, its source cannot be read"
    others = f" (and {len(run.failures) - 1} more)" if len(run.failures) > 1 else ""
    reason = f"{_place(run)} fails on {version}, which keeps every promise{others}"
    return CheckFailed(reason, actual=_message(run), hint=hints.get(failure["kind"], hint))


def _failure_of(run: Run, names: Set[str]) -> dict[str, Any]:
    return next((failure for failure in run.failures if failure["name"] in names), run.failures[0])


def _place(run: Run, names: Set[str] = frozenset()) -> str:
    failure = _failure_of(run, names)
    return (failure["name"] or "the file") + (f" (line {failure['line']})" if failure["line"] else "")


def _message(run: Run, names: Set[str] = frozenset()) -> str:
    failure = _failure_of(run, names)
    noise = ("Use -v", "Full diff")
    lines = [line.strip() for line in failure["message"].splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(noise) and not (line.startswith("+") and len(line) > 120)]
    lines = [line if len(line) <= 160 else f"{line[:159]}…" for line in lines[:6]]
    kind = failure["kind"]
    text = "\n".join(lines)
    return text if kind in ("AssertionError", "") and text else f"{kind}: {text}".rstrip(": ")


def _count(number: int) -> str:
    return "your test passes" if number == 1 else f"your {number} tests pass"
