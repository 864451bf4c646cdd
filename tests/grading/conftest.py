"""What the tests of the grading tools share: a very small course in a folder of its own, and notebooks made quickly."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner, Result
from nbformat import NotebookNode

from course.cli import main
from course.grading.pipeline import worker_pool

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def course_root(tmp_path: Path) -> Path:
    """A course with the very small lab 01_tiny in solutions/, not released yet."""
    root = tmp_path / "course"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions", root / "solutions")
    shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
    return root


@pytest.fixture(scope="session")
def released_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the very small lab, released; nbgrader takes seconds for that, and gives the same each time."""
    from course.labs import release

    root = tmp_path_factory.mktemp("released") / "course"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions", root / "solutions")
    shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
    release.release(root)
    return root


@pytest.fixture
def released_root(released_template: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(released_template, tmp_path / "course")
    return tmp_path / "course"


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[worker_pool.WorkerPool]:
    """One worker, warm, that grades for all tests of a module: a zygote takes seconds to start."""
    tmp_path_factory.getbasetemp()  # before the pool has its own folder for temporary files, which goes with it
    with worker_pool.WorkerPool(1) as workers:
        yield workers


@pytest.fixture(scope="session")
def class_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the very small lab, which four students have handed in, and a gradebook that knows it."""
    from course.grading.gradebook import database
    from course.grading.intake import submissions
    from course.grading.pipeline import assignment
    from course.labs import release

    root = tmp_path_factory.mktemp("template") / "course"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions", root / "solutions")
    shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
    for student in ("ada", "bob", "cyd", "dee"):
        submissions.submit(root, root / "solutions" / "01_tiny", lab="01_tiny", student=student)
    release.register(root, ["01_tiny"])
    with database.Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        book.set_source("01_tiny", assignment.of_sources(root / "solutions" / "01_tiny"))
    return root


@pytest.fixture
def class_root(class_template: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(class_template, tmp_path / "course")
    return tmp_path / "course"


@pytest.fixture
def run_course() -> Callable[..., Result]:
    """Run the `course` command: run_course(root, "release", "--check")."""

    def run(root: Path, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["--root", str(root), *map(str, arguments)])

    return run


@pytest.fixture
def make_notebook() -> Callable[..., NotebookNode]:
    """A notebook from (kind, source) or (kind, source, nbgrader metadata) triples; kind is "md" or "py"."""

    def make(*cells: tuple[Any, ...]) -> NotebookNode:
        notebook = nbformat.v4.new_notebook()
        for kind, source, *role in cells:
            new = nbformat.v4.new_markdown_cell if kind == "md" else nbformat.v4.new_code_cell
            metadata = {"nbgrader": role[0]} if role else {}
            notebook.cells.append(new(source, metadata=metadata))
        return notebook

    return make
