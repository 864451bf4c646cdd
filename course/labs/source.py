"""What a lab's source notebooks must keep to: ids, points, marked regions. Used by release, before it writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course.base.names import LAB
from course.checks.core.loading import FOLDER
from course.labs import description, notebooks

SOLUTION = ("BEGIN SOLUTION", "END SOLUTION")
HIDDEN = ("BEGIN HIDDEN TESTS", "END HIDDEN TESTS")
MARK_SCHEME = ("BEGIN MARK SCHEME", "END MARK SCHEME")
REGIONS = (SOLUTION, HIDDEN, MARK_SCHEME)
GENERATED = (
    ".ipynb_checkpoints",
    "__pycache__",
    ".pytest_cache",
    ".hypothesis",
    ".ruff_cache",
    ".git",
    "shipped",
    "handed_over",
    "late-flights",
    "rehearsal",
)
GENERATED_SUFFIXES = (".pyc", ".nbconvert.ipynb")
LAB_POINTS = 100


@dataclass(frozen=True)
class Problem:
    """Something in a source notebook that must be mended: where, and what."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def labs(root: Path) -> list[Path]:
    """The folders of the labs in `solutions/`, in order."""
    top = root / "solutions"
    return sorted(folder for folder in top.glob("*") if LAB.fullmatch(folder.name) and any(folder.glob("*.ipynb")))


def sources(lab: Path) -> list[Path]:
    """A lab's notebooks, in the order in which they are taken."""
    return sorted(path for path in lab.glob("*.ipynb") if not is_generated(path, lab))


def given_files(folder: Path) -> list[Path]:
    """The other files of a folder that students get as they are: no notebooks, questions, or what running leaves."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".ipynb"]
    asked = folder / FOLDER
    return sorted(path for path in found if not is_generated(path, folder) and asked not in path.parents)


def questions(folder: Path) -> list[Path]:
    """The modules of a lab's questions, one for each graded code cell."""
    return sorted((folder / FOLDER).glob("*.py"))


def released_question(text: str) -> str:
    """A question's module as students get it: without its hidden checks.

    Raises:
        ValueError: a marked region is nested, or not opened, or not closed.
    """
    lines = "\n".join(regions(text, (HIDDEN,))[1])
    return re.sub(r"\n{4,}", "\n\n\n", lines).rstrip() + "\n"


def grade_cell(grade_id: str) -> str:
    """The source of a grade cell."""
    return f'from course.checks import grade\n\ngrade("{grade_id}")'


def laid_out(folder: Path) -> dict[str, Path]:
    """The files beside the notebooks where a lab's folder stands alone, as when it is graded: their path, their place.

    They are its given files, and of its reference also those that are stored with an earlier lab.

    Raises:
        DescriptionError: a lab.yaml is not as it should be.
    """
    inherited = {
        (description.REFERENCE / name).as_posix(): path for name, path in description.inherited(folder).items()
    }
    return {**inherited, **{path.relative_to(folder).as_posix(): path for path in given_files(folder)}}


def is_generated(path: Path, top: Path) -> bool:
    """Whether a path below `top` is left by running a notebook: shipped files, caches, a git work tree."""
    parts = path.relative_to(top).parts
    if any(part in GENERATED for part in parts) or path.name.endswith(GENERATED_SUFFIXES):
        return True
    return any((top.joinpath(*parts[:depth]) / ".git").exists() for depth in range(1, len(parts)))


