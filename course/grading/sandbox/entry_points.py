"""What a process forked by the zygote becomes: a kernel, an examiner (which runs questions), a worker, a command."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import logging
import os
import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn


def warm_up() -> None:
    """Do once, before any fork, what every kernel would do at its start."""
    sys.modules["debugpy"] = None  # half a second of imports for a debugger that nobody attaches
    import ipykernel.debugger  # noqa: F401
    import pandas as pd
    import pyarrow as pa

    from course import flights
    from course.base.result import Result
    from course.checks.core import rendering
    from course.sandboxed import serialization

    pd.set_option("display.max_columns", 20)  # what pandas sets itself when a kernel imports it, and no terminal
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "t": pd.to_datetime(["2013-01-01"] * 2)})
    serialization.unpack(serialization.pack(frame))
    _use_once(frame)
    rendering.html(Result("", 1, ()))  # compiles its template
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if os.environ.get(flights.PUBLIC_TABLES):  # read once for all students
        flights.history(flights.TODAY)
        flights.planned(flights.TODAY)


def _use_once(frame: Any) -> None:
    """Fit a model and draw a figure: libraries import, compile and look for fonts when they are first used."""
    from matplotlib.figure import Figure
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[["a"]], frame["b"]).predict_proba(frame[["a"]])
    frame.describe()._repr_html_()
    figure = Figure()
    figure.subplots().plot([0, 1], label="a")
    figure.legend()
    figure.savefig(io.BytesIO(), format="png")


def kernel(arguments: list[str]) -> NoReturn:
    """An ipykernel that listens at the connection file in arguments[0]."""
    _fresh_randomness()
    gc.set_threshold(20_000)  # looking for garbage copies the pages that are shared with the zygote
    _launch_in_sandbox()
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    sys.argv[:] = ["ipykernel", "-f", arguments[0]]
    _forget_working_folder()
    sys.path.append("")
    settings = Config({"HistoryManager": {"enabled": False}, "IPKernelApp": {"log_level": logging.ERROR}})
    app = IPKernelApp.instance(capture_fd_output=False, connection_file=arguments[0], config=settings)
    app.parse_command_line = lambda argv=None: None  # there is none, and to make its parser takes long
    with _no_list_of_modules():
        app.initialize([])
    app.start()
    atexit._run_exitfuncs()  # what checks started ends here, and their scratch folders go
    os._exit(0)


def examiner(arguments: list[str]) -> NoReturn:
    """A trusted process that runs questions; see course.checks.core.serving for the arguments.

    COURSE_SANDBOX says that what checks start of a student's must run in a sandbox, and COURSE_MEMORY_MB bounds its
    memory: what students hand over may be larger inside than outside.
    """
    _fresh_randomness()
    gc.set_threshold(20_000)
    if size := os.environ.get("COURSE_MEMORY_MB"):
        resource.setrlimit(resource.RLIMIT_AS, (int(size) << 20, int(size) << 20))
    _launch_in_sandbox()
    from course.checks.core import serving

    _forget_working_folder()
    serving.serve(int(arguments[0]), Path(arguments[1]))
    atexit._run_exitfuncs()  # what checks started ends here, and their scratch folders go
    os._exit(0)


def _forget_working_folder() -> None:
    """Nothing in the folder in which the process starts can shadow a module."""
    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]


def _launch_in_sandbox() -> None:
    """Have checks start what is a student's in a sandbox, where COURSE_SANDBOX says so."""
    if os.environ.get("COURSE_SANDBOX"):
        from course.grading.sandbox import launcher

        launcher.install()


@contextlib.contextmanager
def _no_list_of_modules() -> Iterator[None]:
    """Spare ipykernel the list of all modules' files, which is for its debugger: to touch each copies its page."""
    from ipykernel import ipkernel

    class WithoutModules(ModuleType):
        modules = MappingProxyType({})

        def __getattr__(self, name: str) -> Any:
            return getattr(sys, name)

    ipkernel.sys = WithoutModules("sys")
    try:
        yield
    finally:
        ipkernel.sys = sys


def worker(arguments: list[str]) -> NoReturn:
    """A worker of the checks; see course.sandboxed.worker for the arguments."""
    _fresh_randomness()
    from course.sandboxed import worker as program

    sys.argv[:] = ["worker", *arguments]
    sys.modules["__main__"] = program  # as when it is started by itself; what a pickle lacks is then told the same
    _forget_working_folder()
    program.main()
    os._exit(0)


def cold(kind: str, arguments: list[str]) -> list[str]:
    """The program that does what a fork would, but starts from nothing; for sandboxes that we cannot make ourselves."""
    module = {"kernel": ["ipykernel_launcher", "-f"], "worker": ["course.sandboxed.worker"]}.get(kind)
    return [sys.executable, "-B", "-P", "-m", *module, *arguments] if module else arguments


def command(arguments: list[str]) -> NoReturn:
    """Any program."""
    os.execvpe(arguments[0], arguments, dict(os.environ))


def _fresh_randomness() -> None:
    """Siblings must not share the state of the random generators."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
