"""The one runner of notebooks: cells in a kernel, grade cells by their questions, in the order of the notebook.

Whoever runs a notebook states how in a :class:`Policy`: a student (Validate), an author (`course execute`, the tests)
or the grader, who puts the kernel into a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from course.base.errors import UserError
from course.base.texts import readable_tree
from course.base.threads import ONE_THREAD
from course.checks.core.result import MIME
from course.labs import notebooks
from course.labs.examiner import Examiner

log = logging.getLogger(__name__)

CELL_S = 420.0  # a question that builds images may take so long
STOP_S = 5.0  # how long an interrupted cell may take to end
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
        cell_s: longest time of one cell, in seconds.
        notebook_s: longest time of all cells in the kernel together, in seconds.
        output_bytes: most output kept of one cell.
        stop_at_error: end with a :class:`RunError` at the first cell that fails.
    """

    manager: Callable[[], AsyncKernelManager]
    environment: Mapping[str, str] | None = None
    examiner: Examiner | None = None
    cell_s: float = CELL_S
    notebook_s: float = math.inf
    output_bytes: int = 20_000_000
    stop_at_error: bool = False


def environment() -> dict[str, str]:
    """What a kernel that is not sandboxed finds: one thread, and no folder of shipped files but its own."""
    return {**{key: value for key, value in os.environ.items() if key != "COURSE_SHIPPED"}, **ONE_THREAD}


