"""Submitted notebooks that were mangled, each made ready to be graded, the same way every time."""

from __future__ import annotations

import json

import nbformat
import pytest

from course.grading.pipeline import restore
from course.grading.pipeline.assignment import SourceCell, SourceNotebook

TEST = "check()\n### BEGIN HIDDEN TESTS\ncheck_more()\n### END HIDDEN TESTS\nquestion.result()"
SEEN = "check()\nquestion.result()"


def source_cell(name, cell_type="code", source="", points=None, **roles):
    plain = {"grade": False, "solution": False, "task": False, "locked": False, **roles}
    return SourceCell(name, cell_type, source, f"sum of {name}", points=points, **plain)


KEY = SourceNotebook(
    "01_answer",
    {"name": "python3", "display_name": "Python 3", "language": "python"},
    (
        source_cell("a-answer", source="# YOUR CODE HERE", solution=True),
        source_cell("a", source=TEST, points=4.0, grade=True, locked=True),
        source_cell("b", "markdown", "Why?", points=2.0, grade=True, solution=True),
        source_cell("c-answer", source="# YOUR CODE HERE", solution=True),
        source_cell("c", source=TEST.replace("check", "see"), points=3.0, grade=True, locked=True),
        source_cell("d", "markdown", "A task", points=1.0, task=True, locked=True),
    ),
)


def cell(name=None, text="", kind="code", **marks):
    metadata = {"nbgrader": {"grade_id": name, "schema_version": 3, **marks}} if name else {}
    made = {"cell_type": kind, "metadata": metadata, "source": text}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def good():
    """What a student hands in who did nothing odd."""
    return [
        cell(None, "# A heading", "markdown"),
        cell("a-answer", "mine = 1", solution=True),
        cell("a", SEEN, grade=True, locked=True, points=4),
        cell("b", "Because.", "markdown", grade=True, solution=True, points=2),
        cell("c-answer", "mine = 2", solution=True),
        cell("c", SEEN.replace("check", "see"), grade=True, locked=True, points=3),
        cell("d", "A task", "markdown", task=True, locked=True, points=1),
    ]


def book(cells, **more):
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}


def restored(cells, **more):
    """The restored notebook, and the notes; it is the same twice, valid, and has every graded cell once."""
    data = json.dumps(book(cells, **more)).encode()
    notebook, notes = restore.restore(restore.read(data, "n.ipynb"), KEY)
    again, notes_again = restore.restore(restore.read(data, "n.ipynb"), KEY)
    assert (notebook, notes) == (again, notes_again)
    nbformat.validate(notebook)
    graded = [c.metadata.nbgrader for c in notebook.cells if c.metadata.get("nbgrader", {}).get("points")]
    assert {marks.grade_id: marks.points for marks in graded} == {"a": 4.0, "b": 2.0, "c": 3.0, "d": 1.0}
    assert len(graded) == 4
    for c in notebook.cells:
        if c.metadata.get("nbgrader", {}).get("grade_id") in ("a", "c"):
            assert c.source in (TEST, TEST.replace("check", "see"))
            assert c.cell_type == "code"
    return notebook, notes


def order(notebook):
    return [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]


def test_an_ordinary_submission_gets_its_hidden_tests_back_and_no_remark():
    notebook, notes = restored(good())
    assert notes == []
    assert order(notebook) == ["a-answer", "a", "b", "c-answer", "c", "d"]
    assert [c.source for c in notebook.cells][1] == "mine = 1"
    assert notebook.cells[2].source == TEST


def without(*names):
    return [c for c in good() if c["metadata"].get("nbgrader", {}).get("grade_id") not in names]


def changed(name, **values):
    cells = good()
    for c in cells:
        if c["metadata"].get("nbgrader", {}).get("grade_id") == name:
            marks = values.pop("marks", None)
            c.update(values)
            if marks is not None:
                c["metadata"]["nbgrader"].update(marks)
    return cells


OUTPUT = {"output_type": "stream", "name": "stdout", "text": "x" * 5_000_000}
MANGLED = {
    "no cells at all": ([], "was missing; it was added again"),
    "a grade cell deleted": (without("a"), "the cell a was missing; it was added again"),
    "all grade cells deleted": (without("a", "c"), "the cell c was missing"),
    "answer and grade cell deleted": (without("a-answer", "a"), "the cell a was missing"),
    "all answers deleted": (without("a-answer", "b", "c-answer"), "the cell b was missing"),
    "the task deleted": (without("d"), "the cell d was missing"),
    "a locked cell edited": (changed("a", source="4"), "the locked cell a was changed"),
    "a locked cell emptied": (changed("a", source=""), "the locked cell a was changed"),
    "a grade cell made markdown": (changed("a", cell_type="markdown"), "was changed to markdown; it is code again"),
    "a grade cell made raw": (changed("a", cell_type="raw"), "was changed to raw; it is code again"),
    "an answer made markdown": (changed("a-answer", cell_type="markdown"), "it is code again"),
    "a grade cell twice": ([*good(), cell("a", "4", grade=True, points=4)], "the cell a is there more than once"),
    "an answer twice": ([*good(), cell("a-answer", "x = 1")], "the cell a-answer is there more than once"),
    "everything twice": (good() + good(), "more than once"),
    "more points": (changed("a", marks={"points": 400}), ""),
    "negative points": (changed("a", marks={"points": -4}), ""),
    "points that are no number": (changed("a", marks={"points": "many"}), ""),
    "a grade cell called a solution": (changed("a", marks={"solution": True, "grade": False}), ""),
    "an answer called a grade cell": (changed("a-answer", marks={"grade": True, "points": 9}), ""),
    "the checksum forged": (changed("b", marks={"checksum": "sum of b"}), ""),
    "a grade cell of another lab": ([*good(), cell("z", "99", grade=True, points=99)], ""),
    "another student's id": (changed("a", marks={"grade_id": "c"}), "the cell a was missing"),
    "marks that are a list": ([*good(), {**cell(None, "x"), "metadata": {"nbgrader": [1]}}], ""),
    "an id that is a number": ([*good(), {**cell(None, "x"), "metadata": {"nbgrader": {"grade_id": 7}}}], ""),
    "metadata lost": ([{**c, "metadata": {}} for c in good()], "the cell a was missing"),
    "foreign metadata": ([{**c, "metadata": c["metadata"] | {"colab": {"id": "x"}}} for c in good()], ""),
    "reversed": (good()[::-1], ""),
    "a source in lines": ([{**c, "source": c["source"].splitlines(keepends=True)} for c in good()], ""),
    "an answer split in two": ([*good()[:2], cell(None, "mine = 3"), *good()[2:]], ""),
    "huge outputs": ([{**c, "outputs": [OUTPUT]} if "outputs" in c else c for c in good()], ""),
    "lone surrogates": (changed("a-answer", source="x = '\ud800'"), ""),
    "the same cell id everywhere": ([{**c, "id": "same"} for c in good()], ""),
    "no ids": (good(), ""),
}


