"""What every ring of tests shares: its needs, its sample, and how long it took.

A test marked with one of NEEDS, such as `engine`, is skipped, with the reason, where that is missing. Where it must be
there, as in CI, name it: COURSE_REQUIRE=engine turns the skip into a failure.
A test marked `exhaustive` is left out unless --all is given. `sampled("parameter")` marks the cases of a slow
parametrised test that way, except the first case of each kind: CONTRIBUTING.md has the rule.
A test marked `timed` holds a limit in seconds, and gives the reason why nothing else would prove the same.
After the tests comes a table of the minutes that each ring took.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from course.grading.sandbox.zygote import Zygote

BUILDX = "COURSE_TEST_BUILDX"  # a configuration of docker with the plugin buildx, which only some tests use
WAITED = "seconds that it waited for what another worker made"  # a property of a test
LONG_S = 900  # a test that allows itself more seconds than this is one of the longest
# rings that are part of another folder, by how their paths begin; every other ring is a folder of tests/
PARTS = {"tests/grading/attacks/": "attacks", "tests/labs/test_end_to_end.py": "end to end"}

# More threads than cores makes small models many times slower, and the tests already use every core.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Hypothesis fails an example that takes more than 0.2 s, which any does while others use the processors.
hypothesis.settings.register_profile("course", deadline=None)
hypothesis.settings.load_profile("course")
# The course's own Python, git and make, never the settings of whoever runs the tests or of the make that runs them.
for _variable in [
    name for name in os.environ if name.startswith(("MAKE", "MFLAGS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX"))
]:
    del os.environ[_variable]


def _answers(*command: str, seconds: float = 20) -> bool:
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    if (program := shutil.which(command[0], path=path)) is None:
        return False
    try:
        done = subprocess.run([program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _no_engine() -> str | None:
    return None if _answers("docker", "info") else "no container engine answers (docker info)"


def _no_buildkit() -> str | None:
    if not shutil.which("docker"):
        return "the command docker is not here"
    config = os.environ.get(BUILDX)
    ask = ["docker", *(["--config", config] if config else []), "buildx", "version"]
    return None if _answers(*ask) else "the command docker has no buildx"


def _no_cluster() -> str | None:
    ready = _answers("kubectl", "get", "--raw", "/readyz", "--request-timeout=8s")
    return None if ready else "no Kubernetes cluster answers (kubectl get --raw /readyz)"


def _no_browser() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed (pip install playwright)"
    found = any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return None if found else "there is no Chromium on the PATH"


def _no_network() -> str | None:
    ask = ("pip", "install", "--dry-run", "--no-cache", "--no-deps", "--reinstall", "--python", sys.executable, "wheel")
    return None if _answers("uv", *ask, seconds=60) else "no package index answers (uv pip install)"


def _no_postgresql() -> str | None:
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (make env)"
    return None if _postgresql() else "PostgreSQL is not installed (Debian: apt-get install postgresql)"


def _postgresql() -> Path | None:
    """The folder with PostgreSQL's server programs, which Debian keeps off the PATH; None where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += map(Path, os.environ["PATH"].split(os.pathsep))
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _no_bubblewrap() -> str | None:
    return None if shutil.which("bwrap") else "bubblewrap is not installed (Debian: apt-get install bubblewrap)"


def _no_prometheus() -> str | None:
    missing = [name for name, programs in PROMETHEUS.items() if not any(map(shutil.which, programs))]
    install = "Debian: apt-get install prometheus prometheus-alertmanager"
    return f"{', '.join(missing)} is not installed ({install})" if missing else None


def _no_extras() -> str | None:
    from course.labs import description, extras

    labs = [lab for lab in description.of_course(Path(__file__).parents[1], drafts=True) if extras.missing(lab)]
    return (
        f"the packages of {', '.join(lab.name for lab in labs)} are not installed (make extra LAB=all)"
        if labs
        else None
    )


# what lab 06 runs, by the name that people use; Debian calls one of them differently
PROMETHEUS = {name: (name,) for name in ("prometheus", "promtool", "amtool")}
PROMETHEUS["alertmanager"] = ("alertmanager", "prometheus-alertmanager")

NEEDS: dict[str, Callable[[], str | None]] = {
    "engine": functools.cache(_no_engine),
    "buildkit": functools.cache(_no_buildkit),
    "cluster": functools.cache(_no_cluster),
    "browser": functools.cache(_no_browser),
    "network": functools.cache(_no_network),
    "postgresql": functools.cache(_no_postgresql),
    "bubblewrap": functools.cache(_no_bubblewrap),
    "extras": functools.cache(_no_extras),
    "prometheus": functools.cache(_no_prometheus),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options --all and --mutants, and where the run of the solutions is kept."""
    parser.addoption("--all", action="store_true", help="run also the tests that are marked exhaustive")
    parser.addoption("--mutants", default=None, help="try so many edits of each answer, or `all`; by default a sample")
    parser.addoption("--stages", default=None, help="keep the run of the solutions in this folder, and use it again")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are processors, for tests often wait for servers, kernels and engines."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # which xdist reads itself
    from course.grading.pipeline.worker_pool import processors

    return processors() + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is exhaustive, unless all is asked for, or a test by its name; begin with what may take longest.

    Otherwise one worker would be in the middle of the longest test when all others are done.
    """
    _mark_what_is_not_in_the_sample(items)
    if not (config.getoption("--all") or config.option.keyword or any("::" in name for name in config.args)):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("exhaustive")])
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
    items.sort(key=_may_take_long, reverse=True)