def run(nb: NotebookNode, folder: Path, policy: Policy) -> list[str]:
    """Run a notebook in place, filling in its outputs.

    Args:
        nb: the notebook. With an examiner, what it calls a grade cell is judged by the question of that id and not run.
        folder: where the kernel works.
        policy: how.

    Returns:
        What whoever asked for it should know: kernels that were stopped, and why; floods; results that are none.

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


async def _run(nb: NotebookNode, folder: Path, policy: Policy) -> list[str]:
    notes: list[str] = []
    examined = [policy.examiner is not None and notebooks.is_graded(cell) for cell in nb.cells]
    async with _Kernel(
        nb, examined, folder, policy, lambda index, text: notes.append(f"cell {index + 1}: {text}")
    ) as it:
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
    return notes


class _Client(NotebookClient):
    """An nbclient that bounds what a cell may print, and remembers which one was stopped."""

    def __init__(self, nb: NotebookNode, folder: Path, policy: Policy) -> None:
        super().__init__(
            nb,
            km=policy.manager(),
            kernel_name="python3",
            timeout=policy.cell_s,
            allow_errors=not policy.stop_at_error,
            record_timing=False,
            startup_timeout=60,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],  # not a kernel's own remarks
            error_on_timeout={"ename": "CellTimeoutError", "evalue": "", "traceback": []},
        )
        self.most = policy.output_bytes
        self.printed = 0
        self.timed_out = self.flooded = False

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

    async def _async_handle_timeout(self, timeout: int, cell: NotebookNode | None = None) -> dict[str, Any] | None:
        self.timed_out = True
        return await super()._async_handle_timeout(timeout, cell)

    async def run_cell(self, cell: NotebookNode, index: int) -> None:
        """Run one cell."""
        self.printed = 0
        self.timed_out = self.flooded = False
        await self.async_execute_cell(cell, index, store_history=True)


@dataclass
class _Kernel:
    """The kernel, the cells that it runs, and what became of it."""

    nb: NotebookNode
    examined: list[bool]
    folder: Path
    policy: Policy
    note: Callable[[int, str], None]
    ended: str | None = None
    left: float = field(init=False)
    client: _Client = field(init=False)

    def __post_init__(self) -> None:
        # a kernel can change outputs of earlier cells; it must not have those of grade cells in its hands
        pairs = zip(self.nb.cells, self.examined, strict=True)
        seen = nbformat.v4.new_notebook(cells=[nbformat.v4.new_raw_cell() if mark else cell for cell, mark in pairs])
        seen.metadata = self.nb.metadata
        self.left = self.policy.notebook_s
        self.client = _Client(seen, self.folder, self.policy)

    async def __aenter__(self) -> _Kernel:
        try:
            started = {} if self.policy.environment is None else {"env": dict(self.policy.environment)}
            await self.client.async_start_new_kernel(**started)
            await self.client.async_start_new_kernel_client()
        except BaseException:
            await self.__aexit__()
            raise
        self.client.reset_execution_trackers()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            if self.client.kc is not None:
                self.client.kc.stop_channels()
        with contextlib.suppress(Exception):
            if self.client.km.has_kernel:
                await self.client.km.shutdown_kernel(now=True)
            await self.client.km.cleanup_resources()

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
        """Run a cell; when the kernel has ended, say so in the cell instead."""
        cell = self.nb.cells[index]
        cell.outputs = []
        if self.ended is not None:
            _explain(cell, f"not run: {self.ended} (further up)")
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        limit = self.client.timeout = max(1.0, min(self.policy.cell_s, self.left))
        try:
            await asyncio.wait_for(self.client.run_cell(cell, index), limit + 2 * STOP_S)
        except CellExecutionError as error:
            raise RunError(str(error).strip()) from None
        except DeadKernelError:
            self.ended = self._how_it_ended() or "the kernel ended while this cell ran"
            if self.client.flooded:
                self.ended = f"the cell printed more than {self.policy.output_bytes * FLOOD / 1e6:g} MB"
        except TimeoutError:
            self.client.timed_out = True
            self.ended = "this cell could not be stopped, so its kernel was"
        except Exception as error:  # whatever a hostile kernel sends must not end the grading of the rest
            log.warning("the kernel's answers could not be used: %s", error)
            self.ended = "the kernel answered in a way that could not be understood"
        self.left -= loop.time() - started
        await self._conclude(cell, index, limit)

    async def _conclude(self, cell: NotebookNode, index: int, limit: float) -> None:
        """Note in the cell, and for whoever asked, what went wrong while it ran."""
        if self.client.timed_out:
            late = f"this cell did not finish within {limit:g} seconds and was stopped"
            self.note(index, late)
            _explain(cell, late)
            if self.ended is None and not await self._answers():
                self.ended = "this cell could not be stopped, so its kernel was"
        elif self.client.printed > self.policy.output_bytes and self.ended is None:
            cut = f"only the first {self.policy.output_bytes / 1e6:g} MB of the output were kept"
            self.note(index, cut)
            _explain(cell, cut)
        if self.ended is None and self.left <= 0:
            self.ended = f"all cells together took longer than {self.policy.notebook_s:g} seconds"
        if self.ended is not None:
            with contextlib.suppress(Exception):
                await self.client.km.shutdown_kernel(now=True)
            self.note(index, self.ended)
            _explain(cell, self.ended)
        if self.policy.stop_at_error and (self.client.timed_out or self.ended is not None):
            raise RunError(f"cell {index + 1}: {self.ended or f'it did not finish within {limit:g} seconds'}")

    def _how_it_ended(self) -> str:
        """The sandbox's own words for the end of the kernel; empty where it has none."""
        how = getattr(self.client.km.provisioner, "how_it_ended", None)
        return how() if how is not None else ""

    async def _answers(self) -> bool:
        """Whether the kernel is free again after an interrupt."""
        with contextlib.suppress(Exception):
            await self.client.kc.kernel_info(reply=True, timeout=STOP_S)
            return True
        return False


def _length(content: Any) -> int:
    """How long a message is, in characters; one that cannot even be written has no end."""
    try:
        return len(str(content))
    except (RecursionError, ValueError):
        return 1 << 62


def _explain(cell: NotebookNode, reason: str) -> None:
    cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"][-20:]
    cell.outputs.append(nbformat.v4.new_output("error", ename="CellNotRun", evalue=reason, traceback=[reason]))
