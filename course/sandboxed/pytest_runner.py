"""Runs a student's pytest file against one version of the code under test: two forks of a worker process.

`course.checks.python.suites` starts it there. One fork runs the tests; it begins before the version arrives and never
has it in its memory. The other one holds the version, and answers the tests through a socket (`boundary`): so tests
learn what the code does, and nothing else about it. pandas, pytest and Hypothesis are imported once. A run costs a few
tenths of a second. May import nothing of the course but what lies beside it, and must not trust what a run reports.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import _hypothesis_pytestplugin  # noqa: F401  imported before the fork, so that it is there at once
import hypothesis
import hypothesis.extra.numpy
import numpy as np  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.configuration import set_hypothesis_home_dir

from course.sandboxed import code_under_test, stubs
from course.sandboxed.worker import die_with_parent

MAX_REPORT_BYTES = 2**20
MAX_TEXT = 600
MAX_OUTPUT = 4000
MAX_FILE_BYTES = 32 * 2**20
EXAMPLES = 25

pa.set_cpu_count(1)  # no thread may be alive when the process forks
pa.set_io_thread_count(1)
hypothesis.settings.register_profile(
    "course",
    max_examples=EXAMPLES,
    derandomize=True,  # the same examples for every version, today and tomorrow
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # a verdict is wanted, not the smallest example
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def warm(modules: list[str]) -> None:
    """Import what all runs need, once; a module that is not there is left to the runs."""
    for name in modules:
        with contextlib.suppress(ImportError):
            __import__(name)
    gc.collect()
    gc.freeze()  # so that no run looks through what was here before


def _use_once() -> None:
    """Let Hypothesis and pytest read all their modules."""
    hypothesis.settings.load_profile("course")
    set_hypothesis_home_dir(Path(tempfile.gettempdir()) / ".hypothesis")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hypothesis.given(hypothesis.strategies.integers())(lambda number: None)()


_use_once()  # where this module is imported before a fork, each fork has it


@dataclass
class _Run:
    """A run that was prepared: its tests have started, and wait for the code at their first import of it."""

    folder: Path
    tests: int
    report: int
    to_code: socket.socket
    timeout: float


_prepared: list[_Run] = []


def prepare(name: str, source: str, beside: dict[str, str], timeout: float) -> None:
    """Start the tests, before the version is known to this process.

    Args:
        name: the test file's name, such as "test_features.py".
        source: its text.
        beside: files that lie beside it, name → text, the same for every version; a conftest.py among them gives
            fixtures.
        timeout: how long they may compute, in seconds; by the clock it may take three times that.
    """
    code_under_test.hide()  # what comes later is not for the tests
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=Path.cwd()))
    for file, text in {**beside, name: source}.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    near, far = socket.socketpair()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        _child(folder, name, theirs, near.detach(), timeout)
    os.close(theirs)
    near.close()
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    _prepared.append(_Run(folder, child, ours, far, timeout))


def run(modules: dict[str, str], tables: dict[str, Any], enough: list[str]) -> dict[str, Any]:
    """Run the tests that were prepared against one version.

    Args:
        modules: the files of the version, name → text.
        tables: data for the version, name → DataFrame.
        enough: test functions; once one of these fails, the run is ended. The tests do not know of that.

    Returns:
        events: what the run reported, in its order; status: its exit status (None: past the deadline; negative: a
        signal); ended: a test of `enough` failed; output: the end of what it printed; touched: whether the tests used
        the code at all.
    """
    prepared = _prepared.pop()
    output = prepared.folder / ".output"
    reading, writing = os.pipe()
    code = os.fork()
    if code == 0:
        _serve(modules, tables, prepared, writing)
    os.close(writing)
    prepared.to_code.close()
    try:
        deadline = time.monotonic() + 3 * prepared.timeout
        report, status, ended = _follow(prepared.tests, prepared.report, deadline, {*enough})
        touched = bool(select.select([reading], [], [], 0)[0] and os.read(reading, 1))
        reported = {"events": _events(report), "status": status, "ended": ended}
        return reported | {"output": _tail(output), "touched": touched}
    finally:
        os.close(reading)
        os.close(prepared.report)
        os.kill(code, signal.SIGKILL)
        os.waitpid(code, 0)
        with contextlib.suppress(RecursionError):  # folders too deep; they go with the worker's own folder
            shutil.rmtree(prepared.folder, ignore_errors=True)


def _serve(modules: dict[str, str], tables: dict[str, Any], prepared: _Run, touched: int) -> NoReturn:
    """Be the process that holds the version."""
    try:
        die_with_parent()
        code_under_test.hide()
        os.chdir(prepared.folder)  # an artifact is named by a path, and what the code prints goes nowhere
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        seconds = math.ceil(3 * prepared.timeout)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
        code_under_test.run(modules, tables, prepared.to_code, touched)
    finally:
        os._exit(0)


def _follow(child: int, report: int, deadline: float, enough: set[str]) -> tuple[bytes, int | None, bool]:
    """Collect what the child reports until it ends; past the deadline, or when enough is known, end all it started."""
    data, status, ended, failed = bytearray(), None, False, False
    while not ended and not failed and time.monotonic() < deadline:
        if select.select([report], [], [], 0.02)[0]:
            chunk = os.read(report, 1 << 16)
            data += chunk[: max(0, MAX_REPORT_BYTES - len(data))]
            failed = bool(enough) and any(_is_failure(event, enough) for event in _events(bytes(data)))
            if chunk:
                continue
            time.sleep(0.005)
        ended = _has_ended(child)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    _, code = os.waitpid(child, 0)
    if ended:
        status = os.waitstatus_to_exitcode(code)
        if status == -signal.SIGXCPU:
            status = None
    while not failed and select.select([report], [], [], 0)[0] and len(data) < MAX_REPORT_BYTES:
        chunk = os.read(report, 1 << 16)
        if not chunk:
            break
        data += chunk
    return bytes(data), status, failed


def _is_failure(event: dict[str, Any], enough: set[str]) -> bool:
    return event.get("outcome") in ("failed", "error") and str(event.get("test")).partition("[")[0] in enough


def _has_ended(child: int) -> bool:
    """Whether it has ended, without reaping it: its group's id stays its own until what it left behind is ended."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _events(report: bytes) -> list[dict[str, Any]]:
    events = []
    for line in report.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append(event)
    return events


