"""`nbgrader validate` and the Validate button: the two kernels of grading, in the student's own folder. No sandbox.

`nbgrader_config.py` puts it in the place of nbgrader's Execute. Students have it too, so it needs no more of the engine
than `running`. A warm kernel is used where a zygote is there already; for one notebook none is worth the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from course.labs import notebooks, running
from course.labs.judgement import Judgement, judge
from course.student import saved_notebooks
from course.student.handing_in import REHEARSAL

WIDTH = 80  # nbgrader cuts longer lines off
NOT_SOLVED = "A cell above is not solved yet"


class ValidateApart(NbGraderPreprocessor):
    """Run a notebook as grading does and have nbgrader's Validator say which checks did not pass, and why."""

    cell_s = Float(running.CELL_TIMEOUT, help="The longest time of one cell, in seconds.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources):
        """Run one notebook in the current folder, where the Validator goes, and reword what its grade cells say."""
        _one_each(nb)
        with ThreadPoolExecutor(1) as thread:  # the button's server has an event loop of its own
            thread.submit(lambda: asyncio.run(_run(nb, Path.cwd(), self.cell_s))).result()
        _reword(nb)
        return nb, resources


def _one_each(nb: NotebookNode) -> None:
    """Of a cell that is there twice the last one counts, as when grading; nbgrader would refuse the notebook."""
    seen = set()
    for cell in reversed(nb.cells):
        name = notebooks.grade_id(cell)
        if name in seen:
            del cell.metadata["nbgrader"]
        elif name is not None:
            seen.add(name)


async def _run(nb: NotebookNode, folder: Path, cell_s: float) -> None:
    graded = [notebooks.is_graded(cell) for cell in nb.cells]
    async with _Kernel(nb, folder, cell_s) as student, _Kernel(nb, folder, cell_s) as grader:
        await asyncio.gather(student.start(), *([grader.start()] if any(graded) else []))
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code" and cell.source.strip():
                await (grader if graded[index] else student).run(cell, index)


class _Kernel:
    """One of the two kernels; a cell that ends it takes only the later cells of its own side along."""

    def __init__(self, nb: NotebookNode, folder: Path, cell_s: float) -> None:
        self.sockets = Path(tempfile.mkdtemp(prefix="course-validate-"))
        manager = AsyncKernelManager(kernel_name="python3")
        if os.name == "posix":  # ports are chosen before they are taken, and two kernels may choose the same
            manager.transport, manager.ip = "ipc", str(self.sockets / "socket")
        if os.environ.get("COURSE_ZYGOTE"):
            with contextlib.suppress(ImportError):
                from course.grading.sandbox.kernels import WarmKernelManager

                manager = WarmKernelManager()
        self.manager = manager
        self.client = NotebookClient(
            nb,
            km=manager,
            timeout=cell_s,
            allow_errors=True,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],
        )
        self.ended: str | None = None

    async def __aenter__(self) -> _Kernel:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            if self.client.kc is not None:
                self.client.kc.stop_channels()
        with contextlib.suppress(Exception):
            if self.manager.has_kernel:
                await self.manager.shutdown_kernel(now=True)
            await self.manager.cleanup_resources()
        shutil.rmtree(self.sockets, ignore_errors=True)

    async def start(self) -> None:
        await self.client.async_start_new_kernel(env={**running.kernel_environment(), REHEARSAL: "1"})
        await self.client.async_start_new_kernel_client()
        self.client.reset_execution_trackers()

    async def run(self, cell: NotebookNode, index: int) -> None:
        if self.ended is None:
            try:
                await self.client.async_execute_cell(cell, index, store_history=True)
                return
            except CellTimeoutError:
                _say(cell, "CellTimeoutError", f"the cell did not finish within {self.client.timeout:g} seconds")
                return
            except DeadKernelError:
                self.ended = "the kernel ended while a cell ran"
        _say(cell, "DeadKernelError", self.ended)


def _say(cell: NotebookNode, kind: str, reason: str) -> None:
    cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
    cell.outputs.append(nbformat.v4.new_output("error", ename=kind, evalue=reason, traceback=[f"{kind}: {reason}"]))


def _reword(nb: NotebookNode) -> None:
    """Give each grade cell the outputs that make the Validator say what grading would, in the words of its checks."""
    untouched = not any(_is_changed(cell) for cell in nb.cells)
    above: list[str] = []
    passed: list[str] = []
    failed: list[NotebookNode] = []
    heading = ""
    for cell in nb.cells:
        *_, heading = heading, *saved_notebooks.headings([cell])
        if untouched and cell.cell_type == "markdown" and notebooks.is_a(cell, "grade"):
            written = judge(cell)
            if written.score == 0:
                _show(cell, f"{heading}\n(written, and graded by a person: {written.points:g} points)")
        if not notebooks.is_graded(cell):
            errors = [output for output in cell.get("outputs", []) if _is_error(output)]
            above += [_told(error) for error in errors]
            continue
        found = judge(cell)
        title = str((found.result or {}).get("title", ""))
        lines = _failures(found)
        if not lines:
            value = nbformat.v4.new_output("execute_result", data={"text/plain": f"{found.points:g}"})
            cell.outputs = [value]
            passed.append(title or cell.source.split("\n")[0])
        else:
            if NOT_SOLVED in above and not _passes_any(found):
                lines, above = lines[:1], [NOT_SOLVED]
            _fail(cell, [*lines, *above])
            failed.append(cell)
            if untouched and title:  # the Validator shows the source of the cell; its title says more
                _show(cell, title)
        above = []
    if failed and passed:
        failed[-1].outputs[0].traceback[0] += "\n\n" + "\n".join(_wrap(f"What passes already: {', '.join(passed)}"))


def _fail(cell: NotebookNode, lines: list[str]) -> None:
    wrapped = [part for line in "\n".join(lines).splitlines() for part in _wrap(line)]
    cell.outputs = [nbformat.v4.new_output("error", ename="ChecksFailed", evalue="", traceback=["\n".join(wrapped)])]


def _show(cell: NotebookNode, source: str) -> None:
    """Have the Validator show this as the cell's source, and see no change in it."""
    cell.source = source
    cell.metadata.nbgrader["checksum"] = utils.compute_checksum(cell)


def _told(error: NotebookNode) -> str:
    if error.ename == "NotImplementedError":
        return NOT_SOLVED
    return f"A cell above stopped with {error.ename}: {error.evalue}".rstrip(": ")


def _passes_any(found: Judgement) -> bool:
    return any(check["outcome"] == "pass" for check in (found.result or {}).get("checks", []))


def _failures(found: Judgement) -> list[str]:
    """What keeps a grade cell from all the points that can be earned here; empty when nothing does."""
    record = found.result
    if record is None:
        return [] if found.score == found.points else [found.text or f"{found.score or 0:g} of {found.points:g} points"]
    if all(check["outcome"] == "pass" for check in record.get("checks", [])):
        return []
    return found.text.splitlines()


def _wrap(line: str) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    line = re.sub(r"(\d) / (?=\d)", "\\1\u00a0/\u00a0", line)  # points stay in one line
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent + "  ", replace_whitespace=False) or [""]


def _is_error(output: NotebookNode) -> bool:
    return output.output_type == "error"


def _is_changed(cell: NotebookNode) -> bool:
    marks = cell.metadata.get("nbgrader", {})
    locked = marks.get("locked") and "checksum" in marks
    return bool(locked) and marks["checksum"] != utils.compute_checksum(cell)
