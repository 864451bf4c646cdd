"""course.grading.pipeline.snapshot: what was shipped is copied before each question, and only what changed."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from course.grading.pipeline import snapshot
from course.grading.pipeline.snapshot import Snapshot


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    (folder / "model").mkdir(parents=True)
    (folder / "f.py").write_text("def f(): pass")
    (folder / "model" / "model.joblib").write_bytes(bytes(100_000))
    return folder


@pytest.fixture
def copy(shipped, tmp_path):
    return Snapshot(shipped, tmp_path / "copy", os.getuid())


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_is_the_same(shipped, copy):
    copy.take()
    assert tree(copy.target) == tree(shipped)


def test_only_what_changed_is_copied_again(shipped, copy):
    copy.take()
    before = {path: path.stat().st_ino for path in copy.target.rglob("*")}
    (shipped / "f.py").write_text("def f(): ...!")
    (shipped / "new").mkdir()
    (shipped / "new" / "one").touch()
    copy.take()
    assert tree(copy.target) == tree(shipped)
    assert (copy.target / "model/model.joblib").stat().st_ino == before[copy.target / "model/model.joblib"]


def test_a_forged_time_of_change_hides_nothing(shipped, copy):
    copy.take()
    old = (shipped / "f.py").stat()
    (shipped / "f.py").write_text("def f(): 2222")
    os.utime(shipped / "f.py", ns=(old.st_atime_ns, old.st_mtime_ns))
    copy.take()
    assert (copy.target / "f.py").read_text() == "def f(): 2222"


def test_what_takes_the_place_of_something_else_takes_it_in_the_copy(shipped, copy):
    copy.take()
    (shipped / "f.py").unlink()
    (shipped / "f.py").mkdir()
    (shipped / "f.py" / "inner").write_text("x")
    (shipped / "model" / "model.joblib").unlink()
    (shipped / "model").rmdir()
    (shipped / "model").write_text("no folder any more")
    copy.take()
    assert tree(copy.target) == {"f.py/inner": b"x", "model": b"no folder any more"}


def test_links_stay_links_and_are_not_followed(shipped, copy, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (shipped / "link").symlink_to(tmp_path / "secret")
    (shipped / "model.joblib").symlink_to(tmp_path / "secret" / "key")
    copy.take()
    assert os.readlink(copy.target / "link") == str(tmp_path / "secret")
    assert (copy.target / "model.joblib").is_symlink()
    assert not any(b"secret" in content for name, content in tree(copy.target).items() if name != "model.joblib")


def test_what_is_no_ordinary_file_is_a_pipe_there(shipped, copy):
    os.mkfifo(shipped / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(shipped / "socket"))
        copy.take()
    assert stat.S_ISFIFO((copy.target / "pipe").lstat().st_mode)
    assert stat.S_ISFIFO((copy.target / "socket").lstat().st_mode)


def test_budgets_bound_what_is_copied(shipped, copy, monkeypatch):
    monkeypatch.setattr(snapshot, "MAX_FILE_BYTES", 1000)
    with open(shipped / "huge", "wb") as file:
        file.truncate(1 << 42)
    deep = shipped
    for _ in range(200):
        deep = deep / "d"
        deep.mkdir()
    copy.take()
    assert (copy.target / "huge").stat().st_size == snapshot.LONGEST
    assert (copy.target / "model/model.joblib").stat().st_blocks == 0
    monkeypatch.setattr(snapshot, "MAX_ENTRIES", 3)
    copy.take()
    assert sum(1 for _ in copy.target.rglob("*")) <= 3


def test_nothing_of_the_copy_depends_on_the_rights_of_what_was_shipped(shipped, copy):
    (shipped / "f.py").chmod(0o4777)
    copy.take()
    assert stat.S_IMODE((copy.target / "f.py").stat().st_mode) == 0o644
