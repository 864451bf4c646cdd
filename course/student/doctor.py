"""`make doctor`: does this machine do what the course needs? Each check does something real, and helps where it fails.

A check is a function under `@check`. It returns one line that says what it did, or raises Unwell with what is wrong and
a fix; any other exception is a failure too. Each runs in a process of its own, so a library that crashes or a program
that hangs fails its own check only. A required check that fails makes the exit code 1, an optional one does not.

`course doctor --json` prints one object, for scripts:

    format    "course-doctor/1"; the number rises when a field changes its meaning or goes away
    ok        true when every required check passed
    python, platform
    checks    a list, in the order of the text: name, title, required (true or false), outcome ("pass" or "fail"),
              detail (one line), fix (null when it passed), seconds

Uses the standard library; each check imports what it tries, and the one of the ports what labs say of themselves.
Used by the `course` command, the tests and the CI.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import TextIO

from course.base import locks

FORMAT = "course-doctor/1"
BASE_IMAGE = "python:3.11-slim"
CLONE = Path(__file__).resolve().parents[2]
JUPYTERLAB = 8888
GIB = 2**30


class Unwell(Exception):
    """What is wrong, in one line, and what to do about it."""

    def __init__(self, what: str, fix: str | None = None) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True)
class Check:
    """One thing the machine must (or may) be able to do; `run` does it, `fix` helps when that names no better one."""

    name: str
    title: str
    required: bool
    timeout: float  # seconds
    fix: str
    run: Callable[[], str]


@dataclass(frozen=True)
class Diagnosis:
    """What came of one check; the fields are those of the JSON."""

    name: str
    title: str
    required: bool
    outcome: str
    detail: str
    fix: str | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the machine did what was asked."""
        return self.outcome == "pass"


CHECKS: dict[str, Check] = {}


def check(title: str, *, fix: str, required: bool = True, timeout: float = 60.0) -> Callable:
    """Register a function as a check, under its own name.

    Args:
        title: what the machine does when it passes.
        fix: what to do when it fails for a reason that the check does not know better.
        required: whether the course cannot be taken without it.
        timeout: seconds after which it has failed; it finds what hangs, so a busy machine has time.

    Returns:
        A decorator that leaves the function as it is.
    """

    def register(function: Callable[[], str]) -> Callable[[], str]:
        name = function.__name__
        CHECKS[name] = Check(name, title, required, timeout, fix, function)
        return function

    return register


def _install(name: str, *, brew: str | None = None) -> str:
    """How to install a program here, with the package manager that is here."""
    managers = {
        "apt-get": "sudo apt install",
        "dnf": "sudo dnf install",
        "pacman": "sudo pacman -S",
        "zypper": "sudo zypper install",
    }
    if sys.platform == "darwin":
        return f"brew install {brew or name}" if shutil.which("brew") else "xcode-select --install"
    for manager, command in managers.items():
        if shutil.which(manager):
            return f"{command} {name}"
    return f"install {name} with your system's packages, or: conda install -c conda-forge {name}"


def _environment_again() -> str:
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda env remove -n course && conda env create -f environment.yml, then: make doctor"
    return "rm -rf .venv && make env, then: make doctor"


def _call(*command: str, folder: Path | None = None, fix: str, **more: str) -> str:
    """Run a program apart from the make and the git that may have called us; its output, or Unwell."""
    inherited = {
        key: value for key, value in os.environ.items() if not re.match(r"MAKE|MFLAGS|GIT_(DIR|WORK|INDEX)", key)
    }
    if shutil.which(command[0]) is None:
        raise Unwell(f"there is no {command[0]} on the PATH", fix)
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Unwell(f"{command[0]} ended with {done.returncode}: {said[-1]}", fix)
    return done.stdout


@check("Python is 3.11 or newer", fix="make env PYTHON=/path/to/python3.12 (any Python from 3.11)")
def python() -> str:
    if sys.version_info < (3, 11):  # noqa: UP036 (an old Python in an old environment is what this finds)
        raise Unwell(f"this is Python {platform.python_version()}")
    if sys.maxsize < 2**32:
        raise Unwell(
            "this Python has 32 bits, and the packages need 64", "install a 64-bit Python, rm -rf .venv, make env"
        )
    return f"{platform.python_version()} in {sys.prefix}"


