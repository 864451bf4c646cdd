"""The normal form of notebooks: what git keeps of them. Used by authors, release, pre-commit and the tests.

Two notebooks that say the same have the same bytes: nbformat 4.5, readable cell ids that stay as they are, no execution
counts or timings, only metadata that means something.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.base.budgets import budget
from course.base.errors import UserError

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
CELL_METADATA = ("deletable", "editable", "jupyter", "nbgrader", "slideshow", "tags")
NBGRADER_DEFAULTS = {"grade": False, "locked": False, "schema_version": 3, "solution": False, "task": False}

MAX_CELLS = 2_000  # of a notebook that somebody else wrote
MAX_VALUES = 5_000_000  # of all kinds, in its JSON

_RANDOM_ID = re.compile(r"[0-9a-f]{8}|[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-zA-Z]{10,12}")
_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAGIC = re.compile(r"%%(?:ship|draft)\s+(?:--no-run\s+)?(\S+)")


class NotebookError(UserError):
    """A notebook cannot be read or is not as it should be; the message says what to do."""


def read(path: Path) -> NotebookNode:
    """A notebook as nbformat 4.

    Raises:
        NotebookError: it is missing or is not a notebook.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NotebookError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotebookError(f"{path}: is not UTF-8 text; save it again from JupyterLab") from None
    return parse(text, str(path))


def parse(text: str, name: str = "the notebook") -> NotebookNode:
    """Notebook text as nbformat 4; see :func:`read`."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing cell ids: normalise() gives them
            return nbformat.reads(text, as_version=4)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotebookError(f"{name}: is not a notebook that can be read ({reason})") from None


def without_outputs(text: str) -> NotebookNode:
    """A notebook that somebody else wrote, as nbformat 4 without its outputs, read within bounds.

    nbformat looks at each cell and output at its leisure; so the outputs, which nobody needs, are taken out before.

    Raises:
        ValueError: it is no notebook, or has too many cells or values.
        Exception: whatever nbformat makes of it.
    """
    import warnings

    with budget(megabytes=1024), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing cell ids and the like: whoever reads it mends them
        if sum(map(text.count, ",[{")) > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values")
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise ValueError("it is no JSON object")
        cells = list(_submitted_cells(plain))
        if len(cells) > MAX_CELLS:
            raise ValueError(f"it has more than {MAX_CELLS} cells")
        for cell in cells:
            if isinstance(cell, dict) and "outputs" in cell:
                cell["outputs"] = []
        short = json.dumps(plain)
        if sum(map(short.count, ",[{")) > MAX_VALUES // 10:
            raise ValueError(f"it holds more than {MAX_VALUES // 10:,} values besides its outputs")
        return nbformat.reads(short, as_version=4)


def _submitted_cells(plain: dict[str, Any]) -> Iterator[Any]:
    """The cells in the JSON of a notebook of any version."""
    worksheets = plain.get("worksheets")
    for holder in [plain, *(worksheets if isinstance(worksheets, list) else [])]:
        if isinstance(holder, dict) and isinstance(holder.get("cells"), list):
            yield from holder["cells"]


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in normal form."""
    path.write_text(dumps(notebook), encoding="utf-8", newline="\n")


def dumps(notebook: NotebookNode) -> str:
    """The text of a notebook in normal form."""
    return nbformat.writes(normalise(notebook), version=4).rstrip("\n") + "\n"


def difference(path: Path, wanted: NotebookNode | None = None) -> list[str]:
    """The first lines in which a file differs from its normal form; empty when it is in normal form.

    Args:
        path: the file.
        wanted: what it should hold; by default what it does.

    Raises:
        NotebookError: it is not a notebook.
    """
    import difflib

    notebook = wanted if wanted is not None else read(path)
    text = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(text.splitlines(), dumps(notebook).splitlines(), "as it is", "normal form", n=1)
    return list(lines)[:20]


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook in normal form.

    Args:
        notebook: nbformat 4; cells may lack ids.

    Raises:
        NotebookError: two cells have the same grade id.
    """
    result = nbformat.v4.new_notebook()
    result.nbformat_minor = 5
    result.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    result.cells = [_cell(cell) for cell in notebook.cells]
    while result.cells and not result.cells[-1].source.strip() and not result.cells[-1].metadata.get("nbgrader"):
        result.cells.pop()  # the empty cell that JupyterLab leaves at the end
    for cell, name in zip(result.cells, _ids(notebook, result.cells), strict=True):
        cell.id = name
    return result


def grade_id(cell: NotebookNode) -> str | None:
    """The nbgrader id of a cell, or None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_graded(cell: NotebookNode) -> bool:
    """A code cell whose value is a score."""
    return cell.cell_type == "code" and is_a(cell, "grade") and not is_a(cell, "solution")


