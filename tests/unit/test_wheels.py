"""Wheels for images are fetched once, by name and version only."""

from __future__ import annotations

import subprocess

import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere
from course.checks.docker import wheels


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that gives what the test wants, and the commands that asked it."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    asked: list[list[str]] = []

    def answer(error: str = ""):
        def run(command, **_):
            asked.append(command)
            place = command[command.index("--dest") + 1]
            if not error:
                (tmp_path / place).mkdir()
                (tmp_path / place / "tiny-1.0-py3-none-any.whl").write_bytes(b"wheel")
            return subprocess.CompletedProcess(command, 1 if error else 0, "", error)

        monkeypatch.setattr(wheels.subprocess, "run", run)
        return asked

    return answer


def test_they_are_fetched_once(index):
    asked = index()
    assert wheels.collect("tiny==1.0\n") == {"tiny-1.0-py3-none-any.whl": b"wheel"}
    assert wheels.collect("# again\ntiny==1.0") == {"tiny-1.0-py3-none-any.whl": b"wheel"}
    assert len(asked) == 1
    wheels.collect("tiny==1.0", python="3.12")
    assert len(asked) == 2


def test_only_names_and_versions_of_the_students_file_reach_pip(index):
    asked = index()
    wheels.collect("--index-url https://strangers.example/simple\n--no-binary :all:\ntiny==1.0 --hash=sha256:00\n")
    assert asked[0][-1] == "tiny==1.0"
    assert not any("strangers" in word or "no-binary" in word for word in asked[0])
    assert "--only-binary=:all:" in asked[0]


def test_a_lock_decides_what_the_file_leaves_open():
    lock = "tiny==0.9 \\\n    --hash=x\nother==2.0 \\\n    --hash=x\nwindows==1 ; sys_platform == 'win32'\n"
    assert wheels._locked(lock) == [("tiny", "0.9"), ("other", "2.0")]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            "ERROR: Could not find a version (from versions: 1.0)\nERROR: No matching distribution found for tiny==9\n",
            CheckFailed,
            "tiny==9, which does not exist",
        ),
        ("ERROR: ResolutionImpossible: for help\n", CheckFailed, "do not go together"),
        (
            "ERROR: (from versions: none)\nERROR: No matching distribution found for tiny==1.0\n",
            NotGradedHere,
            "no package index",
        ),
    ],
)
def test_what_cannot_be_fetched_is_said(index, error, kind, words):
    index(error)
    with pytest.raises(kind, match=words):
        wheels.collect("tiny==1.0")
    assert not any(wheels.folder().iterdir())


def test_open_versions_are_refused(index):
    index()
    with pytest.raises(CheckFailed, match="leaves the version of tiny open"):
        wheels.collect("tiny\n")