def problems(lab: Path) -> list[Problem]:
    """All that keeps a lab from being released.

    Args:
        lab: a folder of `solutions/`.

    Raises:
        NotebookError: a notebook cannot be read.
    """
    books = {path: notebooks.read(path) for path in sources(lab)}
    found = [Problem(description.FILE, text) for text in _disagreements(lab, books)]
    seen: dict[str, str] = {}
    total = 0.0
    for path, notebook in books.items():
        found += [Problem(path.name, text) for text in _notebook_problems(path, notebook)]
        for cell in notebook.cells:
            name = notebooks.grade_id(cell)
            if name and name in seen:
                found.append(Problem(path.name, f"the grade id {name!r} is used twice (also in {seen[name]})"))
            elif name:
                seen[name] = path.name
        total += points(notebook)
    found += _question_problems(lab, books)
    if total > LAB_POINTS:
        found.append(Problem(lab.name, f"the cells are worth {total:g} points together; a lab is worth {LAB_POINTS}"))
    for path in given_files(lab):
        if any(mark in path.read_text(encoding="utf-8", errors="replace") for region in REGIONS for mark in region):
            place = path.relative_to(lab).as_posix()
            found.append(
                Problem(
                    place,
                    "only notebooks and questions can hold solutions and hidden tests: this file goes to students",
                )
            )
    return found


def _disagreements(lab: Path, books: dict[Path, NotebookNode]) -> Iterator[str]:
    """Where a lab's notebooks are not what its description says; nothing for a lab without one."""
    try:
        described = description.find(lab)
    except description.DescriptionError as error:
        yield str(error)
        return
    if described is None:
        return
    there = {path.stem: notebook for path, notebook in books.items()}
    if list(described.notebooks) != list(there):
        yield f"notebooks: expected {', '.join(there)}; got {', '.join(described.notebooks)}"
    for name in [name for name in described.notebooks if name in there]:
        said, cells = described.notebooks[name], there[name].cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        title = next((heading for level, heading in notebooks.headings(text) if level == 1), "")
        if said.title != title:
            yield f"notebooks.{name}.title: expected the notebook's first heading, {title!r}; got {said.title!r}"
        time = re.search(r"^## Time\n+\D*(\d+) minutes", text, re.MULTILINE)
        if time and int(time[1]) != said.minutes:
            yield f"notebooks.{name}.minutes: expected {time[1]}, as the notebook says under Time; got {said.minutes}"


def points(notebook: NotebookNode) -> float:
    """What a notebook's cells are worth together, those graded by hand too."""
    scored = [cell for cell in notebook.cells if notebooks.is_a(cell, "grade") or notebooks.is_a(cell, "task")]
    return sum(float(cell.metadata.nbgrader.get("points", 0)) for cell in scored)


def regions(cell_source: str, kinds: tuple[tuple[str, str], ...] = REGIONS) -> tuple[list[str], list[str]]:
    """The lines of a cell that students do not get, and those that they do (marks belong to neither).

    Raises:
        ValueError: a region is nested, or not opened, or not closed.
    """
    inside: list[str] = []
    outside: list[str] = []
    closing: str | None = None
    for line in cell_source.splitlines():
        opened = next((kind for kind in kinds if kind[0] in line), None)
        closed = next((kind for kind in kinds if kind[1] in line), None)
        if opened:
            if closing is not None:
                raise ValueError(f"{opened[0]!r} inside a region that waits for {closing!r}")
            closing = opened[1]
        elif closed:
            if closing != closed[1]:
                raise ValueError(f"{closed[1]!r} without {closed[0]!r} before it")
            closing = None
        else:
            (inside if closing else outside).append(line)
    if closing:
        raise ValueError(f"{closing!r} is missing")
    return inside, outside


def _notebook_problems(path: Path, notebook: NotebookNode) -> list[str]:
    found = []
    try:
        changed = notebooks.difference(path)
    except notebooks.NotebookError as error:
        return [str(error)]
    if changed:
        found.append("is not in normal form; run: course normalise " + path.as_posix())
    prefix = f"{path.parent.name[:2]}-{int(path.name[:2])}-" if path.name[:2].isdigit() else ""
    if not prefix:
        found.append("a notebook's name begins with two digits, such as 03_test_it.ipynb")
    for position, cell in enumerate(notebook.cells, start=1):
        place = f"cell {position} ({notebooks.grade_id(cell) or cell.get('id', 'no id')})"
        found += [f"{place}: {text}" for text in _cell_problems(cell, prefix)]
    return found


