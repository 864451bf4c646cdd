"""A shipped repository is read without trust, and built, installed and run where nothing else is."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from course import shipping
from course.checks import project
from course.checks.core import expectations, processes
from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.python import pins
from course.checks.python.repositories import tail, vague

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "Tiny_Thing"
version = "1.0"
dependencies = ["packaging>=20"]

[project.optional-dependencies]
test = ["iniconfig"]

[project.scripts]
tiny = "tiny.cli:main"
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    ".gitignore": ".venv/\n*.csv\n",
    "src/tiny/__init__.py": "",
    "src/tiny/work.py": "import packaging\n\ndef twice(x):\n    return 2 * x\n\ndef broken():\n    return 1 / 0\n",
    "src/tiny/cli.py": "import sys\ndef main():\n    print('hello')\n    print('log', file=sys.stderr)\n    return 4\n",
    "tests/test_work.py": "from tiny.work import twice\n\ndef test_twice():\n    assert twice(2) == 4\n",
    "Makefile": ".PHONY: test\ntest:\n\tpytest -q\nenv: lock\n\ttouch made\nlock:\n\techo lock\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A lab's folder, in which things are shipped."""
    folder = tmp_path_factory.mktemp("lab")
    patch = pytest.MonkeyPatch()
    patch.setenv("COURSE_SHIPPED", str(folder / "shipped"))
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.chdir(folder)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def ship(place):
    """Ship a repository of these files, one commit a message, and give what the checks see of it."""

    def make(name: str, files: dict[str, str | None], *, messages: tuple[str, ...] = ("Make a thing",)):
        tree = place / name
        git(place, "init", "--quiet", name)
        for path, text in files.items():
            if text is not None:
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(textwrap.dedent(text))
        git(tree, "add", "--force", ".")
        for message in messages:
            git(tree, "commit", "--quiet", "--allow-empty", "--message", message)
        shipping.ship_repository(name)
        return project(f"{name}.bundle", timeout=60)

    return make


