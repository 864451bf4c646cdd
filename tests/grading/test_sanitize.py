"""What an instructor's browser is shown of students' notebooks; tests/browser/test_formgrader.py tries it in one."""

from __future__ import annotations

import base64

import nbformat
import pytest

from course.grading.pipeline import outcomes, restore, sanitize, submission
from course.grading.pipeline.assignment import SourceCell, SourceNotebook
from course.grading.pipeline.submission import Notebook, SubmissionOutcome

PNG = base64.b64encode(b"\x89PNG").decode()


@pytest.mark.parametrize(
    "text",
    [
        "# A heading\n\nplain *words*, `a < b`, [a link](https://x.org), <https://x.org> & more",
        "| a | b |\n|---|---:|\n| 1 | 2 |\n\n- x\n- y\n\n> quoted\n\n```python\nif a < b: pass\n```\n",
        "![a plot](shipped/plot.png)",
    ],
)
def test_ordinary_markdown_stays_as_it_was_written(text):
    assert sanitize.markdown(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello *you*<script>x()</script>", "<p>Hello <em>you</em></p>"),
        ("<b onclick=x()>bold</b>", "<b>bold</b>"),
        ("[x](javascript:x())", "<a rel"),
        ("[x](/api/shutdown)", "<a rel"),
        ("![x](https://x.org/spy.png)", '<img alt="x">'),
        ("![x](../../other/plot.png)", '<img alt="x">'),
        ("<form action=/api><input></form>words", "words"),
    ],
)
def test_what_a_browser_would_run_or_load_is_taken_out(text, shown):
    made = sanitize.markdown(text)
    assert shown in made
    for word in ("script", "onclick", "javascript", "/api", "https", "form"):
        assert word not in made


def test_cleaned_markdown_holds_nothing_that_is_rendered_once_more():
    made = sanitize.markdown("<p>x</p>\n\n`[a](javascript:b)` <!-- c -->\n\n    <script>d</script>\n")
    assert "\n" not in made
    assert not set("[]()`*\\") & set(made.replace("<div>", ""))
    assert made.removeprefix("<div>").removesuffix("</div>") in sanitize.markdown(made)


def test_long_or_deep_markdown_is_shown_as_text():
    for text in ("word " * 20_000, "[" * 5_000):
        assert sanitize.markdown(text).startswith("<div><pre>")


def test_attached_pictures_stay_and_nothing_else_that_is_attached():
    assert f"data&#58;image&#47;png&#59;base64&#44;{PNG[:4]}" in sanitize.markdown(
        "![x](attachment:x.png)", {"x.png": {"image/png": PNG}}
    )
    assert "<img" not in sanitize.markdown("![x](attachment:x.svg)", {"x.svg": {"image/svg+xml": PNG}})


def cell_with(**data):
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [
        nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"width": '1" onload="x'}})
    ]
    nb = nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "<script>"}})
    sanitize.notebook(nb)
    assert nb.metadata.language_info.name == "python"
    (output,) = nb.cells[0].outputs
    assert output.metadata == {}
    return output.data


def test_outputs_keep_text_pictures_and_clean_html():
    assert cell_with(**{"text/plain": "<x>", "image/png": PNG}) == {"text/plain": "<x>", "image/png": PNG}
    table = cell_with(**{"text/html": "<style>x</style><table><tr><td onclick=x>1</td></tr></table><script>y</script>"})
    assert table == {"text/html": "<table><tbody><tr><td>1</td></tr></tbody></table>"}
    assert cell_with(**{"image/png": 'x" onerror="y', "text/plain": "a"}) == {"text/plain": "a"}


def test_a_drawing_becomes_a_picture_of_its_own_and_other_kinds_are_named():
    (drawn,) = cell_with(**{"image/svg+xml": "<svg onload=x></svg>"}).values()
    assert drawn.startswith('<img src="data:image/svg+xml;base64,')
    assert "onload" not in drawn
    assert cell_with(**{"application/javascript": "x()"}) == {
        "text/plain": "(an output of another kind, which is not shown here: application/javascript)"
    }


def test_a_notebook_that_was_not_executed_never_reaches_the_formgrader(tmp_path):
    done = SubmissionOutcome("ada", "01_tiny", "s", "t", [Notebook("01_answer", executed='{"cells": []}')])
    files = {"01_answer.ipynb": b"raw", "02_module.ipynb": b"raw", "Extra.IPYNB": b"raw", "shipped/a.py": b"x"}
    outcomes.Store(tmp_path, "01_tiny").keep(done, files)
    folder = tmp_path / "classroom" / "autograded" / "ada" / "01_tiny"
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert there == {"01_answer.ipynb": b'{"cells": []}', "shipped/a.py": b"x"}


def test_what_a_person_judges_includes_the_cells_above_and_the_shipped_files():
    def judged(text, above, files):
        plain = {"grade": True, "solution": True, "task": False, "locked": False}
        source = SourceNotebook("n", {}, (SourceCell("why", "markdown", "", "", points=10.0, **plain),))
        mine = nbformat.v4.new_markdown_cell(text, metadata={"nbgrader": {"grade_id": "why"}})
        given = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(above), mine])
        nb, _ = restore.restore(given, source)
        done = Notebook("n")
        submission._judge(nb, done, submission._shipped(files))
        return done.cells[0].judged

    before = judged("A review.", "x = 1", {"shipped/a": b"1", "other": b"1"})
    assert judged("A review.", "x = 1", {"shipped/a": b"1", "other": b"2"}) == before
    assert judged("Another.", "x = 1", {"shipped/a": b"1"}) != before
    assert judged("A review.", "x = 2", {"shipped/a": b"1"}) != before
    assert judged("A review.", "x = 1", {"shipped/a": b"2"}) != before
    assert judged("A review.", "x = 1", {}) != before
