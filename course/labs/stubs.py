"""What students find in place of a solution: a stub in the language of the shipped file. Used by release."""

from __future__ import annotations

from pathlib import PurePosixPath

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import ClearSolutions

from course.base.blanks import STUB as PROSE
from course.labs import notebooks

COMMENT = f"# {PROSE}"


class ClearShippedSolutions(ClearSolutions):
    """nbgrader's ClearSolutions, which also knows cells that ship something else than Python.

    A `%%ship project.yaml` cell is a Python cell to nbgrader, but `raise NotImplementedError()` is not YAML. The magic
    line always stays, also where the whole cell is the solution.
    """

    def preprocess_cell(self, cell: NotebookNode, resources, cell_index: int):
        """Replace a cell's solution; see nbgrader."""
        name = language_of(cell.source) if cell.cell_type == "code" else None
        if name is None:
            return super().preprocess_cell(cell, resources, cell_index)
        magic, _, body = cell.source.lstrip().partition("\n")
        whole = self.begin_solution_delimeter not in body
        if whole and not utils.is_solution(cell):
            return cell, resources
        language = resources["language"]
        before, self.code_stub = self.code_stub, {**self.code_stub, language: stub(name, self.code_stub[language])}
        try:
            cell.source = body
            cell, resources = super().preprocess_cell(cell, resources, cell_index)
            cell.source = f"{magic}\n{cell.source}"
        finally:
            self.code_stub = before
        return cell, resources


def language_of(source: str) -> str | None:
    """A file name that tells the language of a cell that is not the notebook's Python: what it ships, or a script."""
    magic = source.split(maxsplit=1)[:1]
    return notebooks.shipped_name(source) or ("commands.sh" if magic in (["%%bash"], ["%%sh"]) else None)


def stub(name: str, python: str) -> str:
    """The stub for a shipped file: Python's own for a module, a comment or a line of prose for others."""
    suffix = PurePosixPath(name).suffix
    if suffix == ".py":
        return python
    if suffix == ".json":
        return "{}"
    return PROSE if suffix in (".md", ".rst", ".txt", ".html") else COMMENT