def git(folder: Path, *arguments: str) -> None:
    """Run git as somebody."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=some@body.example"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tiny(ship):
    """A good project."""
    return ship("tiny", FILES, messages=("Make a thing", "Say more about the thing"))


# ------------------------------------------------------------------------------------------------------ what is in it


def test_commits_are_told_newest_first(tiny):
    assert [commit.subject for commit in tiny.commits] == ["Say more about the thing", "Make a thing"]
    assert {(commit.author, commit.email) for commit in tiny.commits} == {("Somebody", "some@body.example")}


def test_files_are_told_with_their_sizes(tiny):
    assert set(tiny.files) == set(FILES)
    assert tiny.files[".gitignore"] == len(FILES[".gitignore"])


def test_a_text_is_what_was_committed_and_a_missing_one_is_named(tiny):
    assert tiny.text("Makefile") == FILES["Makefile"]
    with pytest.raises(Unmet, match=r"there is no makefile in the repository") as raised:
        tiny.text("makefile")
    assert raised.value.actual == "Makefile"


def test_what_is_ignored_is_told(tiny):
    assert tiny.ignores([".venv/x", "a.csv", "src/tiny/work.py"]) == {".venv/x", "a.csv"}


def test_products_and_large_files_are_found_also_when_deleted_later(ship, place):
    files = {
        "a.txt": "a",
        "own/pyvenv.cfg": "",
        "own/bin/x": "",
        "src/__pycache__/a.pyc": "",
        "big.csv": "x" * 1_500_000,
    }
    shipped = ship("messy", files)
    assert shipped.junk() == ["big.csv (1.5 MB)", "own/bin/x", "own/pyvenv.cfg", "src/__pycache__/a.pyc"]
    git(place / "messy", "rm", "--quiet", "big.csv")
    git(place / "messy", "commit", "--quiet", "--message", "Remove it")
    shipping.ship_repository("messy")
    after = project("messy.bundle")
    assert "big.csv" not in after.files
    assert after.largest() == 1_500_000


def test_a_committed_link_is_not_followed(ship, place):
    (place / "linked").mkdir()
    (place / "linked" / "pyproject.toml").symlink_to("/etc/passwd")
    shipped = ship("linked", {"a.txt": "a"})
    with pytest.raises(Unmet, match="no ordinary file"):
        shipped.text("pyproject.toml")


def test_a_bundle_that_is_missing_is_named(place):
    with pytest.raises(Unmet, match=r"there is no nothing\.bundle"):
        _ = project("nothing.bundle").commits


@pytest.mark.parametrize(
    "content", [b"", b"# v2 git bundle\n", b"# v2 git bundle\n" + b"0" * 40 + b" HEAD\n\nPACKrubbish"]
)
def test_a_bundle_that_is_none_is_said_to_be_none(place, content):
    shipping.save("fake.bundle", content)
    with pytest.raises(Unmet, match=r"git cannot clone it|no commit in it") as raised:
        _ = project("fake.bundle").commits
    assert raised.value.title == "fake.bundle is the bundle of a git repository"


def test_hooks_and_settings_in_a_bundle_or_of_the_user_are_not_used(place, ship, tmp_path, monkeypatch):
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    shipped = ship("hooked", {"a.txt": "a"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert len(shipped.commits) == 1
    assert not (tmp_path / "hooked").exists()


# ---------------------------------------------------------------------------------------------- what happens elsewhere


def test_a_project_is_installed_and_asked(tiny):
    assert tiny.built_name == "tiny-thing"
    assert tiny.evaluate("from tiny.work import twice\nanswer = {'a': twice(4), 'b': [None, float('nan')]}") == {
        "a": 8,
        "b": [None, None],
    }


def test_only_what_is_declared_is_there(tiny):
    assert tiny.evaluate("import packaging, iniconfig, pytest\nanswer = 1") == 1
    for name in ("course", "pandas", "pip"):
        with pytest.raises(CheckFailed, match=f"No module named '{name}'"):
            tiny.evaluate(f"import {name}")


def test_each_question_begins_in_an_empty_namespace(tiny):
    tiny.evaluate("x = 1")
    with pytest.raises(CheckFailed, match="name 'x' is not defined"):
        tiny.evaluate("answer = x")


def test_an_error_of_the_package_tells_its_line(tiny):
    with pytest.raises(CheckFailed, match=r"tiny/work\.py, line 7: ZeroDivisionError"):
        tiny.evaluate("from tiny.work import broken\nbroken()")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("import os\nos._exit(3)", "exit status 3"),
        ("answer = object()", "a value of type object"),
        ("answer = x = []\nx.append(x)", "nested too deep"),
        (
            "import os\nfor n in range(3, 256):\n    try: os.write(n, b'\\xff' * 99)\n    except OSError: pass",
            "in a form that the check cannot read",
        ),
        ("answer = 'x' * 5_000_000", "in a form that the check cannot read"),
    ],
)
def test_an_answer_that_is_none_is_a_failed_check_and_the_next_one_works(tiny, code, says):
    with pytest.raises(CheckFailed, match=says):
        tiny.evaluate(code)
    assert tiny.evaluate("answer = 5") == 5


def test_the_command_has_its_status_output_and_folder(tiny):
    done = tiny.run(["sh", "-c", "cat given.txt; tiny"], files={"given.txt": "given\n"}, stderr=False)
    assert (done.returncode, done.output) == (4, "given\nhello\n")


def test_make_runs_the_tests_in_a_clean_clone_and_notices_a_change(tiny):
    assert "1 passed" in tiny.make("test").output
    changed = tiny.with_change("tiny/work.py", "def twice(x):\n    return x")
    assert changed.make("test").returncode == 2
    assert tiny.make("test").ok
    assert tiny.evaluate("from tiny.work import twice\nanswer = twice(3)") == 6


def test_git_cannot_tell_whether_a_tree_was_changed(tiny):
    trees = [tiny.with_change("tiny/work.py", code) for code in ("def twice(x):\n    return x", "pass")]
    for command in ("git status --short", "git diff HEAD", "git log --format=%an%s%P", "git remote", "git reflog"):
        outputs = [tree._owner.run(["sh", "-c", command], folder=tree._folder).output for tree in trees]
        seen = [output.split(" ", 1)[-1] if "reflog" in command else output for output in outputs]
        assert seen[0] == seen[1], command


def test_a_plan_is_not_carried_out(tiny):
    done = tiny.plan("env")
    assert done.ok
    assert "touch made" in done.output


@pytest.mark.parametrize(
    ("makefile", "hint"),
    [
        ("all:\n\ttrue\n", "with a target of that name"),
        ("test:\n    true\n", "a tab, not spaces"),
        ("test:\n\t.venv/bin/pytest\n", "your .venv is not in git"),
        ("test:\n\tpip install --dry-run -e . && pytest\n", "there is no network here"),
        ("test:\n\tpython -c 'import sklearn'\n", "is sklearn declared?"),
    ],
)
def test_a_make_that_fails_is_explained(tiny, makefile, hint):
    folder = tiny.checkout()
    (folder / "Makefile").write_text(makefile)
    done = tiny.run(["make", "test"], folder=folder)
    with pytest.raises(CheckFailed, match="make test ended with exit status 2") as raised:
        tiny.make_fails(done, "test")
    assert hint in raised.value.hint


def test_without_make_a_person_decides(tiny, monkeypatch):
    tiny.install()
    monkeypatch.setattr("course.checks.python.projects.shutil.which", lambda name: None)
    with pytest.raises(NotGradedHere, match="make is not installed"):
        tiny.make("test")


@pytest.mark.parametrize(
    ("name", "pyproject", "says"),
    [
        ("no-project", None, "there is no pyproject.toml"),
        ("no-toml", "[project\n", "Expected"),
        ("no-backend", PYPROJECT.replace('"setuptools"', '"hatchling"'), "hatchling is not installed here"),
        ("no-library", PYPROJECT.replace("packaging>=20", "no-such-library"), "it needs no-such-library"),
        ("no-version", PYPROJECT.replace("packaging>=20", "packaging<2"), "another version is installed here"),
        ("no-form", PYPROJECT.replace("packaging>=20", "packaging at least 20"), "the build ended with an error"),
        ("no-list", PYPROJECT.replace('["setuptools"]', "[7]"), "names a dependency that cannot be read"),
    ],
)
def test_a_project_that_cannot_be_installed_says_why(ship, name, pyproject, says):
    shipped = ship(name, {**FILES, "pyproject.toml": pyproject})
    with pytest.raises(Unmet, match=says):
        shipped.install()
    with pytest.raises(Unmet, match=says):  # and again, without another build
        shipped.evaluate("answer = 1")


@pytest.mark.parametrize(
    ("name", "pyproject"),
    [
        ("undeclared", PYPROJECT),
        ("foreign", PYPROJECT.replace("setuptools", "hatchling", 1)),
        ("untoml", PYPROJECT.replace('name = "Tiny_Thing"', "name = Tiny_Thing")),
        ("elsewhere", PYPROJECT.replace("packaging>=20", "surely-not-a-package>=20")),
    ],
)
def test_with_help_the_rest_of_a_project_is_judged_in_spite_of_its_pyproject(ship, name, pyproject):
    more = {"pyproject.toml": pyproject, "src/tiny/work.py": f"import yaml\n{FILES['src/tiny/work.py']}"}
    alone = ship(name, {**FILES, **more})
    with pytest.raises(CheckFailed):
        alone.evaluate("import tiny.work")
    helped = project(f"{name}.bundle", timeout=60, helped=True)
    assert helped.evaluate("import tiny.work\nanswer = tiny.work.twice(4)") == 8
    assert helped.run(["tiny"]).returncode == 4
    assert helped.make("test").ok
    assert not helped.with_change("tiny/work.py", "\ndef twice(x):\n    return x\n").run(["make", "test"]).ok


def test_a_build_that_does_not_end_is_stopped(ship):
    files = {"setup.py": "while True: pass", "tiny.py": ""}
    ship("endless", files)
    with pytest.raises(Unmet, match="did not finish within 5 seconds"):
        project("endless.bundle", timeout=5).install()


def test_nothing_is_left_in_the_folder_for_temporary_files(ship):
    shipped = ship("gone", {"a.txt": "a"})
    scratch = shipped._scratch
    assert shipped.files
    assert scratch.exists()
    del shipped
    assert not scratch.exists()


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    "subject",
    [
        "Add calendar features",
        "Initial commit",
        "fix: midnight belongs to the new day",
        "Add tests",
        "添加日历特征",
        "Fix #12: leap day",
    ],
)
def test_a_message_that_says_something_is_accepted(subject):
    assert vague(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "update",
        "Update files",
        "wip",
        "asdf",
        "fix bug",
        ".",
        "1",
        "final final",
        "my changes",
        "Refactoring",
        "First commit",
        "second commit",
        "Step 3",
        "Exercise 2 done",
        "x" * 73,
    ],
)
def test_a_message_that_says_nothing_is_not(subject):
    assert vague(subject)


def test_a_long_run_of_one_letter_is_judged_at_once():
    assert vague("x" * 72)


def test_pins_are_read_with_comments_hashes_options_and_markers():
    text = """
    # comment
    --index-strategy first-index
    Typing_Extensions == 4.1 ; python_version > "3"  # why
    pandas[performance]==3.1.0 \\
        --hash=sha256:aa \\
        --hash=sha256:bb
    """
    assert pins.pins(textwrap.dedent(text)) == {"typing-extensions": "4.1", "pandas": "3.1.0"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pandas>=2", "leaves the version of pandas open"),
        ("pandas", "open"),
        ("pandas==2.*", "open"),
        ("-e .", "no package"),
        ("?", "no package"),
    ],
)
def test_a_line_that_pins_nothing_is_shown(line, says):
    with pytest.raises(CheckFailed, match=says) as raised:
        pins.pins(f"numpy==2.0\n{line}\n", "the lock")
    assert raised.value.actual == line


def test_the_closure_holds_what_is_needed_in_turn():
    found = pins.closure([("Pandas", set()), ("no-such-library", set())])
    assert {"pandas", "numpy", "python-dateutil"} <= set(found)
    assert "pytest" not in found
    assert "no-such-library" not in found


def test_a_tail_is_short_and_plain():
    text = tail("\n".join(f"\x1b[31mline {n} {'x' * 500}\x1b[0m" for n in range(50)))
    assert len(text) <= expectations.MAX_SHOWN
    assert "\x1b" not in text


def test_a_makefile_cannot_install_into_another_python(tiny):
    """A pip on PATH belongs to a Python outside the clean environment, and must refuse (here it would only try)."""
    done = tiny.run(["sh", "-c", "command -v pip || exit 3; pip install --dry-run packaging"])
    assert not done.ok


def test_the_environment_of_a_child_holds_no_settings_of_the_user(tiny, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "x")
    assert "SECRET" not in tiny.run(["env"]).output
    assert processes.TAG in tiny.run(["env"]).output
