"""`nbgrader validate` and the Validate button: the verdicts of grading, in words that a student understands."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbgrader import utils
from nbgrader.validator import Validator

from course.labs import notebooks, release, running
from course.student.validate import _reword, _wrap

LAB = "01_tiny"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # each starts nbgrader, and it starts kernels


@pytest.fixture(autouse=True)
def kernels(request, monkeypatch):
    """Kernels are forked warm where there is a sandbox, except in a test that is marked `cold`."""
    from course.grading.sandbox import policy, zygote

    if policy.why_not() is None and request.node.get_closest_marker("cold") is None:
        monkeypatch.setenv(zygote.ENVIRONMENT, request.getfixturevalue("warm").path)


@pytest.fixture
def student_root(released_root):
    """The course as a student has it: no solutions, and no gradebook."""
    originals = released_root.parent / "originals"
    shutil.move(released_root / "solutions", originals)
    shutil.rmtree(released_root / "classroom", ignore_errors=True)
    return released_root


def take(root, name, answers=None):
    """Fill in a released notebook: some answers, or all as the solution has them."""
    path = root / "labs" / LAB / name
    original = notebooks.read(root.parent / "originals" / LAB / name)
    theirs = {notebooks.grade_id(cell): cell.source for cell in original.cells if notebooks.is_a(cell, "solution")}
    mine = theirs | (answers or {})
    released = notebooks.read(path)
    notebooks.write(running.with_answers(released, {key: text for key, text in mine.items() if text}), path)
    return path


@pytest.fixture
def validate(request, monkeypatch):
    """What `nbgrader validate` prints: the command itself in a test that is marked `cold`, else its validator."""

    def by_command(root, path):
        command = [sys.executable, "-m", "nbgrader", "validate", str(path.relative_to(root))]
        done = subprocess.run(command, cwd=root, env=dict(os.environ), capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def by_its_validator(root, path):
        monkeypatch.chdir(root)
        validator = Validator(config=release.configuration(root))
        validator.stream = io.StringIO()
        validator.validate_and_print(str(path.relative_to(root)))
        return validator.stream.getvalue()

    return by_command if request.node.get_closest_marker("cold") else by_its_validator


@pytest.mark.cold
def test_a_right_notebook_passes_though_hidden_checks_are_not_there(student_root, validate):
    path = take(student_root, "01_answer.ipynb")
    before = path.read_bytes()
    assert "Success! Your notebook passes all the tests." in validate(student_root, path)
    assert path.read_bytes() == before
    assert not (student_root / "classroom").exists()


def test_a_blank_notebook_is_told_which_questions_do_not_pass_and_why(student_root, validate):
    said = validate(student_root, student_root / "labs" / LAB / "01_answer.ipynb")
    assert "2 QUESTION(S) DO NOT PASS YET" in said
    assert "    A sum\n" in said
    assert "A sum · 0 of 20 points, 20 more are decided by hidden checks" in said
    assert "A file · 0 of 10 points" in said
    assert "A cell above is not solved yet" in said
    assert "✗ the sum" not in said  # what each check says is for those who have begun
    assert "Partial credit" not in said
    assert "What passes already" not in said


def test_a_syntax_error_takes_one_question_and_is_named_beside_it(student_root, validate):
    path = take(student_root, "01_answer.ipynb", {"01-1-sum-answer": "answers['sum' = 42"})
    said = validate(student_root, path)
    assert "1 QUESTION(S) DO NOT PASS YET" in said
    assert "A cell above stopped with SyntaxError" in said
    assert "A file ·" not in said
    assert "What passes already: A file" in said


def test_a_written_answer_that_is_missing_is_called_by_its_heading():
    marks = {"grade_id": "why", "grade": True, "solution": True, "locked": False, "points": 3, "schema_version": 3}
    empty = nbformat.v4.new_markdown_cell("YOUR ANSWER HERE", metadata={"nbgrader": {**marks, "cell_type": "markdown"}})
    empty.metadata.nbgrader["checksum"] = utils.compute_checksum(empty)
    heading = nbformat.v4.new_markdown_cell("# Lab\n\n## Exercise 3: why\n\nSay why.")
    _reword(nbformat.v4.new_notebook(cells=[heading, empty]))
    assert empty.source == "Exercise 3: why\n(written, and graded by a person: 3 points)"
    assert utils.determine_grade(empty) == (0, 3)  # still one that was not answered
    assert heading.source.startswith("# Lab")


def test_points_stay_in_one_line():
    lines = _wrap(f"✗ {'a check with a long title ' * 3} 0 / 12")
    assert len(lines) == 2
    assert lines[-1].endswith("0\u00a0/\u00a012")


def test_points_that_are_earned_in_part_name_the_checks_that_failed(student_root, validate):
    wrong = "%%ship doubling.py\ndef double(number):\n    return number + 1"
    take(student_root, "01_answer.ipynb")
    validate(student_root, student_root / "labs" / LAB / "01_answer.ipynb")  # ships the answer that is used here
    said = validate(student_root, take(student_root, "02_module.ipynb", {"01-2-double-answer": wrong}))
    assert "Twice the answer · 0 of 20 points, 20 more are decided by hidden checks" in said
    assert "✗ the answer is doubled" in said
    assert "expected 84; got 43" in said


@pytest.mark.cold
def test_what_cells_do_to_their_kernel_changes_no_verdict(student_root, validate):
    """As in grading: the hook would pass every check that runs in the same kernel."""
    hook = """import course.checks.core.question as q
