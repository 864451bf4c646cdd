"""How a changed answer reaches the questions: which cells run for it, or which file it is, and which ones judge it."""

from __future__ import annotations

import ast
import re

import nbformat

from course.labs import notebooks

SHIPS = {"answers", "artifact", "draft", "folder", "save", "ship_repository", "shipped"}  # in a cell that ships


def what_it_reaches(notebook, case):
    """The cells up to the last question that judges a changed answer or loses points, and these questions.

    A question judges the answer before it, up to the next answer. Questions above the first changed answer judge what
    is the solution's, and cells that only show something change nothing: both are left out.
    """
    names = [notebooks.grade_id(cell) for cell in notebook.cells]
    graded = [place for place, cell in enumerate(notebook.cells) if notebooks.is_graded(cell)]
    changed = [names.index(name) for name in case["cells"]]
    others = [place for place, cell in enumerate(notebook.cells) if notebooks.is_a(cell, "solution")]
    others = [place for place in others if place not in changed]
    judging = []
    for answer in changed:
        first = min((place for place in graded if place > answer), default=answer)
        end = min((place for place in others if place > first), default=len(names))
        judging.append(max((place for place in graded if first <= place < end), default=answer))
    last = max([*judging, *(names.index(name) for name in case["grades"])])
    questions = nbformat.from_dict(notebook)
    questions.cells = [questions.cells[place] for place in graded if min(changed) < place <= last]
    kept, used = [], set()
    for place in range(last, -1, -1):
        cell = notebook.cells[place]
        if cell.cell_type != "code" or place in graded:
            continue
        if names[place] is None and _only_shows(cell.source, used):
            continue
        used |= set(re.findall(r"[^\W\d]\w*", cell.source))
        kept.insert(0, cell)
    notebook.cells = kept
    return notebook, questions


def as_files(original, submitted, case):
    """The changed answers as files: what stands behind `%%ship`, and the text; None where cells must run for them.

    They must where a changed answer is no file, or a file that another cell of the notebook ships too, and where a cell
    below it ships something else than a file: it may use what the changed cell would have defined.
    """
    files = [re.fullmatch(r"%%ship([^\n]*)\n(.*)", source, re.DOTALL) for source in case["cells"].values()]
    shipped = [notebooks.shipped_name(cell.source) for cell in original.cells]
    if not all(files) or any(shipped.count(notebooks.shipped_name(source)) > 1 for source in case["cells"].values()):
        return None
    places = [place for place, cell in enumerate(submitted.cells) if notebooks.grade_id(cell) in case["cells"]]
    below = [cell.source for cell in submitted.cells[min(places) :] if not cell.source.startswith("%%ship")]
    ships = any(SHIPS & set(re.findall(r"[^\W\d]\w*", source)) for source in below)
    return None if ships else [(file[1], file[2]) for file in files]


def _only_shows(source, used):
    """Whether a cell has no effect but what it displays: it sets no name that is used later, and calls nothing."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic
        return False
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            names = [target.id for target in node.targets]
        elif isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) not in ("print", "show"):
                return False
            continue
        else:
            return False
        if used & set(names):
            return False
    return True
