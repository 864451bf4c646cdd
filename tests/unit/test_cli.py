"""The `course` command: its verbs, and errors that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from course.cli import main


@pytest.fixture
def course():
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("verb", sorted(main.commands))
def test_each_verb_says_what_it_does(course, verb):
    result = course(verb, "--help")
    assert result.exit_code == 0
    assert main.commands[verb].help


@pytest.mark.parametrize("verb", sorted(main.commands))
def test_each_verb_shows_an_example_that_can_be_typed(course, verb):
    lines = course(verb, "--help").output.splitlines()
    example = next(number for number, line in enumerate(lines) if line.strip().startswith("Example"))
    words = lines[example + 1].replace('eval "$(', "").rstrip('")').split()
    assert words[:2] == ["course", verb]
    options = {name for parameter in main.commands[verb].params for name in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= options


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_completion_is_printed_for_each_shell(course, shell):
    assert "_COURSE_COMPLETE" in course("completion", shell).output


def test_the_tab_key_completes_verbs_labs_and_students(tmp_path, monkeypatch):
    (tmp_path / "labs" / "01_tiny").mkdir(parents=True)
    (tmp_path / "classroom" / "submitted" / "ada").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def complete(*words):
        from click.shell_completion import BashComplete

        *before, last = words
        found = BashComplete(main, {}, "course", "_COURSE_COMPLETE").get_completions(before, last)
        return [item.value for item in found]

    assert complete("sub") == ["submit"]
    assert complete("check", "0") == ["01_tiny"]
    assert complete("submit", "") == ["01_tiny"]
    assert complete("grade", "--student", "a") == ["ada"]


def test_a_student_hands_in_sees_it_in_the_status_and_the_receipt_is_kept(course, tmp_path):
    lab = tmp_path / "labs" / "01_tiny"
    (lab / "shipped").mkdir(parents=True)
    (lab / "shipped" / "answers.json").write_text("{}")
    nbformat.write(nbformat.v4.new_notebook(), lab / "01_answer.ipynb")
    done = json.loads(course("--root", tmp_path, "submit", "1", "--json").output)
    assert Path(done["zip"]).parent == tmp_path / "handed_in"
    assert json.loads(Path(done["receipt"]).read_text())["code"] == done["code"]
    said = course("--root", tmp_path, "status", "01").output
    assert f"receipt {done['code']}" in said
    (record,) = json.loads(course("--root", tmp_path, "status", "--json").output)["labs"]
    assert record["handed_in"]["changed_since"] == []
    (lab / "shipped" / "answers.json").write_text('{"sum": 1}')
    assert "changed since: shipped/answers.json" in course("--root", tmp_path, "status").output


def test_help_does_not_wait_for_what_the_verbs_need():
    code = "import sys, course.cli; print(sorted({'pandas', 'nbgrader', 'nbclient', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_normalise_mends_a_notebook_and_check_only_looks(course, tmp_path):
    path = tmp_path / "a.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", execution_count=5)])
    path.write_text(nbformat.writes(notebook))
    before = path.read_text()
    looked = course("normalise", "--check", path)
    assert looked.exit_code == 1
    assert '-   "execution_count": 5' in looked.output
    assert path.read_text() == before
    assert course("normalise", path).exit_code == 0
    assert course("normalise", "--check", path).exit_code == 0


def test_a_broken_notebook_is_one_line_without_a_traceback(course, tmp_path):
    (tmp_path / "a.ipynb").write_text("{")
    result = course("normalise", tmp_path / "a.ipynb")
    assert result.exit_code == 1
    assert "a.ipynb: is not a notebook" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_lab_names_those_that_there_are(course, tmp_path):
    (tmp_path / "labs" / "01_tiny").mkdir(parents=True)
    result = course("--root", tmp_path, "check", "07")
    assert result.exit_code == 1
    assert "there are: 01_tiny" in result.output


def test_a_folder_without_notebooks_is_refused(course, tmp_path):
    for verb in ("check", "execute"):
        result = course(verb, tmp_path)
        assert result.exit_code == 1
        assert "notebooks" in result.output


def test_the_course_is_found_from_a_folder_inside_it(monkeypatch):
    from course.cli import group

    here = Path(group.__file__).resolve().parent
    monkeypatch.chdir(here)

    class Context:
        obj = None

    assert group.root_folder(Context()) == here.parent.parent
