"""Runs a submitted notebook: student cells in a sandboxed kernel, grade cells in a trusted one, in notebook order.

The two kernels share nothing but the student's folder of shipped files, which the trusted one only reads, with care.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from course import flights
from course.checks.core import processes, question
from course.grading.sandbox import policy
from course.grading.sandbox.kernels import WarmKernelManager
from course.grading.sandbox.resource_monitor import DEFAULT, Limits
from course.labs import notebooks

log = logging.getLogger(__name__)

GRADER_MEMORY_MB = 8192
STOP_S = 5.0  # how long an interrupted cell may take to end
FLOOD = 20  # so many times what is kept of a cell's output, and its kernel is stopped


@dataclass(frozen=True)
class Settings:
    """How a notebook is run.

    Attributes:
        cell_s: longest time of one cell, in seconds.
        notebook_s: longest time of all student cells together, in seconds.
        output_bytes: most output kept of one cell.
        sandboxed: False runs student cells without a sandbox (--unsafe).
        limits: what the sandbox of the student cells may use.
    """

    cell_s: float = 30.0
    notebook_s: float = 300.0
    output_bytes: int = 2_000_000
    sandboxed: bool = True
    limits: Limits = DEFAULT


_FOR_STUDENTS = Settings()
_FOR_GRADERS = Settings(cell_s=400, notebook_s=1800)  # an image has 300 seconds to be built


def execute(
    nb: NotebookNode,
    folder: Path,
    settings: Settings = _FOR_STUDENTS,
    grader_env: Mapping[str, str] | None = None,
    given: Mapping[str, bytes] | None = None,
) -> list[str]:
    """Run a notebook in place, filling in its outputs. Never raises for what a student's cell does.

    Args:
        nb: the notebook. What it calls a grade cell is run as trusted code, so it must come from `restore.restore`,
            which leaves no such mark on a cell of the student's.
        folder: the student's folder: where the notebook lies and where student cells may write. It must hold nothing
            that the student may not see, such as a notebook with hidden tests.
        settings: limits.
        grader_env: further environment of the trusted kernel, such as COURSE_HOLDOUT.
        given: the lab's own files as path → content, for grade cells to read in the folder in which they start.

    Returns:
        What the instructor should know: kernels that were stopped, and why; floods; results that are none.

    Raises:
        sandbox.NoSandbox: there is no sandbox on this machine, and the settings want one.
        zygote.ZygoteError: no zygote is running.
    """
    if settings.sandboxed:
        policy.require()
    folder = folder.resolve()
    _prepare_shipped(folder)
    owner = folder.stat().st_uid
    if settings.sandboxed:
        policy.give(folder, policy.uid(folder))
    desk = Path(tempfile.mkdtemp(prefix="course-grader-"))
    start, scratch = desk / "lab", desk / "tmp"  # nothing of the student's can shadow a module at the start
    try:
        start.mkdir()
        scratch.mkdir()
        for name, data in (given or {}).items():
            path = start / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        notes: list[str] = []
        # the trusted kernel is killed at its end: what it leaves goes with the desk
        env = {**_grader_environment(folder, settings, grader_env), "TMPDIR": str(scratch)}
        asyncio.run(_execute(nb, folder, start, settings, env, notes))
        return notes
    finally:
        processes.remove(desk)
        if settings.sandboxed:
            policy.give(folder, owner)


def _prepare_shipped(folder: Path) -> None:
    """The folder of shipped files is there, and is no link to elsewhere; the sandbox then keeps it in its place."""
    shipped = folder / "shipped"
    if shipped.is_symlink() or (shipped.exists() and not shipped.is_dir()):
        shipped.unlink()
    shipped.mkdir(exist_ok=True)


def _grader_environment(folder: Path, settings: Settings, more: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != flights.PUBLIC_TABLES}
    return {
        **inherited,
        "COURSE_SHIPPED": str(folder / "shipped"),
        "COURSE_SANDBOX": "1" if settings.sandboxed else "",
        "COURSE_MEMORY_MB": str(GRADER_MEMORY_MB),
        **(more or {}),
    }


async def _execute(
    nb: NotebookNode, folder: Path, start: Path, settings: Settings, env: dict[str, str], notes: list[str]
) -> None:
    graded = [notebooks.is_graded(cell) for cell in nb.cells]

    def tell(index: int, text: str) -> None:
        notes.append(f"cell {index + 1}: {text}")

    manager = WarmKernelManager(sandboxed=settings.sandboxed, limits=settings.limits)
    student = _Side(nb, [not mark for mark in graded], folder, manager, settings, None, tell)
    grader = _Side(nb, graded, start, WarmKernelManager(), _FOR_GRADERS, env, tell)
    async with student, grader:
        await asyncio.gather(student.start(), *([grader.start()] if any(graded) else []))
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code" and cell.source.strip():
                await (grader if graded[index] else student).run(index)
                if not graded[index] and any(question.MIME in output.get("data", {}) for output in cell.outputs):
                    tell(index, "a cell that is not graded displayed a result; it does not count")


class _Client(NotebookClient):
    """An nbclient that bounds what a cell may print, and remembers which one was stopped."""

    def __init__(self, nb: NotebookNode, manager: WarmKernelManager, folder: Path, settings: Settings) -> None:
        super().__init__(
            nb,
            km=manager,
            kernel_name="python3",
            timeout=settings.cell_s,
            allow_errors=True,
            record_timing=False,
            startup_timeout=60,
            resources={"metadata": {"path": str(folder)}},
            error_on_timeout={"ename": "CellTimeoutError", "evalue": "", "traceback": []},
        )
        self.most = settings.output_bytes
        self.printed = 0
        self.timed_out = self.flooded = False

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Keep a message's output if there is room for it; see nbclient."""
        if msg["msg_type"] != "status":
            self.printed += len(str(msg.get("content", "")))
            if self.printed > self.most * FLOOD and self.task_poll_for_reply is not None:
                self.flooded = True
                self.task_poll_for_reply.cancel()  # which nbclient takes for the death of the kernel, and so it will be
            if self.printed > self.most:
                return None
        return super().process_message(msg, cell, cell_index)

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> dict[str, Any] | None:
        self.timed_out = True
        return await super()._async_handle_timeout(timeout, cell)

    async def run_cell(self, cell: NotebookNode, index: int) -> None:
        """Run one cell."""
        self.printed = 0
        self.timed_out = self.flooded = False
        await self.async_execute_cell(cell, index, store_history=True)


