"""The one runner of notebooks: cells in a kernel, grade cells by their questions, in the order of the notebook.

Whoever runs a notebook states how in a :class:`Policy`: a student (Validate), an author (`course execute`, the tests)
or the grader, who puts the kernel into a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from course.base.errors import UserError
from course.base.result import MIME
from course.base.texts import readable_tree
from course.base.threads import ONE_THREAD
from course.labs import notebooks
from course.labs.examiner import Examiner

log = logging.getLogger(__name__)

CELL_S = 420.0  # a question that builds images may take so long
STOP_S = 5.0  # how long an interrupted cell may take to end
LOOK_S = 0.5  # how often a cell that may have used up its time is looked at
RESTARTS = 3  # how often a notebook gets another kernel for the cells below one that ended the kernel
FLOOD = 20  # so many times what is kept of a cell's output, and its kernel is stopped


class RunError(UserError):
    """A notebook could not be run to its end; the message says where and why."""


@dataclass(frozen=True)
class Policy:
    """How a notebook is run.

    Attributes:
        manager: makes the manager of the kernel.
        environment: the kernel's environment; None leaves it to the manager.
        examiner: runs the questions of grade cells; None runs grade cells in the kernel, like all others.
        cell_s: longest time of one cell, in seconds of processor time where the kernel's provisioner can tell it, so
            that a cell loses nothing to other programs; elsewhere of the clock.
        notebook_s: the same of all cells in the kernel together.
        cell_wall_s: longest time of one cell by the clock, for one that sleeps or hangs.
        notebook_wall_s: the same of all cells together.
        output_bytes: most output kept of one cell.
        stop_at_error: end with a :class:`RunError` at the first cell that fails.
    """

    manager: Callable[[], AsyncKernelManager]
    environment: Mapping[str, str] | None = None
    examiner: Examiner | None = None
    cell_s: float = CELL_S
    notebook_s: float = math.inf
    cell_wall_s: float = math.inf
    notebook_wall_s: float = math.inf
    output_bytes: int = 20_000_000
    stop_at_error: bool = False


class Cause(StrEnum):
    """Why a cell did not run to its end.

    Attributes:
        TIME: it passed a limit of time, or could not be interrupted at one.
        DEATH: its kernel ended, and nobody knows why.
        EXCESS: it printed too much, took what the sandbox does not give, or sent what is no message.
    """

    TIME = "time"
    DEATH = "death"
    EXCESS = "excess"


@dataclass(frozen=True)
class Stop:
    """A cell that did not run to its end: why, and the same as a sentence."""

    cause: Cause
    text: str


@dataclass
class Report:
    """What became of a notebook that was run, besides its outputs.

    Attributes:
        notes: what whoever asked for it should know: kernels that were stopped, and why; floods; results that are none.
        stopped: by the position of the cell.
    """

    notes: list[str] = field(default_factory=list)
    stopped: dict[int, Stop] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """What a kernel that is not sandboxed finds: one thread, and no folder of shipped files but its own."""
    return {**{key: value for key, value in os.environ.items() if key != "COURSE_SHIPPED"}, **ONE_THREAD}


def run(nb: NotebookNode, folder: Path, policy: Policy) -> Report:
    """Run a notebook in place, filling in its outputs.

    Args:
        nb: the notebook. With an examiner, what it calls a grade cell is judged by the question of that id and not run.
        folder: where the kernel works.
        policy: how.

    A cell that ends its kernel costs no other cell: the next one gets a new kernel, in the same folder, in which the
    cells above have run again but for the one that ended it.

    Raises:
        RunError: a cell failed, where the policy stops at errors.
    """
    return asyncio.run(_run(nb, folder, policy))


@contextlib.contextmanager
def local_manager() -> Any:
    """Make kernels of this machine's Python that talk over sockets in a folder of their own, removed at the end.

    Yields:
        A function that makes a manager. Ports are chosen before they are taken; two kernels may choose the same.
    """
    sockets = Path(tempfile.mkdtemp(prefix="course-kernel-"))

    def make() -> AsyncKernelManager:
        manager = AsyncKernelManager(kernel_name="python3")
        if os.name == "posix":
            manager.transport, manager.ip = "ipc", str(sockets / "socket")
        return manager

    try:
        yield make
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


async def _run(nb: NotebookNode, folder: Path, policy: Policy) -> Report:
    examined = [policy.examiner is not None and notebooks.is_graded(cell) for cell in nb.cells]
    async with _Kernel(nb, examined, folder, policy) as it:
        for index, cell in enumerate(nb.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            if examined[index]:
                assert policy.examiner is not None
                with it.stopped():
                    cell.outputs = await asyncio.to_thread(policy.examiner.outputs, notebooks.grade_id(cell))
                continue
            await it.run(index)
            if policy.examiner is not None and any(MIME in output.get("data", {}) for output in cell.outputs):
                it.note(index, "a cell that is not graded displayed a result; it does not count")
        return it.report


class _Client(NotebookClient):
    """An nbclient that bounds what a cell may print, and remembers which one was stopped."""

    def __init__(self, nb: NotebookNode, folder: Path, policy: Policy) -> None:
        super().__init__(
            nb,
            km=policy.manager(),
            kernel_name="python3",
            timeout=None,  # _Kernel looks after the time
            allow_errors=not policy.stop_at_error,
            record_timing=False,
            startup_timeout=60,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],  # not a kernel's own remarks
        )
        self.most = policy.output_bytes
        self.printed = 0
        self.flooded = False

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Keep a message's output if there is room for it; see nbclient."""
        if msg["msg_type"] != "status":
            self.printed += _length(msg.get("content", ""))
            if self.printed > self.most * FLOOD and self.task_poll_for_reply is not None:
                self.flooded = True
                self.task_poll_for_reply.cancel()  # which nbclient takes for the death of the kernel, and so it will be
            if self.printed > self.most:
                return None
        return super().process_message({**msg, "content": readable_tree(msg.get("content", {}))}, cell, cell_index)

    async def run_cell(self, cell: NotebookNode, index: int) -> None:
        """Run one cell."""
        self.printed = 0
        self.flooded = False
        await self.async_execute_cell(cell, index, store_history=True)

    def processor_s(self) -> float | None:
        """The processor time that the kernel and what it started have used so far; None where nobody can tell."""
        tell = getattr(self.km.provisioner, "processor_s", None)
        return tell() if tell is not None else None


