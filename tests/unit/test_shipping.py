"""What is shipped is there whole, stays where it belongs, and nothing that was shipped before gets lost."""

from __future__ import annotations

import atexit
import datetime as dt
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course import shipping
from course.base import atomic
from course.shipping import Answers, ShippingError, answers, artifact, ship_repository
from course.student import handing_in


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of a lab, as the current one."""
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COURSE_SHIPPED", raising=False)
    return folder


@pytest.fixture
def shell(lab: Path, monkeypatch: pytest.MonkeyPatch):
    """An IPython that has loaded the extension."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # IPython puts its own there
    before = set(sys.modules)
    ipython = InteractiveShell()
    shipping.load_ipython_extension(ipython)
    yield ipython
    InteractiveShell.clear_instance()
    atexit.unregister(ipython.atexit_operations)
    ipython.atexit_operations()
    for name in set(sys.modules) - before:
        if str(lab) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders: traces of work that was not finished."""
    return [path.name for path in folder.rglob(".*")]


# --------------------------------------------------------------------------------------------------------------- folder


def test_shipped_files_lie_beside_the_notebook_or_where_the_environment_says(lab, tmp_path, monkeypatch):
    assert shipping.folder() == lab / "shipped"
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "elsewhere"))
    assert shipping.folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("COURSE_SHIPPED", "relative/place")
    assert shipping.folder() == lab / "relative" / "place"


def test_a_folder_of_shipped_files_that_is_a_link_is_not_followed_in_silence(lab, tmp_path):
    (lab / "shipped").symlink_to(tmp_path)
    assert shipping.folder().is_symlink()


# ----------------------------------------------------------------------------------------------------------------- save


def test_a_saved_file_replaces_the_old_one_and_leaves_nothing_behind(lab):
    shipping.save("a/b.txt", "old")
    assert shipping.save("a/b.txt", "grüße") == lab / "shipped" / "a" / "b.txt"
    assert (lab / "shipped" / "a" / "b.txt").read_bytes() == "grüße".encode()
    assert shipping.save("c.bin", b"\x00\xff").read_bytes() == b"\x00\xff"
    assert leftovers(lab) == []


@pytest.mark.parametrize("name", ["", "/tmp/x", "../x", "a/../../x", "~/x", "a\\b"])
def test_a_path_out_of_the_folder_is_refused(lab, tmp_path, name):
    with pytest.raises(ShippingError, match="must be a path inside the lab's folder"):
        shipping.save(name, "x")
    assert list(tmp_path.rglob("x")) == []


def test_a_folder_in_the_way_is_told(lab):
    shipping.save("model/a.txt", "x")
    with pytest.raises(ShippingError, match="'model' is a folder; name a file in it"):
        shipping.save("model", "x")


def test_a_file_in_the_way_of_a_folder_is_told(lab):
    shipping.save("model", "x")
    with pytest.raises(ShippingError, match="needs a folder where there is a file"):
        shipping.save("model/a.txt", "x")


def test_a_write_that_fails_keeps_the_old_file(lab, monkeypatch):
    shipping.save("a.txt", "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        shipping.save("a.txt", "new")
    assert (lab / "shipped" / "a.txt").read_text() == "old"
    assert leftovers(lab) == []


# -------------------------------------------------------------------------------------------------------------- answers


def test_an_answer_is_kept_in_a_file(lab):
    answers["late_rate"] = 0.25
    answers["month"] = 7
    assert json.loads((lab / "shipped" / "answers.json").read_text()) == {"late_rate": 0.25, "month": 7}
    assert Answers()["late_rate"] == 0.25
    assert list(answers) == ["late_rate", "month"]
    assert len(answers) == 2
    assert "late_rate" in repr(answers)
    del answers["month"]
    assert "month" not in answers


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.array(3.5), 3.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (pd.Series([1, 2], index=["a", "b"]), {"a": 1, "b": 2}),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.Timestamp("2013-07-04"), "2013-07-04T00:00:00"),
        (np.datetime64("2013-07-04"), "2013-07-04T00:00:00"),
        (dt.date(2013, 7, 4), "2013-07-04"),
        ((1, "a"), [1, "a"]),
        ({3, 1, 2}, [1, 2, 3]),
        ({"a": {1: None}}, {"a": {"1": None}}),
        ("grüße", "grüße"),
        (True, True),
    ],
)
def test_values_of_numpy_and_pandas_become_plain(lab, value, stored):
    answers["a"] = value
    assert answers["a"] == stored
    assert type(answers["a"]) is type(stored)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        np.nan,
        pd.NA,
        pd.NaT,
        np.datetime64("NaT"),
        [1, None, float("nan")],
        pd.Series([1.0, np.nan]),
    ],
)
def test_a_missing_value_is_no_answer(lab, value):
    answers["a"] = 1
    with pytest.raises(ShippingError, match=r"answers\['a'\] would be .*missing data"):
        answers["a"] = value
    assert answers["a"] == 1


@pytest.mark.parametrize("value", [object(), pd.DataFrame({"a": [1]}), lambda: 1, 1j, b"x", Ellipsis])
def test_a_value_that_json_cannot_hold_is_told_with_its_type(lab, value):
    with pytest.raises(ShippingError, match=f"of type {type(value).__name__}"):
        answers["a"] = value


def test_two_values_under_one_label_are_refused(lab):
    with pytest.raises(ShippingError, match="same label twice"):
        answers["a"] = pd.Series([1, 2], index=["x", "x"])
    with pytest.raises(ShippingError, match="same label twice"):
        answers["a"] = {1: "a", "1": "b"}


@pytest.mark.parametrize("key", ["", 3, None])
def test_an_answer_needs_a_name(lab, key):
    with pytest.raises(ShippingError, match="an answer has a name"):
        answers[key] = 1


def test_an_answer_too_long_keeps_the_others(lab):
    answers["a"] = 1
    with pytest.raises(ShippingError, match="more than 1 MiB"):
        answers["b"] = "x" * 2**20
    assert dict(answers) == {"a": 1}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b""])
def test_a_broken_file_is_kept_aside_and_told_once(lab, content):
    (lab / "shipped").mkdir()
    (lab / "shipped" / "answers.json").write_bytes(content)
    with pytest.raises(ShippingError, match=r"is now answers\.broken\.json; run the cells"):
        answers["a"] = 1
    assert (lab / "shipped" / "answers.broken.json").read_bytes() == content
    answers["a"] = 1
    assert dict(answers) == {"a": 1}


def test_two_processes_that_write_lose_nothing(lab):
    code = "import sys; from course.shipping import answers\nfor n in range(40): answers[sys.argv[1] + str(n)] = n"
    writers = [subprocess.Popen([sys.executable, "-c", code, name], cwd=lab) for name in ("left", "right")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert set(answers) == {f"{name}{number}" for name in ("left", "right") for number in range(40)}
    assert leftovers(lab) == []


def test_reading_answers_makes_no_folder(lab):
    assert dict(answers) == {}
    with pytest.raises(KeyError):
        answers["a"]
    assert list(lab.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- artifact


def test_an_artifact_replaces_the_old_one_as_a_whole(lab):
    with artifact("model") as folder:
        (folder / "old.txt").write_text("1")
    with artifact("model") as folder:
        assert list(folder.iterdir()) == []
        (folder / "new.txt").write_text("2")
    assert [path.name for path in (lab / "shipped" / "model").iterdir()] == ["new.txt"]
    assert leftovers(lab) == []


def test_an_artifact_that_raises_keeps_the_old_one(lab):
    with artifact("model") as folder:
        (folder / "a.txt").write_text("good")
    with pytest.raises(ZeroDivisionError), artifact("model") as folder:
        _ = (folder / "a.txt").write_text("half") / 0
    assert (lab / "shipped" / "model" / "a.txt").read_text() == "good"
    assert leftovers(lab) == []


def test_an_artifact_left_empty_keeps_the_old_one(lab):
    with artifact("model") as folder:
        (folder / "a.txt").write_text("good")
    with pytest.raises(ShippingError, match="still empty"), artifact("model"):
        pass
    assert (lab / "shipped" / "model" / "a.txt").read_text() == "good"


def test_an_artifact_takes_the_place_of_a_file(lab):
    shipping.save("model", "a file")
    with artifact("model") as folder:
        (folder / "a.txt").write_text("1")
    assert (lab / "shipped" / "model" / "a.txt").exists()
    assert leftovers(lab) == []


@pytest.mark.parametrize("name", [".", "..", "../x", "", "/tmp/x", "./"])
def test_an_artifact_cannot_replace_the_whole_folder_or_one_outside(lab, name):
    answers["a"] = 1
    with pytest.raises(ShippingError), artifact(name) as folder:
        (folder / "a.txt").write_text("1")
    assert dict(answers) == {"a": 1}


# --------------------------------------------------------------------------------------------------------------- magics


def test_a_shipped_module_is_written_and_runs_in_the_notebook(shell, lab, capsys):
    shell.run_cell_magic("ship", "features.py", "def double(x):\n    return 2 * x\n")
    assert (lab / "shipped" / "features.py").read_text() == "def double(x):\n    return 2 * x\n"
    assert shell.user_ns["double"](21) == 42
    assert capsys.readouterr().out == "shipped features.py\n"


def test_a_module_that_is_only_written_does_not_run(shell, lab):
    shell.run_cell_magic("ship", "--no-run features.py", "raise SystemExit\n")
    assert (lab / "shipped" / "features.py").exists()


def test_other_files_are_only_written(shell, lab):
    shell.run_cell_magic("ship", "project.yaml", "a: 1\n")
    assert (lab / "shipped" / "project.yaml").read_text() == "a: 1\n"


def test_a_file_that_nobody_filled_in_is_told(shell, capsys):
    shell.run_cell("%%ship project.yaml\nsources:\n  # YOUR WORK HERE\n")
    assert "Not solved yet: it still holds YOUR WORK HERE." in capsys.readouterr().out
    shell.run_cell("%%ship project.yaml\nsources: {}\n")
    assert "Not solved yet" not in capsys.readouterr().out


def test_a_dictionary_in_the_place_of_answers_ships_what_it_holds(shell, lab, capsys):
    shell.run_cell("from course.shipping import answers\nanswers['late_rate'] = 0.2")
    shell.run_cell("answers = {'worst_month': 7}")
    assert "it was kept, and took over: worst_month" in capsys.readouterr().out
    assert shell.user_ns["answers"] is answers
    assert json.loads((lab / "shipped" / "answers.json").read_text()) == {"late_rate": 0.2, "worst_month": 7}
    shell.run_cell("answers = {'model': object()}")
    assert "not shipped: answers['model']" in capsys.readouterr().out
    assert shell.user_ns["answers"] is answers


def test_a_dictionary_that_was_never_what_ships_is_left_alone(shell, lab):
    shell.run_cell("answers = {'late_rate': 0.2}")
    assert shell.user_ns["answers"] == {"late_rate": 0.2}
    assert not (lab / "shipped").exists()


def test_nothing_is_handed_in_while_a_notebook_is_validated(shell, lab, monkeypatch, capsys):
    monkeypatch.setenv(handing_in.REHEARSAL, "1")
    shell.run_cell("%submit")
    assert "nothing is handed in" in capsys.readouterr().out
    assert list(lab.parent.rglob("*.zip")) == []


def test_an_import_sees_what_was_shipped_last(shell):
    for answer in (1, 2, 3):  # of equal size, within one second
        shell.run_cell_magic("ship", "--no-run fresh_module.py", f"ANSWER = {answer}\n")
        import fresh_module

        assert answer == fresh_module.ANSWER


def test_a_module_that_imports_another_is_read_again_when_the_other_is_shipped(shell):
    shell.run_cell_magic("ship", "--no-run fresh_base.py", "ANSWER = 1\n")
    shell.run_cell_magic("ship", "--no-run fresh_top.py", "from fresh_base import ANSWER\n")
    assert shell.run_cell("from fresh_top import ANSWER").success
    shell.run_cell_magic("ship", "--no-run fresh_base.py", "ANSWER = 2\n")
    assert shell.run_cell("from fresh_top import ANSWER").success
    assert shell.user_ns["ANSWER"] == 2


def test_a_shipped_module_does_not_push_out_one_of_the_same_name(shell):
    shell.run_cell_magic("ship", "--no-run json.py", "ANSWER = 1\n")
    assert sys.modules["json"] is json
    assert sys.path[-1] == str(shipping.folder())


def test_a_shipped_module_runs_by_its_own_rules_of_annotations(shell):
    shell.run_cell_magic("ship", "features.py", "def f(x: int): ...\n")
    assert shell.user_ns["f"].__annotations__ == {"x": int}


def test_an_error_in_a_shipped_module_names_its_line(shell, lab):
    with pytest.raises(ZeroDivisionError) as caught:
        shell.run_cell_magic("ship", "features.py", "a = 1\nb = a / 0\n")
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1) == (str(lab / "shipped" / "features.py"), 2)


def test_a_function_of_a_shipped_module_can_be_pickled_once_imported(shell):
    shell.run_cell_magic("ship", "features_to_pickle.py", "def double(x):\n    return 2 * x\n")
    from features_to_pickle import double

    assert pickle.loads(pickle.dumps(double))(21) == 42


@pytest.mark.parametrize("line", ["", "a.py b.py", "--run a.py", "--no-run"])
def test_a_magic_line_that_is_not_understood_says_how_to_write_it(shell, lab, line):
    with pytest.raises(ShippingError, match="write %%ship and the name of one file"):
        shell.run_cell_magic("ship", line, "x = 1\n")
    assert not (lab / "shipped").exists()


def test_a_name_with_an_open_quote_is_told(shell):
    with pytest.raises(ShippingError, match="cannot be read"):
        shell.run_cell_magic("ship", "'a.py", "x = 1\n")


def test_a_draft_is_written_beside_the_notebook_and_not_shipped(shell, lab, capsys):
    shell.run_cell_magic("draft", "late-flights/src/a.py", "raise SystemExit\n")
    assert (lab / "late-flights" / "src" / "a.py").read_text() == "raise SystemExit\n"
    assert not (lab / "shipped").exists()
    assert capsys.readouterr().out == "wrote late-flights/src/a.py\n"


@pytest.mark.parametrize("line", ["", "a b", "../a.py", "/tmp/a.py"])
def test_a_draft_stays_in_the_lab(shell, lab, line):
    with pytest.raises(ShippingError):
        shell.run_cell_magic("draft", line, "x\n")
    assert list(lab.iterdir()) == []


@pytest.mark.parametrize("indent", ["    ", "        ", "\t", "\t  "])
def test_commands_of_a_makefile_begin_with_a_tab(shell, lab, indent):
    shell.run_cell_magic("draft", "Makefile", f"all: a\n{indent}echo done\n\na:\n{indent}touch a\n")
    assert (lab / "Makefile").read_text() == "all: a\n\techo done\n\na:\n\ttouch a\n"
    assert subprocess.run(["make", "-s"], cwd=lab, capture_output=True, text=True, check=True).stdout == "done\n"


def test_tabs_are_mentioned_only_where_they_were_set(shell, capsys):
    shell.run_cell_magic("draft", "Makefile", "all:\n\techo done\n")
    assert "tabs" not in capsys.readouterr().out
    shell.run_cell_magic("draft", "Makefile", "all:\n    echo done\n")
    assert "spaces before commands became tabs" in capsys.readouterr().out


def test_spaces_of_other_files_stay(shell, lab):
    shell.run_cell_magic("draft", "a.yaml", "a:\n    b: 1\n")
    assert (lab / "a.yaml").read_text() == "a:\n    b: 1\n"


def test_an_error_of_shipping_is_shown_in_one_line():
    assert ShippingError("so it is.")._render_traceback_() == ["Not shipped: so it is."]


# --------------------------------------------------------------------------------------------------------- repositories


def git(tree: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(lab: Path) -> Path:
    """A git work tree in the lab, without a commit yet."""
    folder = lab / "late-flights"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "a.txt").write_text("1")
    return folder


def commit(tree: Path, message: str = "Begin") -> None:
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", message)


def test_a_repository_is_shipped_with_its_history(tree, lab, capsys):
    commit(tree)
    (tree / "a.txt").write_text("2")
    commit(tree, "Change")
    ship_repository("late-flights")
    assert capsys.readouterr().out == "shipped late-flights.bundle: 2 commits\n"
    git(lab, "clone", "-q", "shipped/late-flights.bundle", "copy")
    assert (lab / "copy" / "a.txt").read_text() == "2"
    assert git(lab / "copy", "log", "--format=%s").split() == ["Change", "Begin"]


def test_what_is_not_committed_is_not_shipped_and_that_is_said(tree, lab, capsys):
    commit(tree)
    for number in range(7):
        (tree / f"new{number}.txt").touch()
    ship_repository("late-flights")
    out = capsys.readouterr().out
    assert "1 commit\n" in out
    assert "not shipped, because not committed: new0.txt" in out
    assert ", …" in out
    git(lab, "clone", "-q", "shipped/late-flights.bundle", "copy")
    assert not (lab / "copy" / "new0.txt").exists()


def test_a_repository_without_a_commit_keeps_what_was_shipped(tree, lab):
    shipping.save("late-flights.bundle", "old")
    with pytest.raises(ShippingError, match="has no commit yet"):
        ship_repository("late-flights")
    assert (lab / "shipped" / "late-flights.bundle").read_text() == "old"


def test_a_folder_that_is_no_repository_is_not_taken_for_the_one_around_it(lab):
    git(lab, "init", "-q")
    (lab / "late-flights").mkdir()
    with pytest.raises(ShippingError, match="late-flights is no git repository yet"):
        ship_repository("late-flights")


@pytest.mark.parametrize("path", ["nowhere", "../lab", "/tmp", ""])
def test_a_path_that_leads_nowhere_or_out_is_told(lab, path):
    with pytest.raises(ShippingError):
        ship_repository(path)


def test_a_repository_on_a_detached_head_is_shipped(tree, lab):
    commit(tree)
    git(tree, "checkout", "-q", "--detach")
    ship_repository("late-flights")
    git(lab, "clone", "-q", "shipped/late-flights.bundle", "copy")
    assert (lab / "copy" / "a.txt").exists()


def test_a_bundle_that_fails_keeps_the_old_one(tree, lab, monkeypatch):
    commit(tree)
    ship_repository("late-flights")
    before = (lab / "shipped" / "late-flights.bundle").read_bytes()
    (tree / "a.txt").write_text("2")
    commit(tree, "Change")
    for path in (tree / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(ShippingError):
        ship_repository("late-flights")
    assert (lab / "shipped" / "late-flights.bundle").read_bytes() == before
    assert leftovers(lab / "shipped") == []


def test_a_machine_without_git_is_told_what_to_do(tree, monkeypatch):
    commit(tree)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ShippingError, match="git is not installed"):
        ship_repository("late-flights")