def _tail(output: Path) -> str:
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_OUTPUT))
            return file.read(MAX_OUTPUT).decode(errors="replace")
    except OSError:
        return ""


def _child(folder: Path, name: str, report: int, code: int, timeout: float) -> NoReturn:
    """Be the run: leave the worker's pipes behind, report to `report`, ask at `code`, end without returning."""
    status = 70
    try:
        os.setpgid(0, 0)
        code_under_test.show()
        die_with_parent()
        os.chdir(folder)
        printed = os.open(".output", os.O_RDWR | os.O_CREAT, 0o600)
        _arrange({1: printed, 2: printed, 3: report, 4: code})
        seconds = math.ceil(timeout)  # of computing: a busy machine is not the student's fault
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        warnings.resetwarnings()
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        set_hypothesis_home_dir(folder / ".hypothesis")
        hypothesis.settings.load_profile("course")
        stubs.install(socket.socket(fileno=4))
        options = ["-c", os.devnull, "--rootdir", str(folder), "--confcutdir", str(folder), "-q", "--tb=no"]
        plugins = ["-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "-p", "no:faulthandler"]
        reporter = _Reporter(3, folder / name)
        status = int(pytest.main([*options, *plugins, str(folder / name)], plugins=[reporter]))
        reporter.tell(end=status)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(status)


def _arrange(wanted: dict[int, int]) -> None:
    """Put each file descriptor at its number, and close all others but 0."""
    high = {number: os.dup2(place, 100 + number, inheritable=False) for number, place in wanted.items()}
    for number, place in high.items():
        os.dup2(place, number, inheritable=number < 3)
    os.closerange(max(wanted) + 1, 1024)


class _Reporter:
    """A pytest plugin that writes one JSON line for each thing that happens."""

    def __init__(self, descriptor: int, file: Path) -> None:
        self._descriptor, self._file = descriptor, str(file)
        self._errors: dict[str, dict[str, Any]] = {}

    def tell(self, **event: Any) -> None:
        os.write(self._descriptor, json.dumps(event).encode() + b"\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.tell(start=_short_name(nodeid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        if call.excinfo is not None:
            self._errors[item.nodeid] = self._describe(call.excinfo)
        return (yield)

    def pytest_exception_interact(self, node, call, report) -> None:
        if not isinstance(node, pytest.Item):  # a file that cannot be imported; this comes before its report
            self._errors[node.nodeid] = self._describe(call.excinfo)

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.tell(
                collected="error", **self._errors.get(report.nodeid, {"message": str(report.longrepr)[-MAX_TEXT:]})
            )

    def pytest_collection_finish(self, session) -> None:
        self.tell(tests=[_short_name(item.nodeid) for item in session.items][:500])

    def pytest_runtest_logreport(self, report) -> None:
        name = _short_name(report.nodeid)
        if report.failed:
            # A strict xfail that passes fails without an exception.
            details = self._errors.get(report.nodeid) or {"message": str(report.longrepr)[:MAX_TEXT]}
            self.tell(test=name, outcome="failed" if report.when == "call" else "error", when=report.when, **details)
        elif report.skipped and report.when in ("setup", "call"):
            self.tell(test=name, outcome="skipped")
        elif report.when == "call":
            self.tell(test=name, outcome="passed")

    def _describe(self, excinfo) -> dict[str, Any]:
        """Say what was raised and the last line of the test file on the way."""
        error = excinfo.value
        line = None
        cause = error.__cause__ if type(error).__name__ == "CollectError" and error.__cause__ else error
        if isinstance(cause, SyntaxError) and cause.filename == self._file:
            line, message = cause.lineno, cause.msg
        else:
            trace = cause.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == self._file:
                    line = trace.tb_lineno
                trace = trace.tb_next
            try:
                message = "\n".join([str(cause), *getattr(cause, "__notes__", [])])
            except BaseException:
                message = "(the error has no message)"
        message = re.sub(r" at 0x[0-9a-f]+", "", message.strip())
        return {"kind": type(cause).__name__[:100], "message": message[:MAX_TEXT], "line": line}


def _short_name(nodeid: str) -> str:
    return nodeid.partition("::")[2][:200] or nodeid[:200]
