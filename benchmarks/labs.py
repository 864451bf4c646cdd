"""Measures what grading costs beyond the cells themselves, for each solution notebook of each lab.

    python benchmarks/labs.py --rounds 3

Two ways through the same notebook, in processor seconds of all processes that take part: graded by the engine (both
kernels, the sandbox, messages, the worker), and its cells one after another in one warm forked process, in an IPython
shell without kernel or messages. What checks start of a student's (workers, tests, services) is sandboxed in both, the
same, and counted in neither. The two take turns, notebook by notebook, and the lowest of all rounds counts for each:
whatever else a machine does can only add. The seconds are those of a control group of its own where one can be made
(root on Linux), else of the whole machine, which must then be quiet.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from gauge import Gauge
from nbformat import NotebookNode

from course import flights
from course.checks.core import processes
from course.grading.gradebook import database
from course.grading.intake import submissions
from course.grading.pipeline import assignment, outcomes, submission
from course.grading.pipeline.scratch import scratch
from course.grading.sandbox import entry_points, launcher, policy, zygote, zygote_server
from course.labs import description, notebooks, release, source

REPOSITORY = Path(__file__).resolve().parents[1]
MOST_S = 0.5  # a notebook may cost so much more than its cells
TARGETS = {"01_python_model": (60.0, 1.5)}  # seconds, GiB: all notebooks of the lab, one submission
SETTLE_S = 0.4  # until what was told to end has ended


def processor_seconds() -> tuple[str, Callable[[], float]]:
    """What is counted, and a function that counts it; this process and all that it starts belong to it."""
    for top in (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")):
        usage = top / f"course-bench-{os.getpid()}" / ("cpuacct.usage" if top.name == "cpuacct" else "cpu.stat")
        with contextlib.suppress(OSError):
            usage.parent.mkdir()
            (usage.parent / "cgroup.procs").write_text(str(os.getpid()))
            usage.read_text()
            return "all processes of the run (control group)", functools.partial(_read_group, usage)
    ticks = os.sysconf("SC_CLK_TCK")

    def busy() -> float:
        numbers = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(numbers) - numbers[3] - numbers[4]) / ticks

    return "the whole machine (/proc/stat)", busy


def _read_group(usage: Path) -> float:
    text = usage.read_text()
    return int(text) / 1e9 if usage.name == "cpuacct.usage" else int(text.split()[1]) / 1e6


def forget_group() -> None:
    """Leave the control group, and remove it."""
    for top in (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")):
        group = top / f"course-bench-{os.getpid()}"
        if group.is_dir():
            with contextlib.suppress(OSError):
                (top / "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()


def prepare(root: Path, lab: str) -> submission.Work:
    """A submission that is the lab's solution, ready to be graded."""
    left_out = shutil.ignore_patterns(*source.GENERATED)
    # with the others, for a lab may start from one of them
    shutil.copytree(REPOSITORY / "solutions", root / "solutions", ignore=left_out, dirs_exist_ok=True)
    if not (root / "nbgrader_config.py").exists():
        shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
    submissions.submit(root, root / "solutions" / lab, lab=lab, student="solution")
    release.register(root, [lab])
    settings = release.configuration(root).CourseDirectory
    with database.Gradebook(settings.db_url, settings.course_id) as book, book.transaction() as connection:
        cells = assignment.load(connection, root / "solutions" / lab)
    files = outcomes.handed_in(root / "classroom" / "submitted" / "solution" / lab).files
    return submission.Work("solution", files, cells)


@contextlib.contextmanager
def workplace(work: submission.Work) -> Iterator[Path]:
    """A folder with what was handed in, what the lab gives, and its questions with all checks."""
    with tempfile.TemporaryDirectory(prefix="course-work-") as top:
        folder = Path(top, work.assignment.lab)
        submission.lay_out(folder, {**work.files, **work.assignment.given, **work.assignment.questions})
        yield folder


def graded(
    work: submission.Work, count: Callable[[], float], warm: zygote.Zygote
) -> Iterator[tuple[str, float, submission.Notebook]]:
    """Grade notebook after notebook; yield each with its processor seconds and what became of it."""
    with workplace(work) as folder:
        clock = submission._Clock({})
        for book in work.assignment.notebooks:
            before = count()
            with mock.patch.dict(os.environ, {zygote.ENVIRONMENT: warm.path}):
                done = submission._grade_notebook(work, book, folder, clock)
            time.sleep(SETTLE_S)
            yield book.name, count() - before, done