def _mark_what_is_not_in_the_sample(items: list[pytest.Item]) -> None:
    """Mark as exhaustive all cases of a `sampled` test but the first, in the order of the file, of each kind."""
    first: dict[tuple[str, object], list[int]] = {}
    cases = []
    for item in items:
        if (rule := item.get_closest_marker("sampled")) is None:
            continue
        place = list(item.callspec.indices.values())
        kind = item.callspec.indices[rule.args[0]] if rule.args else None
        test = f"{item.path}::{item.originalname}"
        first[test, kind] = min(first.get((test, kind), place), place)
        cases.append((item, (test, kind), place))
    for item, kind, place in cases:
        if place != first[kind]:
            item.add_marker(pytest.mark.exhaustive)


def _may_take_long(item: pytest.Item) -> bool:
    allowed = item.get_closest_marker("timeout")
    return allowed is not None and allowed.args[0] > LONG_S


def pytest_configure(config: pytest.Config) -> None:
    """Measure the rings; refuse a COURSE_REQUIRE with a typing mistake, which would require nothing."""
    config.pluginmanager.register(Minutes(), "course-minutes")
    unknown = _required() - NEEDS.keys()
    if unknown:
        raise pytest.UsageError(f"COURSE_REQUIRE knows {', '.join(NEEDS)}; it names {', '.join(sorted(unknown))}")


def _required() -> set[str]:
    return {name.strip() for name in os.environ.get("COURSE_REQUIRE", "").split(",") if name.strip()}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what is not here, or fail it where that is required."""
    for name, missing in NEEDS.items():
        if item.get_closest_marker(name) is None or (reason := missing()) is None:
            continue
        if name in _required():
            pytest.fail(f"{reason}, and COURSE_REQUIRE asks for it", pytrace=False)
        pytest.skip(reason)


# -- the time that each ring took --------------------------------------------------------------------------------------


class Minutes:
    """The time that tests took, by ring; where several processes run them, in the one that reports."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.tests: dict[str, set[str]] = {}
        self.waited = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test: its set-up, its call or its tear-down."""
        ring = ring_of(report.nodeid)
        self.seconds[ring] += report.duration
        self.tests.setdefault(ring, set()).add(report.nodeid)
        if report.when == "teardown":
            self.waited += dict(report.user_properties).get(WAITED, 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, where more than one ring ran."""
        if len(self.seconds) < 2:
            return
        terminalreporter.section("minutes of workers, by ring")
        for ring, seconds in self.seconds.most_common():
            terminalreporter.write_line(f"{seconds / 60:7.1f}  {ring} ({len(self.tests[ring])} tests)")
        terminalreporter.write_line(f"{self.seconds.total() / 60:7.1f}  together")
        terminalreporter.write_line(f"{self.waited / 60:7.1f}  of them waiting for what another worker made")


def ring_of(nodeid: str) -> str:
    """The ring of a test, from its id, such as tests/unit/test_reading.py::test_x."""
    for beginning, ring in PARTS.items():
        if nodeid.startswith(beginning):
            return ring
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 2 else "other"


@pytest.fixture
def tell_waiting(record_property: Callable[[str, object], None]) -> Callable[[float], None]:
    """Tell the table of minutes for how many seconds a test waited for what another worker made."""
    return functools.partial(record_property, WAITED)


@pytest.fixture
def buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the plugin buildx that only tests with this fixture use, where there is one."""
    if config := os.environ.get(BUILDX):
        monkeypatch.setenv("DOCKER_CONFIG", config)


@pytest.fixture(scope="session")
def postgresql_programs() -> Path:
    """The folder with PostgreSQL's server programs."""
    return _postgresql()


@pytest.fixture(scope="session")
def warm() -> Iterator[Zygote]:
    """A zygote for all tests of this process; it takes seconds to start."""
    from course.grading.sandbox import zygote

    with zygote.Zygote() as made:
        yield made


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the course's site as `make site` builds it: once, also where several processes share the tests."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "site"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            command = [sys.executable, Path(__file__).parents[1] / "site" / "build.py", place]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
            assert done.returncode == 0, done.stdout + done.stderr
            (place / "done").touch()
    return place / "html"
