"""nbgrader's own commands on the course's engine; the whole command runs in test_loop.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import nbformat
import pytest
from nbgrader.api import Gradebook

from course.base.result import CheckRecord, Outcome, Result
from course.checks.core.rendering import Displayed
from course.grading.gradebook import stock_commands
from course.grading.pipeline import submission
from course.grading.sandbox import policy
from course.labs import notebooks, release, running, source
from course.labs.judgement import judge
from course.labs.runner import Report

LAB = "01_tiny"


@pytest.fixture
def resources(class_root):
    """What nbgrader hands to a preprocessor, for a folder as autograding leaves it."""
    folder = class_root / "classroom" / "submitted" / "ada" / LAB
    (folder / "data.csv").write_text("a\n1\n")
    config = release.configuration(class_root)
    names = {"student": "ada", "assignment": LAB, "notebook": "01_answer", "db_url": config.CourseDirectory.db_url}
    return {"metadata": {"path": str(folder)}, "nbgrader": names}


@pytest.mark.timeout(300)
@pytest.mark.skipif(policy.why_not() is not None, reason=f"no sandbox: {policy.why_not()}")
def test_student_cells_see_no_notebook_and_what_they_write_stays_for_the_next(class_root, resources):
    code = "import os\nopen('made.txt', 'w').write('here')\n','.join(sorted(os.listdir()))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    notebook, _ = stock_commands.ExecuteInSandbox(config=release.configuration(class_root)).preprocess(
        notebook, resources
    )
    submission._forget_zygote()
    (output,) = notebook.cells[0].outputs
    assert output.data["text/plain"] == "'checks,data.csv,made.txt,shipped,timestamp.txt'"
    folder = class_root / "classroom" / "submitted" / "ada" / LAB
    assert (folder / "made.txt").read_text() == "here"
    assert (folder / "01_answer.ipynb").is_file()


SPY = """import os, sys
answers["sum"] = 42
seen = []
for place in {places!r}:
    try:
        seen += [os.listdir(place)] if os.path.isdir(place) else [open(place, "rb").read()]
    except OSError:
        pass
found = [os.path.join(top, name) for start in ("/tmp", "/var", "/home", "/run", "/mnt", "/opt", "/srv", "/dev")
         for top, folders, names in os.walk(start) if not top.startswith(sys.prefix) for name in folders + names
         if name.endswith((".ipynb", ".db")) or name in ("bob", "gradebook", "autograded", "classroom")]
print("SEEN", seen, found, sorted(os.listdir()), sorted(os.listdir("..")))
open("02_module.ipynb", "w").write("{{}}")"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # the whole command, for one student
@pytest.mark.skipif(policy.why_not() is not None, reason=f"no sandbox: {policy.why_not()}")
def test_nbgrader_autograde_shows_students_neither_notebooks_nor_gradebook_nor_others(class_root):
    """The cell looks where everything of this class lies, and through all that it can see."""
    room = class_root / "classroom"
    places = [class_root, room, room / "autograded", room / "autograded" / "ada" / LAB, room / "submitted" / "bob"]
    places += [room / "gradebook.db", room / "autograded" / "ada" / LAB / "01_answer.ipynb", class_root / "solutions"]
    path = room / "submitted" / "ada" / LAB / "01_answer.ipynb"
    spying = {"01-1-sum-answer": SPY.format(places=[str(place) for place in places])}
    notebooks.write(running.with_answers(notebooks.read(path), spying), path)
    command = [sys.executable, "-m", "nbgrader", "autograde", LAB, "--student", "ada"]
    with tempfile.TemporaryDirectory(prefix="ct-", dir="/tmp") as scratch:  # short, for sockets
        env = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, cwd=class_root, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        assert os.listdir(scratch) == []
    executed = notebooks.read(room / "autograded" / "ada" / LAB / "01_answer.ipynb")
    printed = next(o.text for c in executed.cells for o in c.get("outputs", []) if "SEEN" in o.get("text", ""))
    assert printed.startswith("SEEN [] [] ['shipped', 'timestamp.txt'] ['work']"), printed
    with Gradebook(f"sqlite:///{room}/gradebook.db") as book:
        assert book.find_submission(LAB, "ada").score == 90  # the notebook that it wrote over was not the one graded


