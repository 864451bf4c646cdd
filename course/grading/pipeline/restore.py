"""Brings a submitted notebook back into a form that can be graded, whatever was done to it. Used before it is run.

What nbgrader's sanitising preprocessors do (clear outputs, deduplicate ids, restore locked cells, add missing ones),
from plain data instead of a database, for notebooks that may be mangled. The same input gives the same notebook.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbformat import NotebookNode

from course.base.texts import readable_tree
from course.grading.pipeline.assignment import SourceCell, SourceNotebook
from course.labs import notebooks
from course.labs.notebooks import KERNELSPEC

MAX_BYTES = 20 * 2**20


class Unreadable(ValueError):
    """What was handed in is no notebook; the message is for the student."""


def read(data: bytes, name: str) -> NotebookNode:
    """A notebook from the bytes that were handed in, of any version.

    Raises:
        Unreadable: it is no notebook; the message says what to do.
    """
    again = "open it in JupyterLab, save it and hand it in again"
    if len(data) > MAX_BYTES:
        raise Unreadable(
            f"{name} is larger than {MAX_BYTES >> 20} MiB; clear its outputs, save it and hand it in again"
        )
    if not data.strip():
        raise Unreadable(f"{name} is empty; {again}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable(f"{name} is not UTF-8 text; {again}") from None
    try:
        notebook = notebooks.without_outputs(text)
    except Exception as error:  # whatever nbformat makes of it
        reason = str(error).strip().partition("\n")[0][:120]
        raise Unreadable(f"{name} is not a notebook ({reason}); {again}") from None
    if "\\ud" in text.lower() or "\\u0000" in text or "\0" in text:  # half a character, or none
        notebook = nbformat.from_dict(readable_tree(notebook))
    if not isinstance(notebook.get("cells"), list):
        raise Unreadable(f"{name} has no cells; {again}")
    return notebook


def restore(submitted: NotebookNode, key: SourceNotebook) -> tuple[NotebookNode, list[str]]:
    """A submitted notebook with the lab's own grade cells, ready to be run.

    Answers stay as they are. Locked and graded cells get their source and points back; those that are missing are
    added where they belong; of a cell that is there twice the last one counts; marks of grading that the lab does not
    know are removed.

    Args:
        submitted: it is not changed.
        key: what the lab's notebook holds.

    Returns:
        A new notebook in nbformat 4.5, and what was mended, each as a sentence.
    """
    known, notes = key.by_name(), []
    cells = [cell for cell in (_plain(cell) for cell in submitted.cells) if cell is not None]
    last = {name: place for place, cell in enumerate(cells) if (name := _name(cell)) in known}
    for place, cell in enumerate(cells):
        name = _name(cell)
        if name is not None and last.get(name) != place:
            cell.metadata.pop("nbgrader")
            if name in known:
                notes.append(f"the cell {name} is there more than once; the last one counts")
    cells = [_mended(cell, known[_name(cell)], notes) if _name(cell) in known else cell for cell in cells]
    _add_missing(cells, key, notes)
    result = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": key.kernelspec or KERNELSPEC})
    result.nbformat_minor = 5
    for number, cell in enumerate(result.cells):
        cell.id = f"cell-{number}"
    return result, notes


def _plain(cell: Any) -> NotebookNode | None:
    """A cell with nothing but its kind, its source and nbgrader's marks; None for what is no cell."""
    if not isinstance(cell, dict):
        return None
    text = cell.get("source", "")
    if isinstance(text, list):
        text = "".join(part for part in text if isinstance(part, str))
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }.get(cell.get("cell_type"))
    if make is None or not isinstance(text, str):
        return None
    result = make(text.encode("utf-8", "replace").decode())
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(marks, dict) and isinstance(marks.get("grade_id"), str):
        result.metadata["nbgrader"] = {"grade_id": marks["grade_id"]}
    if isinstance(cell.get("attachments"), dict) and cell.get("cell_type") != "code":
        result.attachments = cell["attachments"]
    return result


def _name(cell: NotebookNode) -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _mended(cell: NotebookNode, source: SourceCell, notes: list[str]) -> NotebookNode:
    fixed = source.locked or (source.grade and not source.solution)
    if cell.cell_type != source.cell_type:
        notes.append(f"the cell {source.name} was changed to {cell.cell_type}; it is {source.cell_type} again")
    elif fixed and cell.source != source.source and not _only_hidden_differs(cell.source, source.source):
        notes.append(f"the locked cell {source.name} was changed; its original text is back")
    return _cell(source, source.source if fixed else cell.source)


def _only_hidden_differs(submitted: str, source: str) -> bool:
    """Whether the submitted text is the source without its hidden tests and mark scheme, as students get it."""
    from course.labs import source as rules

    try:
        given = rules.regions(source, (rules.HIDDEN, rules.MARK_SCHEME))[1]
    except ValueError:
        return False
    return [line.rstrip() for line in submitted.splitlines() if line.strip()] == [
        line.rstrip() for line in given if line.strip()
    ]


def _cell(source: SourceCell, text: str) -> NotebookNode:
    make = nbformat.v4.new_code_cell if source.cell_type == "code" else nbformat.v4.new_markdown_cell
    marks = {
        "grade": source.grade,
        "grade_id": source.name,
        "locked": source.locked,
        "schema_version": 3,
        "solution": source.solution,
        "task": source.task,
        "cell_type": source.cell_type,
        "checksum": source.checksum,
    }
    if source.points is not None:
        marks["points"] = source.points
    return make(text, metadata={"nbgrader": marks})


def _add_missing(cells: list[NotebookNode], key: SourceNotebook, notes: list[str]) -> None:
    """Add graded cells that are gone: after the nearest before them that is there, else before the nearest after them.

    Where neither is there they go to the end, so that what they look at was shipped before.
    """
    after: int | None = None
    for number, source in enumerate(key.cells):
        place = next((place for place, cell in enumerate(cells) if _name(cell) == source.name), None)
        if place is not None:
            after = place if after is None else max(after, place)
        elif source.grade or source.task:
            if after is None:
                later = {other.name for other in key.cells[number + 1 :]}
                after = next((place for place, cell in enumerate(cells) if _name(cell) in later), len(cells)) - 1
            after += 1
            cells.insert(after, _cell(source, source.source))
            notes.append(f"the cell {source.name} was missing; it was added again")
