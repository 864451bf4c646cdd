"""What grading must know of a lab, as plain data: its cells with hidden tests, and the files that students were given.

The parent reads it once, from the gradebook that `course release` or nbgrader filled, and hands it to every worker, so
that workers need no database. Used by `classroom`, `restore` and `stock_commands`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

import course
from course.labs import description, notebooks, source

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from sqlalchemy import Connection

ENGINE = 3  # raise it when the engine itself judges differently: everything is graded again then


@dataclass(frozen=True)
class SourceCell:
    """A cell of a source notebook that has a role in grading.

    Attributes:
        name: its grade id.
        cell_type: "code" or "markdown".
        source: what it says to students (solutions taken out, hidden tests still in).
        checksum: nbgrader's, of the cell as students got it.
        grade, solution, task, locked: its roles.
        points: what it is worth; None when it is not graded.
    """

    name: str
    cell_type: str
    source: str
    checksum: str
    grade: bool
    solution: bool
    task: bool
    locked: bool
    points: float | None


@dataclass(frozen=True)
class SourceNotebook:
    """A source notebook: name without suffix, kernel, cells in their order, and hashes of the code cells as given."""

    name: str
    kernelspec: dict
    cells: tuple[SourceCell, ...]
    given: tuple[str, ...] = ()

    def by_name(self) -> dict[str, SourceCell]:
        """The cells by grade id."""
        return {cell.name: cell for cell in self.cells}

    def graded(self) -> list[SourceCell]:
        """The cells that are worth points."""
        return [cell for cell in self.cells if cell.grade or cell.task]


@dataclass(frozen=True)
class Assignment:
    """All that a worker needs to grade submissions for a lab.

    Attributes:
        lab: its name.
        notebooks: in the order in which they are run.
        given: files of the lab that students got; they replace what was handed in.
        questions: the modules of the lab's questions with their hidden checks, by path.
        warm: modules that a zygote imports for the lab.
        solution: its source notebooks, as somebody hands them in who has solved everything; see `settlement`.
    """

    lab: str
    notebooks: tuple[SourceNotebook, ...]
    given: dict[str, bytes] = field(default_factory=dict)
    questions: dict[str, bytes] = field(default_factory=dict)
    warm: tuple[str, ...] = ()
    solution: dict[str, bytes] = field(default_factory=dict)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of everything that decides how a submission is judged: tests, given files, checks, hold-out."""
        found = hashlib.sha256(f"engine {ENGINE}\n".encode())
        plain = {"lab": self.lab, "notebooks": [asdict(notebook) for notebook in self.notebooks]}
        found.update(json.dumps(plain, sort_keys=True).encode())
        for name, data in sorted((self.given | self.questions).items()):
            found.update(f"\n{name}\n".encode() + data)
        found.update(_vocabulary().encode())
        holdout = os.environ.get("COURSE_HOLDOUT")
        if holdout and Path(holdout).is_file():
            found.update(Path(holdout).read_bytes())
        return found.hexdigest()


def of_sources(folder: Path) -> str:
    """A hash of a lab's source folder: when it changes, the gradebook must be told of its cells again."""
    found = hashlib.sha256()
    here = {path.relative_to(folder).as_posix(): path for path in (*source.sources(folder), *source.questions(folder))}
    for name, path in (here | source.laid_out(folder)).items():
        found.update(f"\n{name}\n".encode() + path.read_bytes())
    return found.hexdigest()


def load(connection: Connection, folder: Path) -> Assignment:
    """Read a lab's key from the gradebook, and its given files from its source folder.

    Args:
        connection: to a gradebook that knows the lab.
        folder: the lab's folder in `solutions/`; it also gives the order of notebooks and cells.
    """
    found = []
    solution = {}
    for path in source.sources(folder):
        original = notebooks.read(path)
        solution[path.name] = _without_outputs(original)
        rows = _cells(connection, folder.name, path.stem)
        order = [notebooks.grade_id(cell) for cell in original.cells if notebooks.grade_id(cell) in rows]
        kernelspec = dict(original.metadata.get("kernelspec", {}))
        as_given = tuple(hash_of(cell.source) for cell in original.cells if _is_given(cell))
        found.append(SourceNotebook(path.stem, kernelspec, tuple(rows[name] for name in order), as_given))
    warm = tuple(description.read(folder).warm) if (folder / description.FILE).is_file() else ()
    return Assignment(folder.name, tuple(found), given(folder), questions(folder), warm, solution)


def _without_outputs(notebook: NotebookNode) -> bytes:
    bare = nbformat.from_dict(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    return nbformat.writes(bare, version=4).encode()


def hash_of(text: str) -> str:
    """A hash of a cell's source, whatever the white space around it."""
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:16]


def _is_given(cell: NotebookNode) -> bool:
    """Whether a cell of code is neither an answer nor graded: students have it as it is."""
    marked = any(notebooks.is_a(cell, role) for role in ("solution", "grade", "task"))
    return cell.cell_type == "code" and bool(cell.source.strip()) and not marked


def given(folder: Path) -> dict[str, bytes]:
    """The files beside a lab's source notebooks as students got them, by path; of questions what is not hidden."""
    found = {name: path.read_bytes() for name, path in source.laid_out(folder).items()}
    return found | {name: source.released_question(data.decode()).encode() for name, data in questions(folder).items()}


def questions(folder: Path) -> dict[str, bytes]:
    """The modules of a lab's questions with their hidden checks, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in source.questions(folder)}


def _cells(connection: Connection, lab: str, notebook: str) -> dict[str, SourceCell]:
    from nbgrader.api import Assignment, BaseCell, GradeCell, Notebook, SolutionCell, TaskCell
    from nbgrader.api import SourceCell as Source
    from sqlalchemy import select

    tables = [cls.__table__ for cls in (Assignment, Notebook, BaseCell, GradeCell, SolutionCell, TaskCell, Source)]
    assignment, books, base, grade, solution, task, text = tables
    here = select(books.c.id).join(assignment, assignment.c.id == books.c.assignment_id)
    identity = connection.execute(here.where(assignment.c.name == lab, books.c.name == notebook)).scalar()

    def roles(table, *columns) -> dict:
        query = select(base.c.name, *columns).join(table, table.c.id == base.c.id).where(base.c.notebook_id == identity)
        return {row[0]: row[1:] for row in connection.execute(query)}

    grades, solutions, tasks = roles(grade, grade.c.max_score), roles(solution), roles(task, task.c.max_score)
    found = {}
    for row in connection.execute(select(text).where(text.c.notebook_id == identity)).mappings():
        name = row["name"]
        points = (grades.get(name) or tasks.get(name) or (None,))[0]
        roles_of = {"grade": name in grades, "solution": name in solutions, "task": name in tasks}
        found[name] = SourceCell(
            name,
            row["cell_type"],
            row["source"] or "",
            row["checksum"] or "",
            **roles_of,
            locked=bool(row["locked"]),
            points=points,
        )
    return found


@functools.cache
def _vocabulary() -> str:
    """A hash of the code that grade cells use, which is a part of the tests."""
    top = Path(course.__file__).parent
    found = hashlib.sha256()
    rooms = ("base", "flights", "sandboxed", "checks")
    for path in [*(path for room in rooms for path in sorted((top / room).rglob("*.py"))), top / "shipping.py"]:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
