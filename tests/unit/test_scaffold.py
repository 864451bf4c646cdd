"""A new lab and a new question pass their tests from the first minute; what cannot be made is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from course.cli import main
from course.labs import description, notebooks, release, scaffold, source

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path) -> Path:
    """A course with a draft of one lab."""
    scaffold.new_lab(tmp_path, "06_monitoring", "A model that is watched", "01_metrics")
    return tmp_path


def test_a_new_lab_describes_itself_as_a_draft(root):
    lab = description.read(root / "solutions" / "06_monitoring")
    assert (lab.title, lab.draft, list(lab.notebooks)) == ("A model that is watched", True, ["01_metrics"])
    assert lab.notebooks["01_metrics"].title == "Metrics"


def test_new_files_have_no_problem_that_a_release_would_refuse(root):
    made = scaffold.new_question(root, "06-1-drift-rate", "How fast it drifts")
    assert [path.relative_to(root).as_posix() for path in made] == [
        "solutions/06_monitoring/01_metrics.ipynb",
        "solutions/06_monitoring/checks/06-1-drift-rate.py",
        "tests/labs/06_monitoring/wrong/drift_rate_adds.yaml",
        "tests/labs/06_monitoring/right/drift_rate_by_a_sum.yaml",
    ]
    assert [str(problem) for problem in source.problems(root / "solutions" / "06_monitoring")] == []


def test_a_new_exercise_stands_above_the_summary_and_changes_no_other_cell(root):
    path = root / "solutions" / "06_monitoring" / "01_metrics.ipynb"
    before = notebooks.read(path).cells
    scaffold.new_question(root, "06-1-one")
    scaffold.new_question(root, "06-1-two")
    after = notebooks.read(path).cells
    ids = [cell.id for cell in after]
    assert ids[ids.index("06-1-one-answer") : ids.index("summary")] == [
        *("06-1-one-answer", "06-1-one", "exercise-two", "06-1-two-answer", "06-1-two")
    ]
    assert [cell for cell in after if cell.id in {one.id for one in before}] == before


def test_a_draft_reaches_no_student(root):
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    assert release.release(root) == []
    assert not (root / "labs").exists()
    with pytest.raises(
        release.ReleaseError, match="06_monitoring is a draft; when it is ready, take `draft: true` out"
    ):
        release.release(root, ["06"])


@pytest.mark.parametrize(
    ("name", "title", "notebook", "said"),
    [
        (
            "monitoring",
            "T",
            "01_a",
            "expected a lab's name of two digits and words, such as 06_monitoring; got 'monitor",
        ),
        ("07_Monitoring", "T", "01_a", "expected a lab's name"),
        ("06_other", "T", "01_a", "a lab of this number already: 06_monitoring"),
        ("07_other", " ", "01_a", "expected a title of 1 to 60 characters"),
        ("07_other", 'A "quoted" one', "01_a", "without quotes and backslashes"),
        ("07_other", "T", "02_a", "expected a first notebook's name such as 01_metrics; got '02_a'"),
    ],
)
def test_a_lab_that_cannot_be_made_is_refused(root, name, title, notebook, said):
    with pytest.raises(scaffold.ScaffoldError, match=said):
        scaffold.new_lab(root, name, title, notebook)
    assert [lab.name for lab in source.labs(root)] == ["06_monitoring"]


@pytest.mark.parametrize(
    ("grade_id", "said"),
    [
        ("06-metrics", "expected lab, notebook and words, such as 06-1-metrics; got '06-metrics'"),
        ("06-1-Metrics", "expected lab, notebook and words"),
        ("07-1-metrics", 'there is no lab 07; make it: course new lab 07_words "Its title"'),
        ("06-2-metrics", r"has no notebook 2; it has 01_metrics. To add one, copy one, .* and name it in lab.yaml"),
        ("06-1-there", "the question '06-1-there' is there already"),
    ],
)
def test_a_question_that_cannot_be_made_is_refused(root, grade_id, said):
    scaffold.new_question(root, "06-1-there")
    with pytest.raises(scaffold.ScaffoldError, match=said):
        scaffold.new_question(root, grade_id)


def test_a_notebook_without_a_summary_gets_no_question(root):
    path = root / "solutions" / "06_monitoring" / "01_metrics.ipynb"
    notebook = notebooks.read(path)
    notebook.cells = [cell for cell in notebook.cells if cell.id != "summary"]
    notebooks.write(notebook, path)
    with pytest.raises(scaffold.ScaffoldError, match="no section '## Summary', above which a new exercise would stand"):
        scaffold.new_question(root, "06-1-metrics")
    assert not (root / "tests").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)  # a lab of two questions is run, tried and released, in a process of its own
def test_a_new_lab_and_a_new_question_pass_the_tests_of_labs_as_they_are(tmp_path):
    """All tests of labs that concern them, and those of pages and releases, in a copy of this repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    for command in (
        ("new", "lab", "98_scratch", "A model that is watched"),
        ("new", "question", "98-1-drift-rate"),
        ("describe", "--check"),
        ("release", "--check"),
    ):
        done = CliRunner().invoke(main, ["--root", str(tmp_path), *command])
        assert done.exit_code == 0, done.output
    folders = ("solutions/98_scratch", "tests/labs/98_scratch")
    for tool in (("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",)):
        _passes(tmp_path, *tool, *folders)
    # the package is the one of this repository, and so is what mypy remembers of it
    cache = ("--cache-dir", str(REPOSITORY / ".mypy_cache"))
    checks = (tmp_path / folders[0] / "checks").glob("*.py")
    _passes(tmp_path, "mypy", *cache, "--scripts-are-modules", *map(str, checks))
    tests = ("tests/labs", "tests/unit/test_description.py", "tests/unit/test_site.py")
    names = "98_scratch and not small_edits or each_lab"
    said = _passes(tmp_path, "pytest", *tests, "-q", "-n", "0", "-p", "no:cacheprovider", "-k", names)
    assert " skipped" not in said
    assert int(said.rpartition(" passed")[0].split()[-1]) > 50


def _passes(folder: Path, *command: str) -> str:
    """What a Python program printed that must end well in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout
