"""A student's function that writes files is called in a worker, and what it wrote comes back as bytes."""

from __future__ import annotations

import pytest

from course.checks import CheckFailed, Unmet
from course.checks.core import processes
from course.checks.python.writers import writer


@pytest.fixture
def ship(tmp_path, monkeypatch, warm_workers):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    yield lambda text: (tmp_path / "star.py").write_text(text)
    processes.end_all()


def test_what_is_written_stays_between_calls_of_one_trial(ship):
    ship("def write(name, folder):\n    (folder / 'a').mkdir(exist_ok=True)\n    path = folder / 'a' / name\n"
         "    path.write_text(name)\n    return path\n")  # fmt: skip
    star = writer("star.py")
    first = star.call("write", "one")
    assert (first.value, first.files) == ("a/one", {"a/one": b"one"})
    assert star.call("write", "two").below("a") == {"one": b"one", "two": b"two"}
    assert star.call("write", "two", trial="other").files == {"a/two": b"two"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import os; os.symlink('/etc/passwd', folder / 'a')", "a is not an ordinary file"),
        ("import os; os.mkfifo(folder / 'a')", "a is not an ordinary file"),
        ("[(folder / str(n)).touch() for n in range(400)]", "more than 300 files"),
        ("raise ValueError('no costs')", "line 2: ValueError: no costs"),
    ],
)
def test_what_cannot_be_looked_at_has_a_reason(ship, body, reason):
    ship(f"def write(folder):\n    {body}\n")
    with pytest.raises(CheckFailed, match=reason):
        writer("star.py").call("write")


def test_a_function_that_is_not_there_is_named(ship):
    ship("x = 1\n")
    with pytest.raises(Unmet, match=r"there is no write in star\.py"):
        writer("star.py").call("write")
