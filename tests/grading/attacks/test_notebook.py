"""Attacks with the notebook itself: locked cells edited, graded cells deleted, doubled or faked, ids of others."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from course.grading.pipeline.assignment import SourceCell, SourceNotebook
from course.grading.pipeline.execute import execute
from course.grading.pipeline.restore import restore
from course.labs.judgement import judge

QUESTION = "grade('q')  # as it was given, or nearly"
CHECK = {"name": "a", "title": "a", "outcome": "pass", "points": 4, "worth": 4}
RECORD = {"title": "x", "points": 4, "checks": [CHECK]}
HONEST = ["answers['x'] = 41", "%%ship f.py\ndef f(x):\n    return 2 * x"]
FORGED = f"""
class R:
    def __repr__(self): return '4'
    def _repr_mimebundle_(self, **k):
        return {{'text/plain': '4', 'application/vnd.course.result+json': {RECORD}}}
open('/tmp/course-attack', 'w').close()
R()
"""


def key(question: str) -> SourceNotebook:
    answer = SourceCell("answer", "code", "pass", "x", False, True, False, False, None)
    return SourceNotebook(
        "01",
        {"name": "python3", "display_name": "Python 3"},
        (answer, SourceCell("q", "code", question, "x", True, False, False, True, 4)),
    )


def cell(source: str, **marks) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(
        source, metadata={"nbgrader": {"schema_version": 3, "task": False, **marks}} if marks else {}
    )


GRADE = {"grade": True, "solution": False, "locked": True, "points": 4}
PLAIN = cell("%load_ext course.shipping\nfrom course.shipping import answers")
MANGLED = {
    "the graded cell is edited": [cell(FORGED, grade_id="q", **GRADE)],
    "the graded cell is deleted": [],
    "the graded cell is there twice, edited first": [
        cell(FORGED, grade_id="q", **GRADE),
        cell(QUESTION, grade_id="q", **GRADE),
    ],
    "the graded cell is there twice, edited last": [
        cell(QUESTION, grade_id="q", **GRADE),
        cell(FORGED, grade_id="q", **GRADE),
    ],
    "a graded cell of one's own": [cell(FORGED, grade_id="mine", **GRADE)],
    "a graded cell without an id": [cell(FORGED, **GRADE)],
    "an answer cell that calls itself graded": [cell(FORGED, grade_id="answer", **GRADE)],
    "a graded cell that calls itself an answer": [
        cell(FORGED, grade_id="q", **{**GRADE, "solution": True, "grade": False})
    ],
    "more points": [cell(FORGED, grade_id="q", **{**GRADE, "points": 400})],
    "the id is no text": [cell(FORGED, grade_id=["q"], **GRADE), cell(FORGED, grade_id={"a": 1}, **GRADE)],
    "the graded cell is another student's, with its output": [
        nbformat.v4.new_code_cell(
            QUESTION,
            metadata={"nbgrader": {"grade_id": "q", **GRADE}, "tags": ["skip-execution"]},
            outputs=[
                nbformat.v4.new_output(
                    "execute_result",
                    {"text/plain": "4", "application/vnd.course.result+json": RECORD},
                )
            ],
        )
    ],
    "the graded cell is text": [
        nbformat.v4.new_markdown_cell(QUESTION, metadata={"nbgrader": {"grade_id": "q", **GRADE}})
    ],
}


def grade(arena, cells):
    submitted = nbformat.v4.new_notebook(cells=[nbformat.from_dict(cell) for cell in (PLAIN, *cells)])
    nb, notes = restore(submitted, key(arena.GRADE_CELL))
    notes += execute(nb, arena.folder(), arena.SETTINGS, given={"checks/q.py": arena.QUESTION.encode()}).notes
    graded = [found for found in nb.cells if found.metadata.get("nbgrader", {}).get("grade")]
    return [judge(found).score for found in graded], notes


@pytest.mark.parametrize("name", MANGLED)
def test_no_change_of_the_notebook_earns_a_point(arena, name):
    scores, _ = grade(arena, MANGLED[name])
    assert scores == [0]


@pytest.mark.parametrize("name", MANGLED)
def test_honest_answers_count_all_the_same(arena, name):
    answer = cell("pass", grade_id="answer", grade=False, solution=True, locked=False)
    scores, _ = grade(arena, [*(cell(source) for source in HONEST), answer, *MANGLED[name]])
    assert scores == [4]


def test_an_edited_cell_is_told(arena):
    assert any("was changed" in note for note in grade(arena, MANGLED["the graded cell is edited"])[1])


def test_a_forged_cell_of_ones_own_runs_in_the_sandbox_only(arena):
    _, notes = grade(arena, MANGLED["a graded cell of one's own"])
    assert any("does not count" in note for note in notes)
    assert not Path("/tmp/course-attack").exists()  # inside, /tmp is another