q.Question.result = lambda self: 40
answers["sum"] = "42" """
    said = validate(student_root, take(student_root, "01_answer.ipynb", {"01-1-sum-answer": hook}))
    assert "1 QUESTION(S) DO NOT PASS YET" in said
    assert "✗ the sum is a number" in said


def test_a_kernel_that_ends_is_named_and_the_checks_still_run(student_root, validate):
    ends = {"01-1-file-answer": "import os\nos._exit(1)"}
    said = validate(student_root, take(student_root, "01_answer.ipynb", ends))
    assert "1 QUESTION(S) DO NOT PASS YET" in said
    assert "the kernel ended while this cell ran" in said


def test_a_copied_cell_and_a_warning_do_no_harm(student_root, validate):
    path = take(
        student_root,
        "01_answer.ipynb",
        {"01-1-sum-answer": "import sys\nprint(1, file=sys.stderr)\nanswers['sum'] = 42"},
    )
    content = json.loads(path.read_text())
    copied = next(
        cell for cell in content["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == "01-1-sum"
    )
    content["cells"].append({**copied, "id": "copied"})
    path.write_text(json.dumps(content))
    assert "Success!" in validate(student_root, path)


def test_an_edited_grade_cell_is_named(student_root, validate):
    path = take(student_root, "01_answer.ipynb", {"01-1-sum-answer": None})
    path.write_text(path.read_text().replace('grade(\\"01-1-sum\\")', 'grade(\\"01-1-sum\\") or 40'))
    assert "THE CONTENTS OF 1 TEST CELL(S) HAVE CHANGED" in validate(student_root, path)


@pytest.mark.cold
def test_the_validate_button_says_the_same(student_root, monkeypatch):
    """The server's own handler, in a running event loop, as JupyterLab asks it."""
    program = """
import asyncio, json, sys
from types import SimpleNamespace
from nbgrader.server_extensions.validate_assignment.handlers import ValidateAssignmentHandler as Handler
import logging

class Asked(Handler):
    def __init__(self): pass
    settings = {"root_dir": "."}
    log = logging.getLogger("asked")

async def ask():
    return Asked().validate_notebook(sys.argv[1])

print(json.dumps(asyncio.run(ask())))
"""
    right = take(student_root, "01_answer.ipynb").relative_to(student_root)
    answers = []
    for change in (None, "the sum"):
        if change:
            take(student_root, "01_answer.ipynb", {"01-1-sum-answer": "answers['sum'] = 'x'"})
        done = subprocess.run(
            [sys.executable, "-c", program, str(right)],
            cwd=student_root,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    assert answers[0] == {"success": True, "value": {}}
    (failed,) = answers[1]["value"]["failed"]
    assert failed["source"] == "A sum"
    assert "✗ the sum is a number" in failed["raw_error"]
