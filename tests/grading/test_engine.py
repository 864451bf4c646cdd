"""The engine whole: a class of small submissions, really run. It leaves nothing behind, here or on a cluster."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from gauge import Gauge

from course.grading.pipeline import classroom, outcomes, submission, worker_pool
from course.grading.sandbox import policy

LAB = "01_tiny"
COUNT = int(os.environ.get("COURSE_TEST_CLASS", "100"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # it starts many kernels, beside other tests
    pytest.mark.skipif(policy.why_not() is not None, reason=f"no sandbox: {policy.why_not()}"),
]


def hand_in(root, count):
    """More students with the work of the first, each a little differently."""
    files = outcomes.handed_in(root / "classroom" / "submitted" / "ada" / LAB).files
    for number in range(count):
        folder = root / "classroom" / "submitted" / f"student-{number:04}" / LAB
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data.replace(b'"cells": [', b'"cells": [' + b" " * number, 1))


def processes(scratch):
    """What lives of a run: children of this process, and the zygote below a scratch folder with all its forks."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == os.getpid() or str(scratch) in line:
            found.add(int(folder.name))
    return found


@pytest.fixture
def short_folder():
    """A temporary folder with a path that leaves room for sockets."""
    with tempfile.TemporaryDirectory(prefix="ct-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.exhaustive
def test_hundreds_of_submissions_leave_nothing_behind_and_do_not_slow_down(class_root, short_folder, monkeypatch):
    """Memory is bounded; no process, file descriptor or temporary file is left; the last are as fast as the first."""
    scratch = short_folder
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    hand_in(class_root, COUNT)
    before, descriptors, shared = processes(scratch), os.listdir("/proc/self/fd"), os.listdir("/dev/shm")
    gauge, finished = Gauge(os.getpid(), every_s=1.0), []
    keep = outcomes.Store.keep

    def note(store, outcome, files):
        finished.append(time.monotonic())
        keep(store, outcome, files)

    monkeypatch.setattr(outcomes.Store, "keep", note)
    gauge.start()
    with worker_pool.WorkerPool(2) as workers:
        summary = classroom.grade(class_root, LAB, workers, classroom.Options(quiet=True))
    gauge.stop()
    assert len(summary.graded) == COUNT + 4
    assert summary.trouble == {}
    assert {row["score"] for row in summary.scores.values()} == {90.0}
    assert list(scratch.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors)
    deadline = time.monotonic() + 20

    def left():
        memory = set(os.listdir("/dev/shm")) - set(shared)  # other tests run beside this one: theirs goes, or is named
        return processes(scratch) - before, {name for name in memory if not name.startswith("PostgreSQL.")}

    while any(left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(left()), left()
    assert gauge.highest_gib < 3
    half = len(finished) // 2
    first, second = finished[half] - finished[0], finished[-1] - finished[half]
    assert second < 3 * first  # other tests run beside this one


def test_a_zygote_that_is_killed_costs_nobody_a_point(class_root):
    hand_in(class_root, 6)
    with worker_pool.WorkerPool(2) as workers:

        def kill():
            time.sleep(4)
            workers._zygote._process.kill()

        threading.Thread(target=kill, daemon=True).start()
        summary = classroom.grade(class_root, LAB, workers, classroom.Options(quiet=True))
    assert summary.trouble == {}
    assert {row["score"] for row in summary.scores.values()} == {90.0}


def test_a_dask_cluster_gives_the_same_grades(class_root):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp"
        ) as cluster,
        worker_pool.WorkerPool(cluster=cluster.scheduler_address) as workers,
    ):
        assert workers.width == 2
        summary = classroom.grade(class_root, LAB, workers, classroom.Options(quiet=True))
    assert sorted(summary.graded) == ["ada", "bob", "cyd", "dee"]
    assert {row["score"] for row in summary.scores.values()} == {90.0}


def test_a_submission_runs_the_same_in_this_process(class_root):
    """What a worker does needs neither a pool nor a database."""
    from course.grading.gradebook import database
    from course.grading.pipeline import assignment
    from course.labs import release

    config = release.configuration(class_root).CourseDirectory
    with database.Gradebook(config.db_url, config.course_id) as book, book.transaction() as connection:
        cells = assignment.load(connection, class_root / "solutions" / LAB)
    files = outcomes.handed_in(class_root / "classroom" / "submitted" / "ada" / LAB).files
    script = submission.Work("ada", files, cells, deadline_s=600)
    outcome = submission.grade(script)
    submission._forget_zygote()
    assert [cell.score for book in outcome.notebooks for cell in book.cells] == [40.0, 10.0, None, 40.0]
    assert all("python" in book.executed for book in outcome.notebooks)
