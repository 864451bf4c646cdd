"""`nbgrader validate` and the Validate button: as in grading, in the student's own folder and without a sandbox.

`nbgrader_config.py` puts it in the place of nbgrader's Execute. Students have it, too.
"""

from __future__ import annotations

import re
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from course.base.result import Outcome
from course.labs import examiner, notebooks, runner
from course.labs.judgement import Judgement, judge
from course.student import saved_notebooks
from course.student.handing_in import REHEARSAL

WIDTH = 80  # nbgrader cuts longer lines off
NOT_SOLVED = "A cell above is not solved yet"


class ExecuteForValidation(NbGraderPreprocessor):
    """Run a notebook as grading does and have nbgrader's Validator say which checks did not pass, and why."""

    cell_s = Float(runner.CELL_S, help="The longest time of one cell, in seconds.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources):
        """Run one notebook in the current folder, where the Validator goes, and reword what its grade cells show."""
        _one_each(nb)
        with ThreadPoolExecutor(1) as thread:  # the button's server has an event loop of its own
            thread.submit(_run, nb, Path.cwd(), self.cell_s).result()
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


def _run(nb: NotebookNode, folder: Path, cell_s: float) -> None:
    environment = {**runner.environment(), REHEARSAL: "1"}
    with runner.local_manager() as manager, examiner.plain(folder, environment) as questions:
        runner.run(nb, folder, runner.Policy(manager, environment, questions, cell_s))


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
        title = found.result.title if found.result is not None else ""
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
    return found.result is not None and any(check.outcome is Outcome.PASS for check in found.result.checks)


def _failures(found: Judgement) -> list[str]:
    """What keeps a grade cell from all the points that can be earned here; empty when nothing does."""
    if found.result is None:
        return [] if found.score == found.points else [found.text or f"{found.score or 0:g} of {found.points:g} points"]
    if found.result.passed:
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
