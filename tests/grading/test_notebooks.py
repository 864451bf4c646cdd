"""The normal form of notebooks."""

from __future__ import annotations

import json
import subprocess
import sys

import nbformat
import pytest

from course.labs import notebooks

ANSWER = {"grade_id": "01-1-sum-answer", "solution": True}
GRADE = {"grade_id": "01-1-sum", "grade": True, "points": 4.0}


def test_what_an_editor_leaves_behind_is_gone(make_notebook):
    notebook = make_notebook(("md", "# Title"), ("py", "1 + 1  \n"), ("py", ""))
    notebook.metadata = nbformat.from_dict({"language_info": {"name": "python", "version": "3.11.2"}, "widgets": {}})
    notebook.cells[1].metadata = nbformat.from_dict(
        {"scrolled": True, "execution": {"iopub.busy": "now"}, "tags": ["b", "a"]}
    )
    notebook.cells[1].execution_count = 7
    notebook.cells[1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=7)]
    result = json.loads(notebooks.dumps(notebook))
    assert result["metadata"] == {"kernelspec": notebooks.KERNELSPEC, "language_info": notebooks.LANGUAGE}
    assert (result["nbformat"], result["nbformat_minor"]) == (4, 5)
    assert len(result["cells"]) == 2
    code = result["cells"][1]
    assert (code["execution_count"], code["outputs"][0]["execution_count"]) == (None, None)
    assert code["metadata"] == {"tags": ["a", "b"]}
    assert code["source"] == ["1 + 1"]


def test_normalising_twice_changes_nothing_more(make_notebook):
    notebook = make_notebook(
        ("md", "# A b\n## C"), ("py", "1"), ("py", "2", ANSWER), ("md", "text"), ("py", "3", GRADE)
    )
    once = notebooks.dumps(notebook)
    assert notebooks.dumps(notebooks.parse(once)) == once
    assert once.endswith("}\n")


def test_ids_come_from_grade_ids_and_headings(make_notebook):
    notebook = make_notebook(
        ("md", "# Train & compare"), ("md", "## Über [alles](x.md)"), ("py", "1"), ("py", "2", ANSWER), ("py", "3")
    )
    ids = [cell.id for cell in notebooks.normalise(notebook).cells]
    assert ids == ["train-compare", "uber-alles", "uber-alles-2", "01-1-sum-answer", "uber-alles-3"]


def test_a_readable_id_stays_when_the_text_changes(make_notebook):
    first = notebooks.normalise(make_notebook(("md", "# Old title"), ("py", "1")))
    first.cells[0].source = "# New title"
    first.cells.insert(1, nbformat.v4.new_code_cell("0"))
    ids = [cell.id for cell in notebooks.normalise(first).cells]
    assert ids[0] == "old-title"
    assert ids[2] == "old-title-2"
    assert len(set(ids)) == 3


def test_a_copied_cell_gets_an_id_of_its_own(make_notebook):
    first = notebooks.normalise(make_notebook(("md", "# Title"), ("py", "1")))
    first.cells.append(nbformat.from_dict(first.cells[1]))
    ids = [cell.id for cell in notebooks.normalise(first).cells]
    assert len(set(ids)) == 3
    assert ids[1] == "title-2"


def test_a_heading_in_a_code_block_is_no_heading():
    source = "```\n# comment\n```\n## Real ##\n~~~\n# other\n~~~"
    assert list(notebooks.headings(source)) == [(2, "Real")]


def test_the_roles_of_cells_are_completed(make_notebook):
    task = {"grade_id": "t", "task": True, "points": 3}
    result = notebooks.normalise(make_notebook(("py", "1", GRADE), ("md", "x", task), ("py", "2", ANSWER)))
    grade, tasked, answer = (cell.metadata.nbgrader for cell in result.cells)
    assert dict(grade) == {
        "grade": True,
        "grade_id": "01-1-sum",
        "locked": True,
        "points": 4,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    assert tasked.locked
    assert not answer.locked


def test_the_same_grade_id_twice_is_refused(make_notebook):
    with pytest.raises(notebooks.NotebookError, match="'01-1-sum'"):
        notebooks.normalise(make_notebook(("py", "1", GRADE), ("py", "2", GRADE)))


def test_pieces_of_one_stream_become_one(make_notebook):
    notebook = make_notebook(("py", "1"))
    stream = [
        nbformat.v4.new_output("stream", name=name, text=text) for name, text in (("stdout", "a"), ("stdout", "b"))
    ]
    notebook.cells[0].outputs = [*stream, nbformat.v4.new_output("stream", name="stderr", text="c")]
    outputs = notebooks.normalise(notebook).cells[0].outputs
    assert [(output.name, output.text) for output in outputs] == [("stdout", "ab"), ("stderr", "c")]


def test_the_original_is_not_changed(make_notebook):
    notebook = make_notebook(("py", "1"))
    notebook.cells[0].execution_count = 3
    before = nbformat.writes(notebook)
    notebooks.normalise(notebook)
    assert nbformat.writes(notebook) == before


def test_an_older_notebook_is_brought_up(tmp_path):
    path = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [], "source": ["1"]}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [cell]}))
    assert notebooks.difference(path)
    notebooks.write(notebooks.read(path), path)
    assert notebooks.difference(path) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "is not a notebook"), (b"[]", "is not a notebook"), (b"\xff\xfe", "not UTF-8"), (None, "cannot be read")],
    ids=["cut off", "a list", "binary", "missing"],
)
def test_what_is_no_notebook_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "broken.ipynb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(notebooks.NotebookError, match=reason) as raised:
        notebooks.read(path)
    assert "broken.ipynb" in str(raised.value)


@pytest.mark.timeout(300)  # two starts of jupytext
def test_a_notebook_survives_the_way_through_jupytext(course_root, tmp_path):
    path = course_root / "solutions" / "01_tiny" / "01_answer.ipynb"
    before = path.read_text()
    script = tmp_path / "01_answer.py"
    jupytext = [sys.executable, "-m", "jupytext", "-q"]
    subprocess.run([*jupytext, "--to", "py:percent", "-o", str(script), str(path)], check=True)
    assert "# %%ship project.yaml" in script.read_text()
    subprocess.run([*jupytext, "--to", "ipynb", "--update", "-o", str(path), str(script)], check=True)
    notebooks.write(notebooks.read(path), path)
    assert path.read_text() == before
