"""`course reference` runs the solutions of the lab before, and keeps what the next one needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from course import handover
from course.base.names import UnknownName
from course.labs import notebooks, references

REFERENCE = Path(__file__).resolve().parents[2] / "solutions" / "02_serialisation" / handover.REFERENCE


@pytest.fixture
def root(tmp_path) -> Path:
    """A course whose lab 01 ships what the real one did, with more around it."""
    lab = tmp_path / "solutions" / "01_python_model"
    lab.mkdir(parents=True)
    shutil.copytree(REFERENCE, lab / "given")
    code = """
import shutil
from pathlib import Path
shutil.copytree("given", "shipped")
Path("shipped/pipelines.py").write_text("secret = True\\n")
source = Path("shipped/features.py")
source.write_text("### BEGIN SOLUTION\\n" + source.read_text() + "### END SOLUTION\\n")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    notebooks.write(notebook, lab / "01_only.ipynb")
    return tmp_path


def test_a_reference_holds_what_the_model_needs_and_no_more(root):
    (made,) = references.make(root, ["02"])
    assert made == root / "solutions" / "02_serialisation" / "given" / "reference"
    assert sorted(path.name for path in made.iterdir()) == ["features.py", "model"]
    assert "SOLUTION" not in (made / "features.py").read_text()


def test_solutions_that_ship_nothing_usable_leave_the_old_reference(root):
    old = root / "solutions" / "02_serialisation" / "given" / "reference"
    old.mkdir(parents=True)
    (old / "kept.txt").write_text("")
    (root / "solutions" / "01_python_model" / "given" / "features.py").write_text("")
    with pytest.raises(handover.NotUsable, match="does not open"):
        references.make(root, ["02_serialisation"])
    assert (old / "kept.txt").exists()


def test_a_lab_that_is_not_there_or_starts_from_nothing_is_told(root):
    with pytest.raises(UnknownName, match="there is no lab '07'"):
        references.make(root, ["07"])
    with pytest.raises(handover.HandoverError, match="starts from no other lab"):
        references.make(root, ["01"])
