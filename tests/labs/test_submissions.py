"""Kept submissions: what real people hand in, each with its exact points and the messages that it should show.

To add one, copy a file in `wrong/` or `right/` of a lab; docs/authoring.md describes its form.
"""

from __future__ import annotations

import ast
import re

import nbformat
import pytest

from course import shipping
from course.labs import description, notebooks, runner, running

from .conftest import LIVE

WRONG_PER_LAB = 6
RIGHT_PER_LAB = 3
SHIPS = {"answers", "artifact", "draft", "folder", "save", "ship_repository", "shipped"}  # in a cell that ships


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the first to ask runs the notebooks before it, too
def test_a_kept_submission_earns_exactly_its_points(kept, stages, examiner, tmp_path, monkeypatch):
    """A kernel runs only where an answer is made by a cell; an answer that is a file is written where it belongs.

    As when grading, the notebook's own cells have no cluster; questions have.
    """
    monkeypatch.setenv(LIVE, "off")
    case, original = kept.case, notebooks.read(kept.chapter.path)
    submitted, questions = _what_it_reaches(running.with_answers(original, case["cells"]), case)
    files = _as_files(original, submitted, case)
    folder = stages.copy(kept.lab, kept.chapter.place + (files is not None), tmp_path)
    if files is None:
        with runner.local_manager() as manager:
            runner.run(submitted, folder, runner.Policy(manager, runner.environment()))
    else:
        monkeypatch.setenv("COURSE_SHIPPED", str(folder / "shipped"))
        for line, body in files:
            shipping.ship_cell(line, body)
    with examiner(folder) as asked:
        judged = running.judged(running.examined(questions, asked))
    assert judged
    report = "\n".join(cell.judgement.text for cell in judged)
    expected = {cell.grade_id: cell.judgement.points for cell in judged} | case["grades"]
    assert {cell.grade_id: cell.judgement.score for cell in judged} == expected, report
    missing = [text for text in case["messages"] if _plain(text) not in _plain(report)]
    assert missing == [], report


def test_a_kept_submission_names_cells_that_exist_and_says_what_it_is_about(kept):
    case, original = kept.case, notebooks.read(kept.chapter.path)
    answers = {notebooks.grade_id(cell) for cell in original.cells if notebooks.is_a(cell, "solution")}
    worth = {notebooks.grade_id(c): c.metadata.nbgrader.points for c in original.cells if notebooks.is_graded(c)}
    assert set(case["cells"]) <= answers
    assert set(case["grades"]) <= set(worth)
    assert len(str(case["says"]).split()) >= 3
    if kept.path.parent.name == "right":
        assert case["grades"] == {}, "a right answer earns all points"
    else:
        assert any(case["grades"][name] < worth[name] for name in case["grades"]), "a wrong answer loses some points"
        assert case["messages"], "a wrong answer shows a message"


def test_a_lab_keeps_enough_wrong_and_right_submissions(lab):
    if "fixtures" in lab.submissions.parts or description.is_draft(lab.folder):
        wrong, right = 1, 1  # the very small lab, and one that is being written
    else:
        wrong, right = WRONG_PER_LAB, RIGHT_PER_LAB
    assert len(list(lab.submissions.glob("wrong/*.yaml"))) >= wrong
    assert len(list(lab.submissions.glob("right/*.yaml"))) >= right


def _what_it_reaches(notebook, case):
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


def _as_files(original, submitted, case):
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


def _plain(text: str) -> str:
    return " ".join(str(text).split())
