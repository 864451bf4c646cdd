"""Workers that grade many at once, die and are replaced. What they do here is no grading, so that it is fast."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest

from course.grading.pipeline import assignment, submission, worker_pool
from course.grading.pipeline.submission import Cell, Notebook, SubmissionOutcome, Work
from course.grading.sandbox import policy, zygote
from course.labs.runner import Cause, Stop

KEY = assignment.Assignment("01_tiny", ())
MARKS = "COURSE_TEST_MARKS"


def work(student, kind="good"):
    return Work(student, {"kind": kind.encode()}, KEY)


def grade(task):
    """Do what the submission says, and leave a mark for each try."""
    kind = task.files["kind"].decode()
    with open(os.environ[MARKS], "a") as marks:
        marks.write(f"{task.student}\n")
    tries = Path(os.environ[MARKS]).read_text().split().count(task.student)
    if kind == "kills" or (kind == "kills once" and tries == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "breaks" or (kind == "breaks once" and tries == 1):
        raise ValueError("what is this?")
    if kind == "fills the disk":
        raise OSError(28, "No space left on device")
    if kind == "no zygote":
        raise zygote.ZygoteError("it does not start")
    if kind == "no sandbox":
        raise policy.NoSandbox("none here")
    if kind == "slow":
        time.sleep(0.5)
    outcome = SubmissionOutcome(task.student, "01_tiny", submission.fingerprint(task.files), "tests")
    if kind == "starves" or (kind == "starves once" and tries == 1):
        cells = [Cell("a", 10, 0.0, "no file"), Cell("b", 10, 10.0, "right"), Cell("c", 10, None, by_hand=True)]
        outcome.notebooks = [Notebook("01_answer", cells=cells, starved="The given cell 'x' was stopped")]
    if kind == "late" or (kind == "late once" and tries == 1):
        outcome.notebooks = [Notebook("01_answer", cells=[Cell("a", 10, 0.0, "too slow")], late=True)]
    return outcome


@pytest.fixture
def marks(tmp_path, monkeypatch):
    path = tmp_path / "marks"
    path.touch()
    monkeypatch.setenv(MARKS, str(path))
    return lambda: path.read_text().split()


def run(works, workers=2):
    with worker_pool.WorkerPool(workers, grade=grade, warm=False) as them:
        return {one.student: outcome for one, outcome in them.outcomes(works)}


def test_everybody_is_graded_once(marks):
    found = run([work(f"s{number}") for number in range(12)])
    assert sorted(found) == sorted(f"s{number}" for number in range(12))
    assert sorted(marks()) == sorted(found)


def test_nobody_to_grade_is_no_trouble(marks):
    assert run([]) == {}


def test_a_submission_that_kills_its_worker_is_tried_twice_and_then_waits_for_a_person(marks):
    found = run([work("a", "slow"), work("bad", "kills"), *(work(f"s{number}") for number in range(6))])
    assert len(found) == 8
    assert [student for student, outcome in found.items() if outcome.trouble] == ["bad"]
    assert "twice" in found["bad"].trouble
    assert marks().count("bad") == 2


def test_a_worker_that_dies_once_costs_nobody_anything(marks):
    found = run([work("bad", "kills once"), *(work(f"s{number}", "slow") for number in range(5))])
    assert len(found) == 6
    assert not any(outcome.trouble for outcome in found.values())


def test_where_the_machine_had_no_time_for_a_given_cell_all_is_tried_again_alone_and_then_waits(marks):
    done = run([work("ada", "starves"), work("bob", "starves once"), work("cyd")])
    assert sorted(marks()) == ["ada", "ada", "bob", "bob", "cyd"]
    assert set(marks()[-2:]) == {"ada", "bob"}  # when everybody else is done
    lost, right, by_hand = done["ada"].notebooks[0].cells
    assert (lost.score, right.score, by_hand.score) == (None, 10.0, None)
    assert lost.text == "The given cell 'x' was stopped. The checks said: no file"
    assert done["bob"].notebooks == []


def test_where_a_question_missed_its_deadline_all_is_tried_again_alone_and_then_counts(marks):
    done = run([work("ada", "late"), work("bob", "late once"), work("cyd")])
    assert sorted(marks()) == ["ada", "ada", "bob", "bob", "cyd"]
    assert set(marks()[-2:]) == {"ada", "bob"}
    assert [cell.score for cell in done["ada"].notebooks[0].cells] == [0.0]
    assert done["bob"].notebooks == []


@pytest.mark.parametrize(
    ("stops", "blamed"),
    [
        ({1: Cause.TIME}, True),
        ({1: Cause.DEATH}, True),
        ({1: Cause.EXCESS}, False),
        ({0: Cause.TIME}, False),
        ({1: Cause.TIME, 0: Cause.TIME}, False),
        ({1: Cause.TIME, 0: Cause.EXCESS}, True),
        ({}, False),
    ],
)
def test_the_machine_is_blamed_if_the_first_cell_that_it_may_have_stopped_was_given(stops, blamed):
    source = assignment.SourceNotebook("n", {}, (), (assignment.hash_of("given()\n"),))
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in ("answer()", "given()")])
    stopped = {index: Stop(cause, "it was stopped") for index, cause in stops.items()}
    assert bool(submission.starved(nb, source, stopped)) == blamed


def test_several_killers_do_not_stop_the_rest(marks):
    kinds = ["kills", "good", "kills", "slow", "kills", "good"]
    found = run([work(f"s{number}", kind) for number, kind in enumerate(kinds)])
    assert {student for student, outcome in found.items() if outcome.trouble} == {"s0", "s2", "s4"}


def test_an_error_of_the_engine_is_tried_again_and_then_named(marks):
    found = run([work("once", "breaks once"), work("twice", "breaks"), work("fine")])
    assert found["twice"].trouble == "grading it failed twice (ValueError: what is this?); a person must look"
    assert not found["once"].trouble
    assert not found["fine"].trouble


def test_a_full_disk_ends_the_run(marks):
    with pytest.raises(OSError, match="No space left"):
        run([work("a", "fills the disk"), work("b", "slow")])


def test_no_sandbox_ends_the_run(marks):
    with pytest.raises(policy.NoSandbox):
        run([work("a", "no sandbox")])


def test_warm_processes_that_do_not_start_end_the_run_and_blame_no_submission(marks):
    with pytest.raises(zygote.ZygoteError):
        run([work("a", "no zygote"), work("b"), work("c")])


def test_the_outcomes_come_while_others_are_still_to_be_read(marks):
    read = []

    def source():
        for number in range(50):
            read.append(number)
            yield work(f"s{number}")

    with worker_pool.WorkerPool(2, grade=grade, warm=False) as them:
        next(iter(them.outcomes(source())))
        assert len(read) <= 4  # memory does not grow with the class


def runs(pid):
    """Whether a process runs; one that has ended may wait a while for the system to count it out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = """
import os, time
from course.grading.pipeline import assignment, worker_pool
from course.grading.pipeline.submission import Work
def grade(work):
    os.write(1, f"{os.getpid()}\\n".encode())  # one write, so that the lines of two workers never mix
    time.sleep(1000)
with worker_pool.WorkerPool(2, grade=grade, warm=False) as them:
    list(them.outcomes([Work("a", {}, assignment.Assignment("l", ())), Work("b", {}, assignment.Assignment("l", ()))]))
"""
    parent = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script], stdout=subprocess.PIPE, text=True)
    with parent.stdout:
        try:
            workers = [int(parent.stdout.readline()) for _ in range(2)]
        finally:
            parent.kill()
            parent.wait()
    while any(map(runs, workers)):  # what does not end reaches the time limit of this test, before it ends by itself
        time.sleep(0.05)


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(worker_pool, "CONNECT_S", 1)
    before = tempfile.gettempdir()
    with (
        pytest.raises(worker_pool.WorkerPoolError, match=r"dask\.distributed|no Dask scheduler"),
        worker_pool.WorkerPool(cluster="tcp://127.0.0.1:1"),
    ):
        pass
    assert tempfile.gettempdir() == before
    assert list(Path(before).glob(f"course-run-{os.getpid()}-*")) == []