class _Time:
    """What has been used since this was made.

    Args:
        client: whose kernel uses it.
    """

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._began, self._before = time.monotonic(), client.processor_s()

    def wall_s(self) -> float:
        """Seconds of the clock."""
        return time.monotonic() - self._began

    def used_s(self) -> float:
        """Seconds of processor time, but no more than of the clock: work side by side is not counted twice."""
        now = self._client.processor_s()
        return self.wall_s() if now is None or self._before is None else min(now - self._before, self.wall_s())


@dataclass
class _Kernel:
    """The kernel, the cells that it runs, and what became of it.

    Attributes:
        report: what is told of the run; the cells that it names as stopped are not run again in another kernel.
        ended: why there is no kernel any more; None while there is one.
        left, wall_left: what the cells may still use, in seconds of processor time and of the clock.
    """

    nb: NotebookNode
    examined: list[bool]
    folder: Path
    policy: Policy
    report: Report = field(default_factory=Report)
    ended: Stop | None = None
    restarts: int = RESTARTS
    left: float = field(init=False)
    wall_left: float = field(init=False)
    client: _Client = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.wall_left = self.policy.notebook_s, self.policy.notebook_wall_s
        self.client = self._new_client(0)

    def _new_client(self, first: int) -> _Client:
        """A client whose kernel has in its hands the cells from the `first` one on, and copies of those before.

        A kernel can change outputs of earlier cells; it must never have those of grade cells.
        """
        cells = [
            nbformat.v4.new_raw_cell() if examined else copy.deepcopy(cell) if index < first else cell
            for index, (cell, examined) in enumerate(zip(self.nb.cells, self.examined, strict=True))
        ]
        seen = nbformat.v4.new_notebook(cells=cells)
        seen.metadata = self.nb.metadata
        return _Client(seen, self.folder, self.policy)

    async def __aenter__(self) -> _Kernel:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _start(self) -> None:
        try:
            started = {} if self.policy.environment is None else {"env": dict(self.policy.environment)}
            await self.client.async_start_new_kernel(**started)
            await self.client.async_start_new_kernel_client()
        except BaseException:
            await self._close()
            raise
        self.client.reset_execution_trackers()

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            if self.client.kc is not None:
                self.client.kc.stop_channels()
        with contextlib.suppress(Exception):
            if self.client.km.has_kernel:
                await self.client.km.shutdown_kernel(now=True)
            await self.client.km.cleanup_resources()

    def note(self, index: int, text: str) -> None:
        """Add a note about a cell to the report."""
        self.report.notes.append(f"cell {index + 1}: {text}")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While the block runs, nothing of the kernel does, where it is in a sandbox that can stop it."""
        provisioner = self.client.km.provisioner
        if self.ended is not None or not hasattr(provisioner, "freeze"):
            yield
            return
        provisioner.freeze()
        try:
            yield
        finally:
            provisioner.thaw()

    async def run(self, index: int) -> None:
        """Run a cell, in another kernel when the last one has ended; where there can be none, say so in the cell."""
        cell = self.nb.cells[index]
        cell.outputs = []
        if self.ended is not None and not await self._started_again(index):
            _explain(cell, f"not run: {self.ended.text} (further up)")
            return
        late = await self._run(cell, index)
        await self._conclude(cell, index, late)

    async def _started_again(self, index: int) -> bool:
        """Whether there is a kernel again for a cell: a new one, in which the cells above it have run once more."""
        if self.restarts == 0 or self.left <= 0 or self.wall_left <= 0:
            return False
        self.restarts -= 1
        why = self.ended
        await self._close()
        self.client = self._new_client(index)
        try:
            await self._start()
        except UserError:
            raise
        except Exception as error:  # such as a folder that holds too much for any sandbox
            log.warning("there is no new kernel: %s", error)
            return False
        self.ended = None
        for earlier in range(index):
            cell = self.client.nb.cells[earlier]
            if cell.cell_type != "code" or not cell.source.strip() or earlier in self.report.stopped:
                continue
            late = await self._run(cell, earlier)
            if late or self.ended is not None:
                self.ended = why
                await self._kill()
                return False
        left_out = ", ".join(str(one + 1) for one in sorted(self.report.stopped))
        self.note(index, f"it ran in a new kernel, in which the cells above had run again, except for cell {left_out}")
        return True

    async def _run(self, cell: NotebookNode, index: int) -> str:
        """Run a cell within its limits; why it was stopped, if it was. Sets `ended` where the kernel has ended."""
        limit, wall = min(self.policy.cell_s, self.left), min(self.policy.cell_wall_s, self.wall_left)
        used = _Time(self.client)
        late = ""
        try:
            late = await self._within(self.client.run_cell(cell, index), used, max(1.0, limit), max(1.0, wall))
        except CellExecutionError as error:
            raise RunError(str(error).strip()) from None
        except DeadKernelError:
            if self.client.flooded:
                printed = f"the cell printed more than {self.policy.output_bytes * FLOOD / 1e6:g} MB"
                self.ended = Stop(Cause.EXCESS, printed)
            elif how := self._how_it_ended():
                self.ended = Stop(Cause.EXCESS, how)
            else:
                self.ended = Stop(Cause.DEATH, "the kernel ended while this cell ran")
        except _Unstoppable as error:
            late, self.ended = str(error), Stop(Cause.TIME, "this cell could not be stopped, so its kernel was")
        except Exception as error:  # whatever a hostile kernel sends must not end the grading of the rest
            log.warning("the kernel's answers could not be used: %s", error)
            self.ended = Stop(Cause.EXCESS, "the kernel answered in a way that could not be understood")
        self.left -= used.used_s()
        self.wall_left -= used.wall_s()
        return late

    async def _within(self, running: Coroutine[Any, Any, None], used: _Time, limit: float, wall: float) -> str:
        """Await a cell, and interrupt it at its limit; why it was interrupted, if it was.

        Args:
            running: the cell.
            used: what it has used.
            limit, wall: its limits, in seconds of processor time and of the clock.

        Raises:
            _Unstoppable: it went on after it was interrupted.
        """
        task = asyncio.ensure_future(running)
        late, until = "", math.inf
        try:
            while not task.done():
                now = used.wall_s()
                pause = max(LOOK_S, min(limit, wall) - now)  # before that, no limit can be reached
                await asyncio.wait({task}, timeout=min(pause, until - now) if late else pause)
                if task.done():
                    break
                if late and used.wall_s() >= until:
                    raise _Unstoppable(late)
                if not late and (late := self._over(used, limit, wall)):
                    until = used.wall_s() + STOP_S
                    await self.client.km.interrupt_kernel()
            await task
            return late
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def _over(self, used: _Time, limit: float, wall: float) -> str:
        """Which limit a cell has passed, as a sentence; empty while none."""
        if used.wall_s() >= wall:
            return f"this cell did not finish within {wall:g} seconds and was stopped"
        if used.used_s() < limit:
            return ""
        if self.client.processor_s() is None:
            return f"this cell did not finish within {limit:g} seconds and was stopped"
        return f"this cell used more than {limit:g} seconds of processor time and was stopped"

    async def _conclude(self, cell: NotebookNode, index: int, late: str) -> None:
        """Note in the cell, and for whoever asked, what went wrong while it ran."""
        if late:
            self.note(index, late)
            _explain(cell, late)
        elif self.client.printed > self.policy.output_bytes and self.ended is None:
            cut = f"only the first {self.policy.output_bytes / 1e6:g} MB of the output were kept"
            self.note(index, cut)
            _explain(cell, cut)
        if late:
            self.report.stopped[index] = Stop(Cause.TIME, late)
        elif self.ended is not None:
            self.report.stopped[index] = self.ended
        if self.ended is None and (self.left <= 0 or self.wall_left <= 0):
            by_clock = f"took longer than {self.policy.notebook_wall_s:g} seconds"
            by_processor = f"used more than {self.policy.notebook_s:g} seconds"
            together = f"all cells together {by_clock if self.wall_left <= 0 else by_processor}"
            self.ended = Stop(Cause.EXCESS, together)
            self.report.stopped.setdefault(index, self.ended)
        if self.ended is not None:
            await self._kill()
            self.note(index, self.ended.text)
            _explain(cell, self.ended.text)
        if self.policy.stop_at_error and (late or self.ended is not None):
            why = self.ended.text if self.ended is not None else late.removesuffix(" and was stopped")
            raise RunError(f"cell {index + 1}: {why}")

    async def _kill(self) -> None:
        with contextlib.suppress(Exception):
            await self.client.km.shutdown_kernel(now=True)

    def _how_it_ended(self) -> str:
        """The sandbox's own words for the end of the kernel; empty where it has none."""
        how = getattr(self.client.km.provisioner, "how_it_ended", None)
        return how() if how is not None else ""


class _Unstoppable(Exception):
    """A cell went on after it was interrupted; the message says why it was."""


def _length(content: Any) -> int:
    """How long a message is, in characters; one that cannot even be written has no end."""
    try:
        return len(str(content))
    except (RecursionError, ValueError):
        return 1 << 62


def _explain(cell: NotebookNode, reason: str) -> None:
    cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"][-20:]
    cell.outputs.append(nbformat.v4.new_output("error", ename="CellNotRun", evalue=reason, traceback=[reason]))
