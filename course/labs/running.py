"""What authors and students do with a lab's notebooks: run them, check what was shipped, store outputs.

Used by `course check`, `course execute` and the tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.base.names import find
from course.labs import examiner, notebooks, recordings, runner, source
from course.labs.judgement import Judgement, judge
from course.labs.runner import RunError


@dataclass(frozen=True)
class Graded:
    """A graded cell and what it earned."""

    notebook: str
    grade_id: str
    judgement: Judgement


def execute(notebook: NotebookNode, folder: Path, *, allow_errors: bool = False) -> NotebookNode:
    """Run all cells of a notebook in a new kernel, as a student does.

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
    with runner.local_manager() as manager:
        policy = runner.Policy(manager, environment=runner.environment(), stop_at_error=not allow_errors)
        runner.run(result, folder, policy)
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
    """Ask the questions of a lab's notebooks about what is shipped there. No notebook is run.

    Args:
        folder: a lab's folder, such as labs/01_python_model.
        names: notebooks by name or number; all by default.

    Raises:
        RunError: there is no such folder.
        UnknownName: there is no such notebook.
        NotebookError: a notebook cannot be read.
    """
    found = []
    for path in pick(folder, names):
        with examiner.plain(folder, runner.environment()) as questions:
            found += judged(examined(notebooks.read(path), questions), path.name)
    return found


def examined(notebook: NotebookNode, questions: examiner.Examiner) -> NotebookNode:
    """The graded code cells of a notebook with what their questions give; no other cell."""
    result = nbformat.from_dict(notebook)
    result.cells = [cell for cell in result.cells if notebooks.is_graded(cell)]
    for cell in result.cells:
        cell.outputs = questions.outputs(cell.metadata.nbgrader.grade_id)
    return result


def pick(folder: Path, names: Iterable[str] = ()) -> list[Path]:
    """The notebooks of a lab's folder by name or number ("03", "3", "03_test_it", a path); all by default.

    Raises:
        RunError: there is no such folder.
        UnknownName: there is no such notebook.
    """
    known = source.sources(folder) if folder.is_dir() else []
    if not known:
        raise RunError(f"there are no notebooks in {folder}; name a lab's folder, such as labs/01_python_model")
    return [find(name, known, "notebook") for name in names] or known


def clean_copy(lab: Path, target: Path) -> Path:
    """A lab's folder as it is before anything ran, without notebooks: its given files, whole reference and questions.

    Returns:
        The new folder, `target`.
    """
    target.mkdir(parents=True)
    here = {path.relative_to(lab).as_posix(): path for path in source.questions(lab)}
    for name, path in (source.laid_out(lab) | here).items():
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
    recordings.write(lab)
