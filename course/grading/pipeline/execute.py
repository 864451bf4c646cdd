"""Runs a submitted notebook: student cells in a sandboxed kernel, questions in a trusted process, in notebook order.

The trusted process reads a copy of what was shipped, which is made before each question; meanwhile the kernel is
stopped. So the two share nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course import flights
from course.base.removal import remove
from course.checks.core.loading import FOLDER
from course.grading.pipeline.snapshot import Snapshot
from course.grading.sandbox import policy as sandbox
from course.grading.sandbox import zygote
from course.grading.sandbox.kernels import WarmKernelManager
from course.grading.sandbox.resource_monitor import DEFAULT, Limits
from course.labs import runner
from course.labs.examiner import Examiner

GRADER_MEMORY_MB = 8192
SHIPPED = "shipped"


@dataclass(frozen=True)
class Settings:
    """How a notebook is run.

    Attributes:
        cell_s: longest processor time of one cell, in seconds; that of other programs does not count.
        notebook_s: longest processor time of all student cells together.
        cell_wall_s: longest time of one cell by the clock, far behind the other limit: for cells that sleep or hang.
        notebook_wall_s: longest time of all student cells together by the clock.
        output_bytes: most output kept of one cell.
        sandboxed: False runs student cells without a sandbox (--unsafe).
        limits: what the sandbox of the student cells may use.
    """

    cell_s: float = 30.0
    notebook_s: float = 300.0
    cell_wall_s: float = 300.0
    notebook_wall_s: float = 1500.0
    output_bytes: int = 2_000_000
    sandboxed: bool = True
    limits: Limits = DEFAULT


_FOR_STUDENTS = Settings()


def execute(
    nb: NotebookNode,
    folder: Path,
    settings: Settings = _FOR_STUDENTS,
    grader_env: Mapping[str, str] | None = None,
    given: Mapping[str, bytes] | None = None,
) -> runner.Report:
    """Run a notebook in place, filling in its outputs. Never raises for what a student's cell does.

    Args:
        nb: the notebook. What it calls a grade cell is judged by the question of that id, so it must come from
            `restore.restore`, which leaves no such mark on a cell of the student's.
        folder: the student's folder: where the notebook lies and where student cells may write. It must hold nothing
            that the student may not see, such as questions with hidden checks.
        settings: limits.
        grader_env: further environment of the trusted process, such as COURSE_HOLDOUT.
        given: the lab's own files as path → content, its questions in `checks/` among them, for the trusted process
            to read in the folder in which it starts.

    Raises:
        sandbox.NoSandbox: there is no sandbox on this machine, and the settings want one.
        zygote.ZygoteError: no zygote is running.
    """
    if settings.sandboxed:
        sandbox.require()
    folder = folder.resolve()
    _prepare_shipped(folder)
    owner = folder.stat().st_uid
    if settings.sandboxed:
        sandbox.give(folder, sandbox.uid(folder))
    desk = Path(tempfile.mkdtemp(prefix="course-grader-"))
    start, scratch = desk / "lab", desk / "tmp"  # nothing of the student's can shadow a module at the start
    try:
        start.mkdir()
        scratch.mkdir()
        for name, data in (given or {}).items():
            path = start / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        # the trusted process may be killed at its end: what it leaves goes with the desk
        env = {**_grader_environment(desk / SHIPPED, settings, grader_env), "TMPDIR": str(scratch)}
        snapshot = Snapshot(folder / SHIPPED, desk / SHIPPED, sandbox.uid(folder))
        with trusted_examiner(start, env, snapshot.take) as examiner:
            policy = runner.Policy(
                manager=lambda: WarmKernelManager(sandboxed=settings.sandboxed, limits=settings.limits),
                examiner=examiner,
                cell_s=settings.cell_s,
                notebook_s=settings.notebook_s,
                cell_wall_s=settings.cell_wall_s,
                notebook_wall_s=settings.notebook_wall_s,
                output_bytes=settings.output_bytes,
            )
            return runner.run(nb, folder, policy)
    finally:
        remove(desk)
        if settings.sandboxed:
            sandbox.give(folder, owner)


def trusted_examiner(
    folder: Path, environment: Mapping[str, str], prepare: Callable[[], None] | None = None
) -> Examiner:
    """Questions run by a fork of the zygote that COURSE_ZYGOTE names.

    Args:
        folder: where it starts, with what the lab gives and the questions in `checks/`.
        environment: its whole environment; COURSE_SHIPPED names the folder that it judges.
        prepare: is called before each question.
    """

    def start(descriptor: int, checks: Path) -> zygote.Process:
        arguments = [str(descriptor), str(checks)]
        path = os.environ[zygote.ENVIRONMENT]
        here = {descriptor: descriptor}
        return zygote.spawn(path, "examiner", arguments, cwd=folder, env=environment, view=None, descriptors=here)

    return Examiner(start, folder / FOLDER, prepare=prepare, again=True)


def _prepare_shipped(folder: Path) -> None:
    """The folder of shipped files is there, and is no link to elsewhere; the sandbox then keeps it in its place."""
    shipped = folder / SHIPPED
    if shipped.is_symlink() or (shipped.exists() and not shipped.is_dir()):
        shipped.unlink()
    shipped.mkdir(exist_ok=True)


def _grader_environment(shipped: Path, settings: Settings, more: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != flights.PUBLIC_TABLES}
    return {
        **inherited,
        "COURSE_SHIPPED": str(shipped),
        "COURSE_SANDBOX": "1" if settings.sandboxed else "",
        "COURSE_MEMORY_MB": str(GRADER_MEMORY_MB),
        **(more or {}),
    }
