"""Kept submissions: what real people hand in, each with its exact points and the messages that it should show.

To add one, copy a file in `wrong/` or `right/` of a lab; docs/authoring.md describes its form.
"""

from __future__ import annotations

import ast
import re

import pytest

from course.labs import description, notebooks, running

from .conftest import LIVE

WRONG_PER_LAB = 6
RIGHT_PER_LAB = 3


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first to ask runs the notebooks before it, too
def test_a_kept_submission_earns_exactly_its_points(kept, stages, tmp_path, monkeypatch):
    """As when grading, the notebook's own cells have no cluster; grade cells have."""
    monkeypatch.setenv(LIVE, "off")
    case, chapter = kept.case, kept.chapter
    folder = stages.copy(kept.lab, chapter.place, tmp_path)
    submitted = _what_it_reaches(running.with_answers(notebooks.read(chapter.path), case["cells"]), case)
    judged = running.judged(running.execute(submitted, folder, allow_errors=True))
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
    """The notebook up to the last grade cell that judges a changed answer or loses points.

    Grade cells judge the answer before them, up to the next one. Without the grade cells above the first changed
    answer, for what they judge is the solution's, and without cells that only show something.
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
    kept, used = [], set()
    for place in range(last, -1, -1):
        cell = notebook.cells[place]
        if cell.cell_type != "code" or (place in graded and place < min(changed)):
            continue
        if names[place] is None and _only_shows(cell.source, used):
            continue
        used |= set(re.findall(r"[^\W\d]\w*", cell.source))
        kept.insert(0, cell)
    notebook.cells = kept
    return notebook


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
