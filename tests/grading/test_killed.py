"""`course grade` is killed while it really grades, at any moment; the same command then ends as if nothing had been."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from course.grading.gradebook import database
from course.grading.pipeline import outcomes
from course.grading.sandbox import policy

LAB = "01_tiny"
STUDENTS = 8
KILLS = 20
COMMENTS = """select s.student_id, n.name, c.name, m.auto_comment, m.manual_comment from comment m
join submitted_notebook b on b.id = m.notebook_id join notebook n on n.id = b.notebook_id
join submitted_assignment s on s.id = b.assignment_id join base_cell c on c.id = m.cell_id order by 1, 2, 3"""


@pytest.fixture
def scratch():
    """A temporary folder for the command alone, with a path that leaves room for sockets."""
    with tempfile.TemporaryDirectory(prefix="ct-", dir="/tmp") as folder:
        yield Path(folder)


def start(root, scratch):
    command = [sys.executable, "-m", "course.cli", "--root", str(root), "grade", LAB, "--workers", "2"]
    env = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def living(*places):
    """The processes in whose command line one of these folders stands: the command, its forks, zygotes, kernels."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(folder.name) != os.getpid() and any(str(place) in line for place in places):
            found.append(int(folder.name))
    return found


def wait_until_gone(*places):
    deadline = time.monotonic() + 15
    while (left := living(*places)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def content(root):
    """All that the gradebook says, without ids that are made up."""
    with database.Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        with book.transaction() as connection:
            comments = [tuple(row) for row in connection.execute(sa.text(COMMENTS))]
        return book.scores(LAB), comments


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)  # more than twenty runs of some seconds each
@pytest.mark.skipif(policy.why_not() is not None, reason=f"no sandbox: {policy.why_not()}")
def test_killed_at_twenty_random_moments_real_grading_ends_as_an_undisturbed_run_does(class_root, scratch):
    first = outcomes.handed_in(class_root / "classroom" / "submitted" / "ada" / LAB).files
    for number in range(4, STUDENTS):
        folder = class_root / "classroom" / "submitted" / f"student-{number}" / LAB
        for name, data in first.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            wrong = data.replace(b"sum([20, 22])", b"20 * 22") if number % 2 else data
            (folder / name).write_bytes(wrong)
    calm, shared = class_root.parent / "calm", set(os.listdir("/dev/shm"))
    shutil.copytree(class_root, calm)
    started = time.monotonic()
    undisturbed = start(calm, scratch)
    assert undisturbed.wait(300) == 3, undisturbed.stderr.read()
    whole = time.monotonic() - started
    seed = random.randrange(1 << 32)
    dice, kills, rounds, graded = random.Random(seed), 0, 0, set()
    print(f"seed {seed}, an undisturbed run takes {whole:.1f} s")
    while kills < KILLS:
        rounds += 1
        process = start(class_root, scratch)
        try:
            process.wait(dice.uniform(0.0, whole))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            assert not wait_until_gone(scratch, class_root)
            graded.add(len(outcomes.Store(class_root, LAB).all()))
        else:
            assert process.returncode == 3, process.stderr.read()
            shutil.rmtree(class_root / "classroom" / "outcomes")  # done: begin anew, with the gradebook as it is
        process.stderr.close()
    last = start(class_root, scratch)
    assert last.wait(300) == 3, last.stderr.read()
    for process in (last, undisturbed):
        process.stderr.close()
    print(f"{rounds} runs, killed {kills} times with {sorted(graded)} submissions graded")
    assert content(class_root) == content(calm)
    assert len(outcomes.Store(class_root, LAB).all()) == STUDENTS
    assert not wait_until_gone(scratch, class_root)
    assert list(scratch.iterdir()) == []
    assert not [name for name in set(os.listdir("/dev/shm")) - shared if name.startswith(("course", "sem.mp", "psm_"))]
    assert not list((class_root / "classroom").rglob(".*.new"))
    assert not list((class_root / "classroom").rglob("*-journal"))
