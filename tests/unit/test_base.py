"""The bottom room: files are replaced whole, untrusted ones are opened with care, names of labs are understood."""

from __future__ import annotations

import datetime as dt
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from course.base import atomic, names, timestamps, untrusted
from course.base.errors import UserError
from course.base.untrusted import FileRefused, Reason

# -- replaced as a whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_written_with_its_folder_and_nothing_is_left_beside_it(tmp_path, durable, concurrent):
    path = tmp_path / "new" / "a.txt"
    atomic.write(path, "ä", durable=durable, concurrent=concurrent, mode=0o640)
    assert path.read_bytes() == "ä".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_what_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def stopped():
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["nothing", "a file", "a folder"])
def test_a_folder_takes_the_place_of_what_was_there(tmp_path, before):
    path = tmp_path / "model"
    if before == "a file":
        path.write_text("old")
    elif before == "a folder":
        (path / "old").mkdir(parents=True)
    with atomic.replacing_folder(path) as fresh:
        (fresh / "a").write_text("new")
    assert [file.name for file in path.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "model"
    (path / "old").mkdir(parents=True)
    replace = os.replace

    def refuses(source, target):
        if str(source).endswith(".new"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", refuses)
    with pytest.raises(OSError, match="No space"), atomic.replacing_folder(path):
        pass
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


# -- untrusted files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path):
    """A folder with an ordinary file and with what must not be opened."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.txt").write_text("hello")
    (tmp_path / "link").symlink_to("inner/a.txt")
    (tmp_path / "linked").symlink_to("inner")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    return tmp_path


def refusal(function, *arguments) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        function(*arguments)
    return caught.value


def test_an_ordinary_file_is_read(hostile):
    assert untrusted.read_file(hostile / "inner" / "a.txt", 5) == b"hello"
    assert untrusted.read_below(hostile, "inner/a.txt", 5) == b"hello"


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("link", Reason.NOT_ORDINARY, "a link"),
        ("inner", Reason.NOT_ORDINARY, "a folder"),
        ("pipe", Reason.NOT_ORDINARY, "a pipe"),
        ("socket", Reason.NOT_ORDINARY, "a socket"),
        ("nowhere", Reason.MISSING, ""),
        ("inner/a.txt/b", Reason.MISSING, ""),
    ],
)
def test_what_is_no_ordinary_file_is_refused_and_nothing_waits(hostile, name, reason, detail):
    for refused in (
        refusal(untrusted.read_file, hostile / name, 100),
        refusal(untrusted.read_below, hostile, name, 100),
    ):
        assert (refused.reason, refused.detail) == (reason, detail)


def test_a_device_is_not_touched():
    assert refusal(untrusted.open_file, Path("/dev/zero")).detail == "a device"


def test_a_link_on_the_way_is_not_followed(hostile):
    assert refusal(untrusted.read_below, hostile, "linked/a.txt", 100).reason in (Reason.MISSING, Reason.UNREADABLE)
    assert refusal(untrusted.read_below, hostile / "linked", "a.txt", 100).reason in (
        Reason.MISSING,
        Reason.UNREADABLE,
    )


def test_a_large_file_is_refused_with_its_size(hostile):
    refused = refusal(untrusted.read_file, hostile / "inner" / "a.txt", 4)
    assert (refused.reason, refused.size) == (Reason.TOO_LARGE, 5)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", ""])
def test_a_path_that_leads_out_of_the_folder_is_a_mistake_of_the_caller(hostile, name):
    with pytest.raises(ValueError, match="must be a path below"):
        untrusted.read_below(hostile, name, 10)


# -- names and times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1", "01", "01_python_model", "labs/01_python_model/", "/x/01_python_model"])
def test_a_lab_is_found_by_what_people_call_it(name):
    known = [Path("labs/01_python_model"), Path("labs/02_serialisation")]
    assert names.find(name, known) == known[0]


@pytest.mark.parametrize("name", ["3", "test_it", "03_test_it.ipynb", "03"])
def test_a_notebook_is_found_by_name_or_number(name):
    known = [Path("03_test_it.ipynb")]
    if name == "test_it":
        with pytest.raises(names.UnknownName, match=r"no notebook 'test_it'; there are: 03_test_it"):
            names.find(name, known, "notebook")
    else:
        assert names.find(name, known, "notebook") == known[0]


def test_a_time_that_was_written_is_read_and_any_other_text_is_none():
    moment = dt.datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=dt.UTC)
    assert timestamps.read(timestamps.write(moment)) == moment
    assert timestamps.read("yesterday") is None
    assert timestamps.text({timestamps.FILE: b" noon \n"}) == "noon"
    assert timestamps.text({}) == ""


def test_in_a_notebook_an_error_of_the_users_is_one_line():
    assert UserError("name another")._render_traceback_() == ["Error: name another"]


def test_the_room_needs_the_standard_library_alone():
    code = (
        "import sys, importlib, pkgutil, course.base\n"
        "[importlib.import_module(f'course.base.{m.name}') for m in pkgutil.iter_modules(course.base.__path__)]\n"
        "print({m for m in sys.modules if m.startswith('course') and not m.startswith('course.base')} - {'course'},"
        " {'numpy', 'yaml', 'click'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set() set()"