@pytest.mark.parametrize("case", MANGLED)
def test_it_is_graded_as_far_as_it_can_be(case):
    cells, note = MANGLED[case]
    _, notes = restored(cells)
    assert (note in " | ".join(notes)) if note else notes == []


def test_added_cells_stand_where_they_belong():
    assert order(restored(without("a"))[0]) == ["a-answer", "a", "b", "c-answer", "c", "d"]
    assert order(restored(without("a-answer", "a"))[0]) == ["a", "b", "c-answer", "c", "d"]
    assert order(restored([])[0]) == ["a", "b", "c", "d"]


def test_of_two_copies_the_last_one_counts():
    notebook, _ = restored([*good(), cell("b", "Another reason.", "markdown")])
    marked = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "b"]
    assert [c.source for c in marked] == ["Another reason."]


def test_a_cell_that_only_claims_to_be_graded_is_the_students():
    notebook, _ = restored([*good(), cell("z", "answers()", grade=True, locked=True, points=50)])
    assert "nbgrader" not in notebook.cells[-1].metadata
    notebook, _ = restored(changed("a-answer", marks={"grade": True, "locked": True}))
    assert notebook.cells[1].metadata.nbgrader.grade is False


def test_outputs_that_were_handed_in_are_gone():
    forged = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "4"}}
    notebook, _ = restored(changed("a", outputs=[forged]))
    assert all(c.get("outputs", []) == [] for c in notebook.cells)


def test_another_kernel_is_replaced_by_the_labs():
    notebook, _ = restored(good(), metadata={"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}})
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_notebook_of_version_three_is_read():
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1", "outputs": [], "language": "python"}]}],
    }
    notebook, _ = restore.restore(restore.read(json.dumps(old).encode(), "n.ipynb"), KEY)
    assert "x = 1" in [c.source for c in notebook.cells]


UNREADABLE = {
    "empty": (b"", "n.ipynb is empty; open it in JupyterLab"),
    "blank": (b" \n", "is empty"),
    "cut off": (json.dumps(book(good())).encode()[:200], "is not a notebook"),
    "not JSON": (b"print('hello')", "is not a notebook"),
    "a zip": (b"PK\x03\x04" + bytes(100), "is not"),
    "UTF-16": (json.dumps(book(good())).encode("utf-16"), "is not UTF-8 text"),
    "a list": (b"[1, 2]", "is not a notebook"),
    "a number": (b"7", "is not a notebook"),
    "another JSON": (b'{"name": "package"}', "is not a notebook"),
    "cells that are none": (
        b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        "has no cells|not a note",
    ),
    "deep": (b"[" * 100_000, "is not a notebook"),
    "from the future": (b'{"cells": [], "metadata": {}, "nbformat": 9, "nbformat_minor": 0}', "is not a notebook"),
    "too large": (b" " * (restore.MAX_BYTES + 1), "is larger than 20 MiB"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_notebook_is_refused_with_words_for_the_student(case):
    data, words = UNREADABLE[case]
    with pytest.raises(restore.Unreadable, match=words):
        restore.read(data, "n.ipynb")


def test_a_byte_order_mark_is_no_trouble():
    assert restore.read(b"\xef\xbb\xbf" + json.dumps(book(good())).encode(), "n.ipynb").cells


def test_a_graded_cell_without_its_marks_goes_before_the_next_that_is_known_or_to_the_end():
    """What it looks at was shipped before, then."""
    bare = [{**c, "metadata": {}} for c in good()]
    assert [c.source for c in restored(bare)[0].cells][:7] == [c["source"] for c in good()]
    assert order(restored(bare)[0]) == ["a", "b", "c", "d"]
    half = [*bare[:3], *good()[3:]]
    notebook, _ = restored(half)
    assert order(notebook) == ["a", "b", "c-answer", "c", "d"]
    assert notebook.cells[3].metadata.nbgrader.grade_id == "a"


def test_a_notebook_whose_source_names_no_kernel_gets_the_courses():
    import dataclasses

    data = json.dumps(book(good())).encode()
    notebook, _ = restore.restore(restore.read(data, "n.ipynb"), dataclasses.replace(KEY, kernelspec={}))
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.display_name