def is_a(cell: NotebookNode, role: str) -> bool:
    """Whether nbgrader's metadata give a cell the role "grade", "solution", "locked" or "task"."""
    return bool(cell.metadata.get("nbgrader", {}).get(role))


def shipped_name(source: str) -> str | None:
    """The file that a `%%ship` or `%%draft` cell writes, or None for an ordinary cell."""
    match = _MAGIC.match(source.lstrip())
    return match.group(1) if match else None


def headings(source: str) -> Iterator[tuple[int, str]]:
    """The headings of a Markdown cell: level, text. Code blocks are skipped."""
    fence = None
    for line in source.splitlines():
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and fence is None:
            fence = mark.group(1)[:3]
        elif mark and mark.group(1).startswith(fence or ""):
            fence = None
        elif fence is None and (found := re.match(r"(#{1,6})\s+(.*?)\s*#*\s*$", line)):
            yield len(found.group(1)), found.group(2)


def _cell(cell: NotebookNode) -> NotebookNode:
    metadata = {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key) not in (None, [], {}, "")}
    if "nbgrader" in metadata:
        metadata["nbgrader"] = _nbgrader(dict(metadata["nbgrader"]))
    if "tags" in metadata:
        metadata["tags"] = sorted(set(metadata["tags"]))
    plain: dict[str, Any] = {"cell_type": cell.cell_type, "metadata": metadata}
    plain["source"] = "\n".join(line.rstrip() if cell.cell_type == "code" else line for line in _lines(cell.source))
    if cell.get("attachments"):
        plain["attachments"] = cell.attachments
    if cell.cell_type == "code":
        plain["execution_count"] = None
        plain["outputs"] = _outputs(cell.get("outputs", []))
    return nbformat.from_dict(plain)


def _lines(source: str) -> list[str]:
    lines = source.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _nbgrader(given: dict[str, Any]) -> dict[str, Any]:
    complete = {**NBGRADER_DEFAULTS, **given, "schema_version": NBGRADER_DEFAULTS["schema_version"]}
    if complete["task"] or (complete["grade"] and not complete["solution"]):
        complete["locked"] = True
    if "points" in complete and float(complete["points"]).is_integer():
        complete["points"] = int(complete["points"])
    return complete


def _outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs without counts; what was printed in several pieces to the same stream becomes one."""
    kept: list[NotebookNode] = []
    for output in outputs:
        output = nbformat.from_dict({key: value for key, value in output.items() if key != "transient"})
        if output.output_type == "execute_result":
            output.execution_count = None
        last = kept[-1] if kept else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text = "".join(last.text) + "".join(output.text)
            continue
        kept.append(output)
    return kept


def _ids(notebook: NotebookNode, cells: list[NotebookNode]) -> list[str]:
    """One id a cell: its grade id; else the readable one it has; else one from the section that it stands in."""
    graded = [grade_id(cell) for cell in cells]
    twice = {name for name in graded if name and graded.count(name) > 1}
    if twice:
        raise NotebookError(f"two cells have the grade id {sorted(twice)[0]!r}; give one of them another")
    given = [original.get("id") for original in notebook.cells[: len(cells)]]
    kept = [name if name and _VALID_ID.fullmatch(name) and not _looks_random(name) else None for name in given]
    taken = {name for name in graded if name}
    ids: list[str] = []
    for position, name in enumerate(kept):
        if graded[position] is not None and _VALID_ID.fullmatch(graded[position]):
            kept[position] = graded[position]
        elif name is not None:
            kept[position] = None if name in taken else name
            taken.add(name)
    section = "start"
    for cell, name in zip(cells, kept, strict=True):
        found = [_slug(text) for _, text in headings(cell.source)] if cell.cell_type == "markdown" else []
        if name is None:
            name = _free(found[0] if found else section, taken)
            taken.add(name)
        ids.append(name)
        section = found[-1] if found else section  # of the cells that follow
    return ids


def _looks_random(name: str) -> bool:
    if not _RANDOM_ID.fullmatch(name):
        return False
    return bool(re.search(r"\d", name)) or re.fullmatch(r"[a-f]{8}", name) is not None


def _slug(text: str) -> str:
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-") or "section"


def _free(section: str, taken: set[str]) -> str:
    if section not in taken:
        return section
    number = 2
    while f"{section}-{number}" in taken:
        number += 1
    return f"{section}-{number}"
