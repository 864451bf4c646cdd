"""Each solution runs from end to end in papermill, in a clean folder, and its stored outputs are true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course.labs import description, notebooks, source

from .conftest import CHAPTERS, TINY

SANITISE = Path(__file__).with_name("nbval_sanitize.cfg")
REPLAY = Path(__file__).with_name("replay.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]  # the first to ask runs the notebooks before it, too


def test_a_solution_runs_from_end_to_end(chapter, stages):
    ran = stages.ran(chapter)
    assert [cell.id for cell in ran.cells if cell.cell_type == "code" and cell.execution_count is None] == []


def test_a_solution_agrees_with_its_stored_outputs(chapter, stages, tmp_path, environment):
    done = _nbval(notebooks.read(chapter.path), stages.ran(chapter), tmp_path, environment)
    assert done.returncode == 0, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)[-8000:]


def test_a_stored_output_that_is_not_true_is_found(stages, tmp_path, environment):
    small = next(chapter for chapter in CHAPTERS if chapter.lab.root == TINY)
    notebook = notebooks.read(small.path)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    outputs[-1].text = outputs[-1].text.replace("a", "e") + "once more\n"
    done = _nbval(notebook, stages.ran(small), tmp_path, environment)
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def _nbval(notebook, ran, folder, environment):
    """nbval compares a notebook's outputs with those that it had when it ran, which a kernel gives again."""
    nbformat.write(ran, folder / "ran.ipynb")
    kernel = folder / "kernels" / "replay" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    command = [sys.executable, str(REPLAY), str(folder / "ran.ipynb"), "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": command, "display_name": "replay", "language": "python"}))
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number  # which the normal form leaves out, and by which nbval knows that a cell was run
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    nbformat.write(notebook, folder / "stored.ipynb")
    (folder / "pytest.ini").write_text("[pytest]\n")
    # course comes first: with it, jsonschema is imported in no time
    command = [sys.executable, "-m", "pytest", "-pcourse", "-pnbval.plugin", "-pno:cacheprovider"]
    command += ["--nbval", "--nbval-kernel-name", "replay", "--nbval-sanitize-with", str(SANITISE)]
    command += ["-c", "pytest.ini", "--tb=short", "-q", "stored.ipynb"]
    for name in ("PYTEST_ADDOPTS", "JUPYTER_DEFAULT_PROVISIONER_NAME"):
        environment.pop(name, None)
    environment |= {"JUPYTER_PATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_solution_has_outputs_to_compare(chapter):
    cells = [cell for cell in notebooks.read(chapter.path).cells if notebooks.is_graded(cell)]
    without = [notebooks.grade_id(cell) for cell in cells if not cell.outputs]
    assert without == [], "run: course execute " + str(chapter.path)


def test_a_stored_output_holds_no_place_of_the_machine_that_made_it(chapter):
    outputs = [cell.outputs for cell in notebooks.read(chapter.path).cells if cell.cell_type == "code"]
    text = json.dumps(outputs)
    found = re.findall(
        r"(?:/tmp/|/home/|/root/|/Users/|[A-Z]:\\\\)[^\s\"']*|\S*/site-packages/| at 0x[0-9a-f]{6,}", text
    )
    assert found == []


def test_a_lab_is_worth_100_points(lab):
    worth = sum(source.points(notebooks.read(path)) for path in lab.notebooks)
    assert worth == source.LAB_POINTS or (worth < source.LAB_POINTS and description.is_draft(lab.folder))


def test_a_lab_has_no_problem_that_release_would_refuse(lab):
    assert [str(problem) for problem in source.problems(lab.folder)] == []
