"""Runs a student's pytest file against one version of the code under test: in a worker process, a fork for each run.

`course.checks.python.suites` starts it there. pandas, pytest and Hypothesis are imported once; a run is a fork of that
process, in a folder of its own, with a deadline, and costs a few tenths of a second. May import nothing of the course
but `worker`, and must not trust what a run reports.
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
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import _hypothesis_pytestplugin  # noqa: F401  imported before the fork, so that it is there at once
import hypothesis
import hypothesis.extra.numpy
import numpy as np  # noqa: F401
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.configuration import set_hypothesis_home_dir

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
    hypothesis.settings.load_profile("course")
    set_hypothesis_home_dir(Path.cwd() / ".hypothesis")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hypothesis.given(hypothesis.strategies.integers())(lambda number: None)()  # it reads all modules the first time
    gc.collect()
    gc.freeze()  # so that no run looks through what was here before


_tables: dict[str, Any] = {}


def hold(tables: dict[str, Any]) -> None:
    """Keep the data that the fixture `tables` hands out in all further runs, name → DataFrame."""
    _tables.clear()
    _tables.update(tables)


def run(name: str, source: str, modules: dict[str, str], timeout: float, first: bool = False) -> dict[str, Any]:
    """Run one pytest file in a fork.

    Args:
        name: the file's name, such as "test_features.py".
        source: its text.
        modules: files that lie beside it, name → text; a conftest.py among them gives fixtures.
        timeout: how long it may compute, in seconds; by the clock it may take three times that.
        first: stop at the first test that fails.

    Returns:
        events: what the run reported, in its order; status: its exit status (None: past the deadline; negative: a
        signal); output: the end of what it printed.
    """
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=Path.cwd()))
    try:
        for file, text in {**modules, name: source}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        output = folder / ".output"
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            _child(folder, name, theirs, output, first, timeout)
        os.close(theirs)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        try:
            report, status = _follow(child, ours, time.monotonic() + 3 * timeout)
        finally:
            os.close(ours)
        return {"events": _events(report), "status": status, "output": _tail(output)}
    finally:
        with contextlib.suppress(RecursionError):  # folders too deep; they go with the worker's own folder
            shutil.rmtree(folder, ignore_errors=True)


def _follow(child: int, report: int, deadline: float) -> tuple[bytes, int | None]:
    """Collect what the child reports until it ends; past the deadline, end it and all that it started."""
    data, status, ended = bytearray(), None, False
    while not ended and time.monotonic() < deadline:
        if select.select([report], [], [], 0.02)[0]:
            chunk = os.read(report, 1 << 16)
            data += chunk[: max(0, MAX_REPORT_BYTES - len(data))]
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
    while select.select([report], [], [], 0)[0] and len(data) < MAX_REPORT_BYTES:
        chunk = os.read(report, 1 << 16)
        if not chunk:
            break
        data += chunk
    return bytes(data), status


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


def _child(folder: Path, name: str, report: int, output: Path, first: bool, timeout: float) -> NoReturn:
    """Be the run: leave the worker's pipes behind, report to `report`, and end without returning."""
    status = 70
    try:
        os.setpgid(0, 0)
        die_with_parent()
        os.chdir(folder)
        report = os.dup2(report, 3, inheritable=False)
        printed = output.open("w")
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        os.closerange(4, 1024)
        seconds = math.ceil(timeout)  # of computing: a busy machine is not the student's fault
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        warnings.resetwarnings()
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        set_hypothesis_home_dir(folder / ".hypothesis")
        hypothesis.settings.load_profile("course")
        options = ["-c", os.devnull, "--rootdir", str(folder), "--confcutdir", str(folder), "-q", "--tb=short"]
        plugins = ["-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "-p", "no:faulthandler"]
        command = [*options, *plugins, *(["-x"] if first else []), str(folder / name)]
        reporter = _Reporter(report, folder / name, _tables)
        status = int(pytest.main(command, plugins=[reporter]))
        reporter.tell(end=status)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(status)


class _Reporter:
    """A pytest plugin that writes one JSON line for each thing that happens, and gives the fixture `tables`."""

    def __init__(self, descriptor: int, file: Path, tables: dict[str, pd.DataFrame]) -> None:
        self._descriptor, self._file, self._tables = descriptor, str(file), tables
        self._errors: dict[str, dict[str, Any]] = {}

    def tell(self, **event: Any) -> None:
        os.write(self._descriptor, json.dumps(event).encode() + b"\n")

    @pytest.fixture(scope="session")
    def tables(self) -> dict[str, pd.DataFrame]:
        """The data of this run, by name; copy before changing."""
        return self._tables

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
