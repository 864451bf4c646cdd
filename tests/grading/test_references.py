"""`course reference` runs the solutions of the lab before, and keeps what the next one needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from course.base.names import UnknownName
from course.labs import description, notebooks, references, trials

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
REFERENCE = SOLUTIONS / "02_serialisation" / description.REFERENCE


@pytest.fixture
def root(tmp_path) -> Path:
    """A course whose lab 01 ships what the real one did, with more around it, and whose lab 02 has no reference yet."""
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
    for name in ("01_python_model", "02_serialisation"):
        (tmp_path / "solutions" / name).mkdir(exist_ok=True)
        notebooks.write(notebook, tmp_path / "solutions" / name / "01_only.ipynb")
        shutil.copyfile(SOLUTIONS / name / description.FILE, tmp_path / "solutions" / name / description.FILE)
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
    with pytest.raises(trials.NotUsable, match="does not open"):
        references.make(root, ["02_serialisation"])
    assert (old / "kept.txt").exists()


def test_a_lab_that_is_not_there_or_starts_from_nothing_is_told(root):
    with pytest.raises(UnknownName, match="there is no lab '07'"):
        references.make(root, ["07"])
    with pytest.raises(description.DescriptionError, match="starts from no other lab"):
        references.make(root, ["01"])


@pytest.fixture
def heir(root) -> Path:
    """Lab 03 of that course, whose reference begins as lab 02's."""
    shutil.copytree(REFERENCE, root / "solutions" / "02_serialisation" / description.REFERENCE)
    lab = root / "solutions" / "03_heir"
    lab.mkdir()
    text = (
        (SOLUTIONS / "02_serialisation" / description.FILE)
        .read_text()
        .replace("lab: 01_python_model", "lab: 02_serialisation")
    )
    (lab / description.FILE).write_text(text.replace("starts_from:", "starts_from:\n  inherits: {.: .}"))
    return lab


def test_of_a_reference_only_what_differs_from_the_inherited_one_is_stored(heir, tmp_path):
    fresh = Path(shutil.copytree(REFERENCE, tmp_path / "fresh"))
    (fresh / "features.py").write_text("# others\n")
    (fresh / "more.txt").write_text("more\n")
    made = references.store(fresh, heir)
    assert sorted(path.name for path in made.rglob("*") if path.is_file()) == ["features.py", "more.txt"]
    found = description.reference(heir)
    expected = {path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file()}
    assert found.keys() == expected
    assert all(path.read_bytes() == (fresh / name).read_bytes() for name, path in found.items())


def test_an_inherited_file_that_is_no_longer_shipped_is_named(heir, tmp_path):
    fresh = Path(shutil.copytree(REFERENCE, tmp_path / "fresh"))
    (fresh / "features.py").unlink()
    with pytest.raises(
        description.DescriptionError, match=r"starts_from\.inherits: it takes features\.py from an earlier"
    ):
        references.store(fresh, heir)