@check(
    "the packages are those of requirements.lock", fix="make env, and if that is not enough: rm -rf .venv && make env"
)
def packages() -> str:
    lock = CLONE / "requirements.lock"
    if not lock.is_file():
        raise Unwell(f"there is no {lock}", "git checkout requirements.lock, or download the course again")
    count, wrong = locks.differences(lock)
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise Unwell("; ".join(wrong[:3]) + more)
    return f"{count} packages, each in its pinned version"


@check("the packages that single labs need are installed", fix="make extra LAB=all", required=False)
def extras() -> str:
    from course.labs import description
    from course.labs import extras as of_labs

    labs = [lab for lab in description.of_course(CLONE) if lab.extra]
    without = [lab.number for lab in labs if of_labs.missing(lab, CLONE)]
    if without:
        raise Unwell(
            f"not those of lab {', '.join(without)}", f"before you begin that lab: make extra LAB={without[0]}"
        )
    return f"those of lab {', '.join(lab.number for lab in labs)}" if labs else "no lab needs more"


@check("a notebook runs through the kernel", fix=_environment_again(), timeout=90)
def notebook() -> str:
    import nbclient
    import nbformat

    cells = ["import sys\nanswer = 6 * 7", "print(answer, sys.prefix)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            book, timeout=30, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    printed = book.cells[-1].outputs[0]["text"].strip()
    answer, _, prefix = printed.partition(" ")
    if answer != "42":
        raise Unwell(f"the kernel answered {printed!r}, not 42")
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise Unwell(
            f"the kernel python3 is another Python, in {prefix}",
            "jupyter kernelspec list shows where it is; then: jupyter kernelspec remove python3, and make env",
        )
    return "two cells, one kernel, the right answer"


@check("a model is fitted and saved", fix=_environment_again())
def model() -> str:
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    features = np.random.default_rng(0).normal(size=(200, 3))
    fitted = LogisticRegression().fit(features, features[:, 0] > 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(fitted, path)
        size, again = path.stat().st_size, joblib.load(path)
    if not np.array_equal(again.predict_proba(features), fitted.predict_proba(features)):
        raise Unwell("the model that was loaded predicts something else than the one that was saved")
    return f"200 rows fitted, {size} bytes saved, the same predictions when loaded"


@check("a table is written to Parquet and read back", fix=_environment_again())
def parquet() -> str:
    import pandas as pd

    table = pd.DataFrame(
        {"when": pd.date_range("2013-07-04", periods=3, tz="America/New_York"), "late": [True, False, None]}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        table.to_parquet(path)
        again = pd.read_parquet(path)
    if not again.equals(table):
        raise Unwell("the table that was read differs from the one that was written")
    return "three rows, the same when read"


@check("a figure is drawn", fix=_environment_again())
def figure() -> str:
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(3, 2))
    FigureCanvasAgg(drawn)
    drawn.subplots().plot([14, 33])
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    if not buffer.getvalue().startswith(b"\x89PNG"):
        raise Unwell("what matplotlib wrote is no PNG image")
    return f"a PNG image of {len(buffer.getvalue())} bytes"


@check("git commits", fix=_install("git"))
def git() -> str:
    fix = CHECKS["git"].fix
    someone = {
        f"GIT_{role}_{what}": "doctor@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "README.md").write_text("# A project\n")
        _call("git", "init", "--quiet", folder=folder, fix=fix)
        _call("git", "add", "README.md", folder=folder, fix=fix)
        _call(
            "git", "commit", "--quiet", "--message", "Say what this is", folder=folder, **someone,
            fix="git config --show-origin --list shows your settings; look for hooks, templates and commit.gpgsign",
        )  # fmt: skip
        count = _call("git", "rev-list", "--count", "HEAD", folder=folder, fix=fix).strip()
    if count != "1":
        raise Unwell(f"after one commit there are {count}")
    return _call("git", "--version", fix=fix).strip()


@check("make makes", fix=_install("make"))
def make() -> str:
    fix = CHECKS["make"].fix
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Makefile").write_text("greeting.txt:\n\t@echo hello >$@\n")
        _call("make", "--silent", "greeting.txt", folder=folder, fix=fix)
        made = folder / "greeting.txt"
        if not made.is_file() or made.read_text().strip() != "hello":
            raise Unwell("make ended well and made nothing")
    return _call("make", "--version", fix=fix).partition("\n")[0]


@check(
    "the flights load",
    fix="make env; a broken cache mends itself, and COURSE_CACHE names another folder for it",
)
def data() -> str:
    from course import flights

    began = time.perf_counter()
    count = len(flights.planned("2013-11-01"))
    if not count:
        raise Unwell("no flight is planned for 1 November 2013, where there should be hundreds")
    return f"{count} flights planned for 1 November 2013, in {time.perf_counter() - began:.1f} s"


@check("there is room on the disk", fix="empty the bin, remove what you do not need, or put the clone on a larger disk")
def disk() -> str:
    needs = {CLONE: 2.0, Path(tempfile.gettempdir()): 0.5}
    for folder, need in needs.items():
        free = shutil.disk_usage(folder).free / GIB
        if free < need:
            raise Unwell(f"{folder} has {free:.1f} GiB free, and the course needs {need:.1f}")
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(2**20))
        except OSError as error:
            raise Unwell(
                f"cannot write to {folder}: {error.strerror}", f"look at the permissions: ls -ld {folder}"
            ) from error
    return f"{shutil.disk_usage(CLONE).free / GIB:.0f} GiB free here"


@check(
    "there is enough memory",
    fix="close other programs; in Docker Desktop or WSL, give the machine more memory in its settings",
)
def memory() -> str:
    allowed = min(_memory_limits())
    if allowed < 2 * GIB:
        raise Unwell(f"{allowed / GIB:.1f} GiB in all, and the course needs 2")
    try:
        information = Path("/proc/meminfo").read_text()
    except OSError:  # not Linux
        return f"{allowed / GIB:.0f} GiB"
    free = int(re.search(r"^MemAvailable:\s+(\d+) kB", information, re.M)[1]) * 1024
    if free < GIB:
        raise Unwell(f"{free / GIB:.1f} GiB of {allowed / GIB:.0f} are free, and a notebook may need 1")
    return f"{allowed / GIB:.0f} GiB, {free / GIB:.0f} of them free"


def _memory_limits(cgroup: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What bounds this process, in bytes: the machine, its container, its own limit."""
    import resource

    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        file = cgroup / name
        if file.is_file() and (limit := file.read_text().strip()).isdigit():
            yield int(limit)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield limit


@check("the ports of the labs are free", required=False, fix="see the course's env_setup/index.md")
def ports() -> str:
    purposes = _ports(CLONE)
    taken = [f"{port} ({purpose})" for port, purpose in purposes.items() if _is_taken(port)]
    if taken:
        show = "lsof -nP -iTCP -sTCP:LISTEN" if sys.platform == "darwin" else "ss -ltnp"
        mac = (
            "; port 5000 is the AirPlay Receiver's: System Settings, AirDrop & Handoff"
            if sys.platform == "darwin"
            else ""
        )
        raise Unwell(
            f"taken: {', '.join(taken)}",
            f"{show} shows which program has it{mac}. JupyterLab takes the next free port by itself",
        )
    return ", ".join(map(str, purposes))


def _ports(root: Path) -> dict[int, str]:
    """The ports that the course uses on this machine, and for what: JupyterLab's, and those in each lab's lab.yaml."""
    from course.labs import description

    found = {JUPYTERLAB: "JupyterLab"}
    for lab in description.of_course(root):
        found |= {port: f"{purpose}, lab {lab.number}" for port, purpose in lab.ports.items() if port not in found}
    return found


def _is_taken(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1)
        if caller.connect_ex(("127.0.0.1", port)) == 0:
            return True
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@check(
    "git knows who you are", required=False,
    fix='git config --global user.name "Your Name" && git config --global user.email you@example.com',
)  # fmt: skip
def identity() -> str:
    fix = CHECKS["identity"].fix
    name, email = (_call("git", "config", key, fix=fix).strip() for key in ("user.name", "user.email"))
    if not name or not email:
        raise Unwell("user.name or user.email is empty")
    return f"{name} <{email}>"


@check(
    "a container runs (for labs that use Docker)",
    required=False,
    fix="see env_setup/index.md, Optional: containers",
    timeout=30,
)
def container() -> str:
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.DockerClient(base_url=_engine(), version="auto", timeout=15)
        client.ping()
    except (DockerException, OSError) as error:
        raise Unwell("no container engine answers", _engine_fix(str(error))) from error
    try:
        client.images.get(BASE_IMAGE)
    except ImageNotFound as error:
        version = client.version()["Version"]
        raise Unwell(
            f"the engine {version} answers, and the image {BASE_IMAGE} is not here yet",
            f"docker pull {BASE_IMAGE} (about 45 MB; the doctor never downloads by itself), then: make doctor",
        ) from error
    command = ["python3", "-c", "print(6 * 7)"]
    printed = client.containers.run(BASE_IMAGE, command, remove=True, network_mode="none", mem_limit="128m")
    if printed.strip() != b"42":
        raise Unwell(f"the container answered {printed[:80]!r}, not 42")
    return f"{BASE_IMAGE} on engine {client.version()['Version']}"


def _engine() -> str:
    """Where the engine listens, as the graders of images find it; the usual socket where they find none."""
    from course.checks.docker import engines

    return engines.address() or "unix:///var/run/docker.sock"


def _engine_fix(error: str) -> str:
    if "Permission denied" in error or "PermissionError" in error:
        return 'sudo usermod -aG docker "$USER", then log out and in again'
    if sys.platform == "darwin" or "microsoft" in platform.release().lower():
        return "start Docker Desktop (in WSL: Settings, Resources, WSL integration), or install it from docker.com"
    if shutil.which("dockerd"):
        return "sudo systemctl start docker"
    return "install Docker Engine (docs.docker.com/engine/install), or Podman and set DOCKER_HOST to its socket"


@check(
    "a Kubernetes cluster answers (for labs that use one)", required=False,
    fix="make cluster makes one in your container engine; env_setup/cluster.md tells of others", timeout=30,
)  # fmt: skip
def cluster() -> str:
    fix = CHECKS["cluster"].fix
    answer = loads(_call("kubectl", "get", "--raw", "/api/v1/nodes", "--request-timeout=8s", fix=fix))
    nodes = answer.get("items", [])
    states = [state for node in nodes for state in node["status"].get("conditions", []) if state["type"] == "Ready"]
    ready = sum(state["status"] == "True" for state in states)
    if not ready:
        raise Unwell(
            f"it answers, and none of its {len(nodes)} nodes is ready", "wait a minute; kubectl describe nodes says why"
        )
    return f"{ready} of {len(nodes)} nodes ready"


@check(
    "Prometheus and Alertmanager judge a rule and a route (for lab 06)", required=False, timeout=30,
    fix=_install("prometheus prometheus-alertmanager", brew="prometheus alertmanager"),
)  # fmt: skip
def prometheus() -> str:
    from course.checks.prometheus import programs

    fix = CHECKS["prometheus"].fix
    if missing := [name for name in programs.NAMES if programs.find(name) is None]:
        raise Unwell(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on the PATH", fix)
    rules = "groups: [{name: doctor, rules: [{alert: Gone, expr: absent(up)}]}]"
    routes = "route: {receiver: nurse}\nreceivers: [{name: nurse}]"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(rules)
        (folder / "alertmanager.yml").write_text(routes)
        _call("promtool", "check", "rules", "rules.yml", folder=folder, fix=fix)
        _call("amtool", "check-config", "alertmanager.yml", folder=folder, fix=fix)
    return _call("promtool", "--version", fix=fix).partition(" (")[0].replace("promtool, version", "promtool")


@check("nginx accepts a configuration (for lab 07)", required=False, timeout=30, fix="make extra LAB=07")
def nginx() -> str:
    from course import rollouts

    fix = CHECKS["nginx"].fix
    program = rollouts.nginx()
    if program is None:
        raise Unwell("it is neither on the PATH nor in the environment", fix)
    with tempfile.TemporaryDirectory() as name:
        Path(name, "nginx.conf").write_text("events {}")
        _call(*rollouts.command(), "-t", folder=Path(name), fix=fix)
    return str(program)


def examine(subject: Check, *, timeout: float | None = None) -> Diagnosis:
    """Run one check in a process of its own.

    Args:
        subject: the check.
        timeout: seconds, instead of the check's own.

    Returns:
        What came of it; a crash and a check that does not end are failures.
    """
    began = time.perf_counter()
    limit = subject.timeout if timeout is None else timeout
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "course.student.doctor", subject.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            printed = child.communicate(timeout=limit)[0].decode(errors="replace").splitlines()
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            detail = f"it did not end within {limit:.0f} seconds"
            answer = {"detail": detail, "fix": f"try again when the machine is less busy; otherwise: {subject.fix}"}
        else:
            said.seek(0)
            last = (said.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            answer = (
                loads(printed[-1]) if child.returncode == 0 and printed else _crashed(child.returncode, last, subject)
            )
    outcome = "fail" if answer["fix"] else "pass"
    seconds = round(time.perf_counter() - began, 2)
    return Diagnosis(subject.name, subject.title, subject.required, outcome, answer["detail"], answer["fix"], seconds)


def _crashed(code: int, last: str, subject: Check) -> dict[str, str]:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return {"detail": f"its process ended with {how}. {last}".strip(), "fix": subject.fix}


def _answer(name: str) -> dict[str, str | None]:
    """What the child process prints: the check's line, or what is wrong and the fix."""
    subject = CHECKS[name]
    try:
        return {"detail": subject.run(), "fix": None}
    except Unwell as unwell:
        return {"detail": str(unwell), "fix": unwell.fix or subject.fix}
    except Exception as error:  # whatever a broken machine makes of it
        first = (str(error).strip().splitlines() or [""])[0]
        return {"detail": f"{type(error).__name__}: {first}".rstrip(": "), "fix": subject.fix}


def examine_all(subjects: Sequence[Check] | None = None) -> Iterator[Diagnosis]:
    """Run the checks, two at a time, and give the findings in their order as they come.

    Args:
        subjects: which checks; all of them by default.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(examine, subjects if subjects is not None else list(CHECKS.values()))


def to_json(findings: Sequence[Diagnosis]) -> str:
    """The findings as the module's docstring describes, one JSON object."""
    ok = all(finding.passed for finding in findings if finding.required)
    head = {"format": FORMAT, "ok": ok, "python": platform.python_version(), "platform": platform.platform()}
    return dumps(head | {"checks": [asdict(finding) for finding in findings]}, indent=2)


def to_text(finding: Diagnosis) -> str:
    """One finding as a person reads it: a mark, what was tried, what came of it, and the fix below."""
    mark = "✓" if finding.passed else "✗" if finding.required else "–"
    line = f"{mark} {finding.title}: {finding.detail}"
    return (
        line
        if finding.passed
        else f"{line}\n    {'fix' if finding.required else 'optional; to have it'}: {finding.fix}"
    )


def summary(findings: Sequence[Diagnosis]) -> str:
    """The last line: whether the machine is ready."""
    failed = [finding for finding in findings if not finding.passed]
    required = sum(finding.required for finding in failed)
    if required:
        return (
            f"Not ready: {required} required {_plural(required, 'check fails', 'checks fail')}. "
            "Fix what is marked with ✗, then run: make doctor"
        )
    if failed:
        verbs = _plural(len(failed), "one does", "ones do")
        return f"Ready: every required check passes; {len(failed)} optional {verbs} not."
    return "Ready: every check passes."


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _say(text: str, stream: TextIO) -> None:
    """Print in what the terminal can show; plain ASCII signs where it is not UTF-8."""
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("✓", "ok  ").replace("✗", "FAIL").replace("–", "no  ").encode("ascii", "replace").decode()
    print(text, file=stream, flush=True)


def main(json: bool = False) -> int:
    """Examine this machine and print what was found.

    Args:
        json: print one JSON object instead of text.

    Returns:
        0 when every required check passed, otherwise 1.
    """
    findings = []
    for finding in examine_all():
        findings.append(finding)
        if not json:
            _say(to_text(finding), sys.stdout)
    _say(to_json(findings) if json else f"\n{summary(findings)}", sys.stdout)
    return int(any(finding.required and not finding.passed for finding in findings))


if __name__ == "__main__":
    report = os.dup(1)  # what a library prints must not end up in the answer
    os.dup2(2, 1)
    os.write(report, dumps(_answer(sys.argv[1])).encode())