def test_a_notebook_that_was_not_restored_has_no_trusted_cell_of_the_students(class_root, resources, monkeypatch):
    ran = []
    monkeypatch.setattr(stock_commands, "execute", lambda nb, *_, **__: ran.append(nb) or Report())
    monkeypatch.setattr(submission, "warm", lambda: "")
    monkeypatch.setenv("COURSE_ZYGOTE", "")
    marks = {"grade": True, "grade_id": "mine", "locked": True, "points": 40, "schema_version": 3, "solution": False}
    forged = nbformat.v4.new_code_cell("40", metadata={"nbgrader": marks | {"task": False}})
    edited = nbformat.v4.new_code_cell("40", metadata={"nbgrader": marks | {"grade_id": "01-1-sum", "task": False}})
    notebook = nbformat.v4.new_notebook(cells=[forged, edited])
    stock_commands.ExecuteInSandbox(config=release.configuration(class_root)).preprocess(notebook, resources)
    trusted = [cell.source for cell in ran[0].cells if notebooks.is_graded(cell)]
    assert len(trusted) == 2
    assert all(text.startswith("from course.checks import grade") for text in trusted)


def test_a_check_that_breaks_on_a_students_work_alone_is_settled_as_course_grade_does(
    class_root, resources, monkeypatch
):
    broken = CheckRecord("a", "it holds", Outcome.ERROR, 0, 40, cause="exception")

    def breaks(notebook, *_, **__):
        for cell in filter(notebooks.is_graded, notebook.cells):
            data = Displayed(Result("A sum", 40, (broken,)))._repr_mimebundle_()
            cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
        return Report()

    def of_solution(work, wanted):
        assert set(work.assignment.solution) >= {"01_answer.ipynb"}
        return {"01-1-sum": {"it holds": Outcome.PASS}}

    monkeypatch.setattr(stock_commands, "execute", breaks)
    monkeypatch.setattr(submission, "of_solution", of_solution)
    monkeypatch.setattr(submission, "warm", lambda: "")
    monkeypatch.setenv("COURSE_ZYGOTE", "")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    stock = stock_commands.ExecuteInSandbox(config=release.configuration(class_root))
    notebook, _ = stock.preprocess(notebook, resources)
    scores = {notebooks.grade_id(cell): judge(cell).score for cell in notebook.cells if notebooks.is_graded(cell)}
    assert scores["01-1-sum"] == 0  # the solution passes: the student's work is at fault
    assert scores["01-1-file"] is None  # nothing is known of the solution: a person looks


def test_what_a_notebook_leaves_is_what_the_next_one_finds(tmp_path):
    before = {"a.txt": b"1", "shipped/x/y": b"2", "same": b"3"}
    submission.lay_out(tmp_path / "place", before)
    (tmp_path / "place" / "01.ipynb").write_text("{}")
    after = {"same": b"3", "shipped/x": b"a file now", "new/b.txt": b"4", "01.ipynb/z": b"in the way"}
    stock_commands._take_over(before, after, tmp_path / "place")
    assert stock_commands._without_notebooks(tmp_path / "place") == {
        k: v for k, v in after.items() if k != "01.ipynb/z"
    }
    assert (tmp_path / "place" / "01.ipynb").read_text() == "{}"


def test_cells_are_restored_from_the_gradebook(class_root, resources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    restored, _ = stock_commands.RestoreCells(config=release.configuration(class_root)).preprocess(notebook, resources)
    names = [cell.metadata.nbgrader.grade_id for cell in restored.cells if "nbgrader" in cell.metadata]
    assert names == ["01-1-sum", "01-1-file", "01-1-why"]
    assert source.grade_cell("01-1-sum") in [cell.source for cell in restored.cells]