def _cell_problems(cell: NotebookNode, prefix: str) -> list[str]:
    found = []
    try:
        regions(cell.source)
    except ValueError as error:
        return [str(error)]
    roles = {role: notebooks.is_a(cell, role) for role in ("grade", "solution", "locked", "task")}
    for kind, allowed, what in (
        (SOLUTION, roles["solution"], "a solution"),
        (HIDDEN, False, "a question's module; in a notebook there is no such"),
        (MARK_SCHEME, roles["task"], "a task"),
    ):
        if kind[0] in cell.source and not allowed:
            found.append(f"{kind[0]!r} stands in a cell that nbgrader's metadata do not call {what} cell")
    if not any(roles.values()):
        return found
    name = notebooks.grade_id(cell)
    if not name:
        return [*found, "it has a role in grading, but no grade_id"]
    if not re.fullmatch(re.escape(prefix) + r"[a-z0-9-]+", name):
        found.append(f"a grade id of this notebook looks like {prefix}words; got {name!r}")
    if (roles["grade"] or roles["task"]) and not float(cell.metadata.nbgrader.get("points", 0)) > 0:
        found.append("it is graded, but has no points")
    if notebooks.is_graded(cell) and cell.source.strip() != grade_cell(name):
        found.append(f"a grade cell holds nothing but\n{grade_cell(name)}")
    return found


def _question_problems(lab: Path, books: dict[Path, NotebookNode]) -> list[Problem]:
    """Each graded code cell has a question and each question its cell, and they agree on the points."""
    cells = {
        notebooks.grade_id(cell): float(cell.metadata.nbgrader.get("points", 0))
        for notebook in books.values()
        for cell in notebook.cells
        if notebooks.is_graded(cell)
    }
    paths = {path.stem: path for path in questions(lab)}
    found = [
        Problem(f"{FOLDER}/{name}.py", "is missing; the notebook has its grade cell")
        for name in cells
        if name not in paths
    ]
    for name, path in paths.items():
        place = path.relative_to(lab).as_posix()
        if name not in cells:
            found.append(Problem(place, f"no notebook has a grade cell with the id {name!r}"))
            continue
        found += [Problem(place, text) for text in _module_problems(path, cells[name])]
    return found


def _module_problems(path: Path, worth: float) -> list[str]:
    text = path.read_text(encoding="utf-8")
    try:
        released_question(text)
        points = stated_points(text)
    except (SyntaxError, ValueError) as error:
        return [f"cannot be used: {error}"]
    if points == worth:
        return []
    return [f"the question is worth {points:g} points, nbgrader's metadata say {worth:g}; run: course normalise"]


def stated_points(text: str) -> float:
    """The points of a question, read from its module without running it.

    Raises:
        SyntaxError: it is not Python.
        ValueError: it does not call `Question(…, points=…)` once, with a number.
    """
    stated = [
        keyword.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Question"
        for keyword in node.keywords
        if keyword.arg == "points" and isinstance(keyword.value, ast.Constant)
    ]
    if len(stated) != 1 or not isinstance(stated[0], int | float):
        raise ValueError(f"a question's module calls Question(..., points=...) once, with a number; found {stated}")
    return stated[0]


def with_points(notebook: NotebookNode, lab: Path) -> NotebookNode:
    """A notebook whose grade cells have the points, and the source, that their questions ask for.

    Args:
        notebook: of that lab; it is changed.
        lab: its folder; grade cells without a question there stay as they are.
    """
    known = {path.stem: path for path in questions(lab)}
    for cell in notebook.cells:
        name = notebooks.grade_id(cell)
        if notebooks.is_graded(cell) and name in known:
            cell.metadata.nbgrader["points"] = stated_points(known[name].read_text(encoding="utf-8"))
            cell.source = grade_cell(name)
    return notebook