class _Side:
    """One of the two kernels, the cells that it runs, and what became of it."""

    def __init__(
        self,
        nb: NotebookNode,
        mine: list[bool],
        folder: Path,
        manager: WarmKernelManager,
        settings: Settings,
        env: dict[str, str] | None,
        tell: Callable[[int, str], None],
    ) -> None:
        # a kernel can change outputs of earlier cells; it must not have those of the other side in its hands
        seen = nbformat.v4.new_notebook(
            cells=[c if m else nbformat.v4.new_raw_cell() for c, m in zip(nb.cells, mine, strict=True)]
        )
        self.nb, self.env, self.settings, self.tell = nb, env, settings, tell
        self.client = _Client(seen, manager, folder, settings)
        self.left = settings.notebook_s
        self.ended: str | None = None

    async def __aenter__(self) -> _Side:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            if self.client.kc is not None:
                self.client.kc.stop_channels()
        if self.client.km.has_kernel:
            await self.client.km.shutdown_kernel(now=True)

    async def start(self) -> None:
        """Start the kernel and connect to it."""
        await self.client.async_start_new_kernel(**({"env": self.env} if self.env else {}))
        await self.client.async_start_new_kernel_client()
        self.client.reset_execution_trackers()

    async def run(self, index: int) -> None:
        """Run a cell here; when the kernel has ended, say so in the cell instead."""
        cell = self.nb.cells[index]
        cell.outputs = []
        if self.ended is not None:
            _say(cell, f"not run: {self.ended} (further up)")
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        limit = self.client.timeout = max(1.0, min(self.settings.cell_s, self.left))
        try:
            await asyncio.wait_for(self.client.run_cell(cell, index), limit + 2 * STOP_S)
        except DeadKernelError:
            self.ended = self.client.km.provisioner.how_it_ended() or "the kernel ended while this cell ran"
            if self.client.flooded:
                self.ended = f"the cell printed more than {self.settings.output_bytes * FLOOD / 1e6:g} MB"
        except TimeoutError:
            self.client.timed_out = True
            self.ended = "this cell could not be stopped, so its kernel was"
        except Exception as error:  # whatever a hostile kernel sends must not end the grading of the rest
            log.warning("the kernel's answers could not be used: %s", error)
            self.ended = "the kernel answered in a way that could not be understood"
        self.left -= loop.time() - started
        if self.client.timed_out:
            late = f"this cell did not finish within {limit:g} seconds and was stopped"
            self.tell(index, late)
            _say(cell, late)
            if self.ended is None and not await self._answers():
                self.ended = "this cell could not be stopped, so its kernel was"
        elif self.client.printed > self.settings.output_bytes and self.ended is None:
            cut = f"only the first {self.settings.output_bytes / 1e6:g} MB of the output were kept"
            self.tell(index, cut)
            _say(cell, cut)
        if self.ended is None and self.left <= 0:
            self.ended = f"all cells together took longer than {self.settings.notebook_s:g} seconds"
        if self.ended is not None:
            with contextlib.suppress(Exception):
                await self.client.km.shutdown_kernel(now=True)
            self.tell(index, self.ended)
            _say(cell, self.ended)

    async def _answers(self) -> bool:
        """Whether the kernel is free again after an interrupt."""
        with contextlib.suppress(Exception):
            await self.client.kc.kernel_info(reply=True, timeout=STOP_S)
            return True
        return False


def _say(cell: NotebookNode, reason: str) -> None:
    cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"][-20:]
    cell.outputs.append(nbformat.v4.new_output("error", ename="CellNotRun", evalue=reason, traceback=[reason]))
