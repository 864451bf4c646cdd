"""The students' zip holds what they need, nothing else, and works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from course.labs import bundle, release, source

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def full_root(released_root):
    """The very small course with the real package and files beside it."""
    shutil.copytree(REPOSITORY / "course", released_root / "course", ignore=shutil.ignore_patterns("__pycache__"))
    for name in bundle.FILES:
        if (REPOSITORY / name).exists():
            (released_root / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(REPOSITORY / name, released_root / name)
    (released_root / "classroom").mkdir(exist_ok=True)
    (released_root / "classroom" / "gradebook.db").write_text("grades")
    (released_root / "tests").mkdir()
    (released_root / "tests" / "test_x.py").write_text("secret")
    return released_root


def test_it_holds_labs_package_and_environment_only(full_root):
    with zipfile.ZipFile(bundle.bundle(full_root)) as archive:
        names = archive.namelist()
    assert {"course/labs/01_tiny/01_answer.ipynb", "course/course/shipping.py", "course/Makefile"} <= set(names)
    tops = {name.split("/")[1] for name in names}
    assert tops <= {*bundle.FOLDERS, *(name.split("/")[0] for name in bundle.FILES)}
    assert not [name for name in names if name.endswith((".db", ".pyc")) or "shipped" in name]


def test_it_holds_no_line_of_a_solution_hidden_test_or_mark_scheme(full_root):
    secret, given = release.secrets(full_root / "solutions" / "01_tiny")
    with zipfile.ZipFile(bundle.bundle(full_root)) as archive:
        text = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    assert len(secret) > 5
    for line in secret - given:
        assert [name for name in text if f"{json.dumps(line)[1:-1]}" in text[name]] == [], line


def test_of_the_real_labs_too_nothing_secret_is_in_the_files_of_the_zip():
    files = {name: path for name, path in bundle.contents(REPOSITORY).items() if path.suffix != ".png"}
    lines = {name: set(map(str.strip, path.read_text("utf-8", "replace").splitlines())) for name, path in files.items()}
    outside = ("solutions", "tests", "classroom", "benchmarks", "course/grading", "docs/teaching")
    assert not [name for name in files if name.startswith(outside)]
    for lab in source.labs(REPOSITORY):
        secret, given = release.secrets(lab)
        hidden = {line for line in secret - given if len(line) >= 40 and not line.startswith(("from ", "import "))}
        later = [f"labs/{other.name}/given/" for other in source.labs(REPOSITORY) if other.name > lab.name]
        # a later lab gives what it starts from to those who have nothing of their own
        files_now = {name: found for name, found in lines.items() if not name.startswith(tuple(later))}
        # the package and a solution may share a line or two that everybody writes; a passage is more
        most = {name: 3 if name.startswith("course/") else 0 for name in files_now}
        leaks = {name: found & hidden for name, found in files_now.items() if len(found & hidden) > most[name]}
        assert leaks == {}


@pytest.mark.parametrize("page", ["README.md", "docs/students.md", "env_setup/index.md", "env_setup/cluster.md"])
def test_what_a_student_reads_leads_to_files_that_are_in_the_zip(page):
    inside = bundle.contents(REPOSITORY)
    places = [link.partition("#")[0] for link in re.findall(r"\]\(([^):]+)\)", inside[page].read_text("utf-8"))]
    assert places
    named = {os.path.normpath(Path(page).parent / place) for place in places if place}
    assert named - set(inside) == set()


def test_the_same_contents_give_the_same_bytes(full_root, tmp_path):
    first = bundle.fingerprint(bundle.bundle(full_root, tmp_path / "a.zip"))
    for path in full_root.rglob("*.py"):
        os.utime(path, (1, 1))
    assert bundle.fingerprint(bundle.bundle(full_root, tmp_path / "b.zip")) == first


def test_it_is_not_made_of_labs_that_are_out_of_date(full_root):
    (full_root / "labs" / "index.md").write_text("old")
    with pytest.raises(release.ReleaseError, match=r"index.md.*course release"):
        bundle.bundle(full_root)


@pytest.mark.slow
@pytest.mark.timeout(300)  # two kernels start
def test_a_student_can_ship_and_check_with_nothing_but_the_zip(full_root, tmp_path):
    with zipfile.ZipFile(bundle.bundle(full_root)) as archive:
        archive.extractall(tmp_path / "student")
    home = tmp_path / "student" / "course"
    environment = {**os.environ, "PYTHONPATH": str(home)}

    def course(*arguments):
        command = [sys.executable, "-m", "course.cli", "--root", str(home), *arguments]
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=200)

    (home / "labs" / "01_tiny" / "shipped").mkdir()
    (home / "labs" / "01_tiny" / "shipped" / "answers.json").write_text('{"sum": 42}')
    checked = course("check", "01", "-n", "1", "--json")
    record = json.loads(checked.stdout)
    assert [question["score"] for question in record["questions"]] == [20, 0]
    notebook = "labs/01_tiny/01_answer.ipynb"
    command = [sys.executable, "-m", "nbgrader", "validate", notebook]
    said = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=200)
    assert "A file · 0 of 10 points" in said.stdout, said.stderr
    refused = course("release")
    assert refused.returncode == 1
    assert "for instructors" in refused.stderr
