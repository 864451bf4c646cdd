"""Runs notebooks in a lab's folder, whole or their grade cells alone. Used by `course check`, `execute` and tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from course.labs import notebooks, source
from course.labs.judgement import Judgement, judge

CELL_TIMEOUT = 180  # seconds
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class RunError(Exception):
    """A notebook could not be run to its end; the message says where and why."""


@dataclass(frozen=True)
class Graded:
    """A graded cell and what it earned."""

    notebook: str
    grade_id: str
    judgement: Judgement


def execute(notebook: NotebookNode, folder: Path, *, allow_errors: bool = False) -> NotebookNode:
    """Run a notebook in a new kernel, the way nbgrader does.

    Args:
        notebook: it is not changed.
        folder: where the kernel works; what is shipped goes to its `shipped/`.
        allow_errors: go on after a cell that fails, as nbgrader does.

    Returns:
        A copy with outputs.

    Raises:
        RunError: a cell failed, took too long, or the kernel died.
    """
    result = nbformat.from_dict(notebook)
    client = NotebookClient(
        result,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],  # not a kernel's own remarks
    )
    try:
        client.execute(env=kernel_environment())
    except CellExecutionError as error:
        raise RunError(str(error).strip()) from None
    except (DeadKernelError, TimeoutError) as error:
        raise RunError(f"the kernel did not finish: {error}") from None
    return result


def kernel_environment() -> dict[str, str]:
    """What a kernel's process finds in its environment: one thread, and no folder of shipped files but its own."""
    inherited = {key: value for key, value in os.environ.items() if key != "COURSE_SHIPPED"}
    return {**inherited, **SINGLE_THREADED}


def only_grade_cells(notebook: NotebookNode) -> NotebookNode:
    """The notebook with nothing but its graded code cells, to be run alone."""
    result = nbformat.from_dict(notebook)
    result.cells = [cell for cell in result.cells if notebooks.is_graded(cell)]
    return result


def with_hidden_tests(released: NotebookNode, original: NotebookNode) -> NotebookNode:
    """A released or submitted notebook with the grade cells of its source, as nbgrader puts them back when grading."""
    cells = {notebooks.grade_id(cell): cell for cell in original.cells if notebooks.is_graded(cell)}
    result = nbformat.from_dict(released)
    for cell in result.cells:
        if notebooks.grade_id(cell) in cells:
            cell.source = cells[notebooks.grade_id(cell)].source
    return result


def with_answers(original: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """The source notebook with some of its answer cells replaced.

    Args:
        original: a notebook of `solutions/`.
        answers: the new source by grade id.

    Raises:
        RunError: there is no answer cell of that id.
    """
    known = {notebooks.grade_id(cell) for cell in original.cells if notebooks.is_a(cell, "solution")}
    unknown = sorted(set(answers) - known)
    if unknown:
        raise RunError(f"there is no answer cell {unknown[0]!r}; there are: {', '.join(sorted(map(str, known)))}")
    result = nbformat.from_dict(original)
    for cell in result.cells:
        name = notebooks.grade_id(cell)
        if name in answers and notebooks.is_a(cell, "solution"):
            cell.source = answers[name].rstrip("\n")
    return result


def judged(notebook: NotebookNode, name: str = "") -> list[Graded]:
    """What each graded code cell of an executed notebook earned."""
    return [Graded(name, notebooks.grade_id(cell), judge(cell)) for cell in notebook.cells if notebooks.is_graded(cell)]


def check(folder: Path, names: Iterable[str] = ()) -> list[Graded]:
    """Run only the grade cells of a lab's notebooks, in a new kernel for each notebook, against what is shipped there.

    Args:
        folder: a lab's folder, such as labs/01_python_model.
        names: notebooks by name or number; all by default.

    Raises:
        RunError: there is no such folder or notebook.
        NotebookError: a notebook cannot be read.
    """
    found = []
    for path in pick(folder, names):
        alone = only_grade_cells(notebooks.read(path))
        if alone.cells:
            found += judged(execute(alone, folder, allow_errors=True), path.name)
    return found


def pick(folder: Path, names: Iterable[str] = ()) -> list[Path]:
    """The notebooks of a lab's folder by name or number ("03", "3", "03_test_it", a path); all by default.

    Raises:
        RunError: there is no such folder or notebook.
    """
    known = source.sources(folder) if folder.is_dir() else []
    if not known:
        raise RunError(f"there are no notebooks in {folder}; name a lab's folder, such as labs/01_python_model")
    chosen = []
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        match = [path for path in known if stem == path.stem or stem.zfill(2) == path.stem.split("_")[0]]
        if not match:
            raise RunError(f"there is no notebook {name!r} in {folder}; there are: {', '.join(p.stem for p in known)}")
        chosen += match
    return chosen or known


def clean_copy(lab: Path, target: Path) -> Path:
    """A lab's folder as it is before anything ran, without notebooks: its given files, and its whole reference.

    Returns:
        The new folder, `target`.
    """
    target.mkdir(parents=True)
    for name, path in source.laid_out(lab).items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return target


def store_outputs(paths: list[Path], workplace: Path) -> None:
    """Run source notebooks of one lab in a clean copy of its folder and store their outputs, in normal form.

    Notebooks that come before a chosen one are run first, as a student would, and are not changed.

    Args:
        paths: notebooks of one folder of `solutions/`.
        workplace: an empty folder to work in.

    Raises:
        RunError: a notebook does not run to its end; those before it are stored.
    """
    lab = paths[0].parent
    folder = clean_copy(lab, workplace / lab.name)
    for path in source.sources(lab):
        if path > max(paths):
            break
        try:
            done = execute(notebooks.read(path), folder)
        except RunError as error:
            raise RunError(f"{path}: {error}") from None
        if path in paths:
            notebooks.write(done, path)