def bare(work: submission.Work, count: Callable[[], float]) -> Iterator[tuple[str, float]]:
    """Run the cells of notebook after notebook, each notebook in one fork; yield the processor seconds."""
    with workplace(work) as folder:
        for book in work.assignment.notebooks:
            path = folder / f"{book.name}.ipynb"
            cells = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
            before = count()
            child = os.fork()
            if child == 0:
                _run_cells(cells, folder)
            _, status = os.waitpid(child, 0)
            time.sleep(SETTLE_S)
            assert status == 0, f"the cells of {book.name} did not run to their end"
            yield book.name, count() - before


def _run_cells(cells: list[NotebookNode], folder: Path) -> None:
    """In the fork: an IPython shell, and each cell in it."""
    code = 1
    try:
        os.chdir(folder)
        # as when grading, a notebook's own cells find no engine and no cluster
        os.environ.update({"COURSE_SHIPPED": str(folder / "shipped"), "COURSE_SANDBOX": "1", "COURSE_LIVE": "off"})
        os.environ.pop(flights.PUBLIC_TABLES, None)
        (folder / "shipped").mkdir(exist_ok=True)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        sys.path.insert(0, "")
        plainly = processes.start_process
        for cell in cells:  # as when grading: what a student's own cells start has no warm process to come from
            processes.start_process = launcher.start if notebooks.is_graded(cell) else plainly
            shell.run_cell(cell.source, store_history=True)
        code = 0
    finally:
        os._exit(code)


def measure(root: Path, work: submission.Work, rounds: int, count: Callable[[], float], warm: zygote.Zygote) -> bool:
    """Print the rows of one lab; say whether all targets are met."""
    engine: dict[str, list[float]] = {}
    cells: dict[str, list[float]] = {}
    lost = {}
    for _ in range(rounds):
        for (name, seconds, done), (_, alone) in zip(graded(work, count, warm), bare(work, count), strict=True):
            engine.setdefault(name, []).append(seconds)
            cells.setdefault(name, []).append(alone)
            missing = sum(cell.points - cell.score for cell in done.cells if cell.score is not None)
            lost[name] = f"  ({missing:g} points were not earned)" if missing else ""
    met = True
    for name, values in engine.items():
        ours, theirs = min(values), min(cells[name])
        extra = [one - other for one, other in zip(values, cells[name], strict=True)]
        verdict = "" if ours - theirs <= MOST_S else "  MISSED"
        met = met and not verdict
        numbers = f"{ours:.2f} | {theirs:.2f} | {ours - theirs:+.2f} | {min(extra):+.2f} to {max(extra):+.2f}"
        print(f"| {work.assignment.lab}/{name} | {numbers} |{verdict}{lost[name]}", flush=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "course.cli", "--root", str(root), "grade", work.assignment.lab, "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        gauge = Gauge(process.pid)
        gauge.start()
        process.wait()
        took = time.perf_counter() - began
        gauge.stop()
    line = f"{work.assignment.lab}: course grade, all notebooks, in {took:.1f} s, at most {gauge.highest_gib:.2f} GiB"
    if work.assignment.lab in TARGETS:
        seconds, gib = TARGETS[work.assignment.lab]
        line += f" (targets {seconds:g} s and {gib:g} GiB)"
        met = met and took <= seconds and gauge.highest_gib <= gib
    print(line, flush=True)
    return met


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labs", nargs="*", help="labs by name or number; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    labs = [lab.name for lab in release.choose(REPOSITORY, chosen.labs or None) if source.sources(lab)]
    policy.require()
    met = True
    with scratch(), tempfile.TemporaryDirectory(prefix="course-bench-") as root:
        works = [prepare(Path(root), lab) for lab in labs]
        if tables := policy.tables():
            os.environ[flights.PUBLIC_TABLES] = str(tables)
        entry_points.warm_up()
        for name in zygote_server.WARM:
            importlib.import_module(name)
        os.environ.pop(flights.PUBLIC_TABLES, None)
        modules = description.warm_modules(REPOSITORY)
        with zygote.Zygote(modules) as uncounted:  # what checks start is forked from here
            what, count = processor_seconds()
            os.environ[zygote.ENVIRONMENT] = uncounted.path
            submission.execute = functools.partial(submission.execute, grader_env={zygote.ENVIRONMENT: uncounted.path})
            with zygote.Zygote(modules) as warm:
                for _ in graded(works[0], count, warm):  # what is imported when it is first used belongs to neither
                    break
                print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; processor seconds of {what}")
                print("| notebook | graded, lowest | cells alone, lowest | more | more in each round |")
                print("|---|---|---|---|---|")
                for work in works:
                    met = measure(Path(root), work, chosen.rounds, count, warm) and met
        os.environ.pop(zygote.ENVIRONMENT)
        forget_group()
    print(f"at most {MOST_S:g} s more a notebook: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
