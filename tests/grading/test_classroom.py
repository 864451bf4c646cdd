"""Grading a class: nothing is lost, nothing is done twice. The judging itself is faked here, so that it is fast."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from nbgrader.api import Gradebook

from course.base import atomic
from course.grading.gradebook import database
from course.grading.pipeline import classroom, outcomes, submission, worker_pool
from course.grading.pipeline.classroom import ClassroomError, Options
from course.grading.pipeline.submission import AnswerCell, Cell, Notebook, SubmissionOutcome

LAB = "01_tiny"
REPOSITORY = Path(__file__).resolve().parents[2]


def judge(work):
    """Scores that depend on what was handed in and on the tests, and on nothing else."""
    outcome = SubmissionOutcome(work.student, LAB, submission.fingerprint(work.files), work.assignment.fingerprint)
    for source in work.assignment.notebooks:
        text = work.files.get(f"{source.name}.ipynb", b"")
        seen = submission._hash(text, work.assignment.fingerprint)
        book = Notebook(source.name, executed='{"cells": []}')
        for cell in source.graded():
            by_hand = cell.task or cell.solution
            score = None if by_hand else float(int(seen, 16) % int(cell.points + 1))
            book.cells.append(Cell(cell.name, cell.points, score, "", None, seen, by_hand))
        book.answers = [
            AnswerCell(cell.name, False, seen, source.graded()[0].name) for cell in source.cells if cell.solution
        ]
        outcome.notebooks.append(book)
    return outcome


def judge_slowly(work):
    time.sleep(random.Random(work.student).uniform(0.0, 0.1))
    return judge(work)


def run(root, options=None, grade=judge, lab=LAB):
    with worker_pool.WorkerPool(2, grade=grade, warm=False) as workers:
        return classroom.grade(root, lab, workers, options or Options(quiet=True))


def gradebook(root):
    return Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights")


def content(root):
    """All that the gradebook says, without the ids that are made up."""
    with database.Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        with book.transaction() as connection:
            comments = connection.execute(
                sa.text(
                    "select s.student_id, n.name, c.name, m.auto_comment, m.manual_comment from comment m"
                    " join submitted_notebook b on b.id = m.notebook_id join notebook n on n.id = b.notebook_id"
                    " join submitted_assignment s on s.id = b.assignment_id join base_cell c on c.id = m.cell_id"
                    " order by 1, 2, 3"
                )
            ).all()
        return book.scores(LAB), comments, sorted(book.recorded(LAB).items())


def edit(root, student, notebook="01_answer"):
    path = root / "classroom" / "submitted" / student / LAB / f"{notebook}.ipynb"
    path.write_text(path.read_text().replace('"cells": [', '"cells":  ['))


def test_everybody_gets_a_grade(class_root):
    summary = run(class_root)
    assert sorted(summary.graded) == ["ada", "bob", "cyd", "dee"]
    assert summary.unchanged == []
    assert {row["points"] for row in summary.scores.values()} == {100.0}
    with gradebook(class_root) as book:
        assert {row.student_id: row.score for row in book.assignment_submissions(LAB)} == {
            student: row["score"] for student, row in summary.scores.items()
        }


def test_graded_work_stands_where_the_formgrader_looks(class_root):
    run(class_root)
    folder = class_root / "classroom" / "autograded" / "ada" / LAB
    assert (folder / "01_answer.ipynb").read_text() == '{"cells": []}'
    assert (folder / "timestamp.txt").is_file()


def test_what_has_not_changed_is_not_graded_again(class_root):
    run(class_root)
    before = content(class_root)
    summary = run(class_root)
    assert (summary.graded, len(summary.unchanged)) == ([], 4)
    assert content(class_root) == before


def test_only_a_changed_submission_is_graded_again(class_root):
    run(class_root)
    edit(class_root, "bob")
    assert run(class_root).graded == ["bob"]


def test_everybody_is_graded_again_when_the_tests_change(class_root):
    run(class_root)
    path = class_root / "solutions" / LAB / "checks" / "01-1-sum.py"
    text = path.read_text()
    assert "BEGIN HIDDEN TESTS" in text
    path.write_text(text.replace("### BEGIN HIDDEN TESTS", "### BEGIN HIDDEN TESTS\n# stricter now"))
    assert len(run(class_root).graded) == 4


def test_all_are_graded_again_when_asked(class_root):
    run(class_root)
    assert len(run(class_root, Options(again=True, quiet=True)).graded) == 4


def test_a_resubmission_without_changes_gets_its_new_time_and_no_new_run(class_root):
    run(class_root)
    stamp = class_root / "classroom" / "submitted" / "ada" / LAB / "timestamp.txt"
    stamp.write_text("2030-01-02 03:04:05.000000 UTC\n")
    assert run(class_root).graded == []
    with gradebook(class_root) as book:
        assert book.find_submission(LAB, "ada").timestamp.year == 2030


def test_a_gradebook_that_is_gone_is_written_again_from_the_outcomes(class_root):
    run(class_root)
    before = content(class_root)
    (class_root / "classroom" / "gradebook.db").unlink()
    assert run(class_root).graded == []
    assert content(class_root) == before


def test_an_outcome_that_cannot_be_read_is_made_again(class_root):
    run(class_root)
    outcomes.Store(class_root, LAB).path("cyd").write_text('{"version": 1, "outcome": {')
    assert run(class_root).graded == ["cyd"]


# -- what people entered -----------------------------------------------------------------------------------------------


def enter(root, student, cell, **values):
    """As the formgrader does: a score or extra credit, and it waits no more."""
    with gradebook(root) as book:
        grade = book.find_grade(cell, "01_answer", LAB, student)
        for name, value in {"needs_manual_grade": False, **values}.items():
            setattr(grade, name, value)
        book.db.commit()


def entered(root, student, cell):
    with gradebook(root) as book:
        grade = book.find_grade(cell, "01_answer", LAB, student)
        return grade.manual_score, grade.extra_credit, grade.needs_manual_grade


@pytest.mark.parametrize("values", [{"manual_score": 7.0}, {"manual_score": 3.0, "extra_credit": 2.0}])
def test_what_a_person_entered_stays_and_waits_only_when_the_work_changed(class_root, values):
    run(class_root)
    enter(class_root, "ada", "01-1-why", **values)
    kept = (values.get("manual_score"), values.get("extra_credit"))
    run(class_root, Options(again=True, quiet=True))
    assert entered(class_root, "ada", "01-1-why") == (*kept, False)
    edit(class_root, "ada", "02_module")
    run(class_root)
    assert entered(class_root, "ada", "01-1-why") == (*kept, False)  # another notebook
    edit(class_root, "ada")
    run(class_root)
    assert entered(class_root, "ada", "01-1-why") == (*kept, True)
    run(class_root, Options(again=True, quiet=True))
    assert entered(class_root, "ada", "01-1-why") == (*kept, True)  # until a person has looked


def test_extra_credit_for_what_machines_grade_is_looked_at_when_the_work_changed(class_root):
    run(class_root)
    enter(class_root, "ada", "01-1-sum", extra_credit=5.0)
    run(class_root, Options(again=True, quiet=True))
    assert entered(class_root, "ada", "01-1-sum") == (None, 5.0, False)
    edit(class_root, "ada")
    run(class_root)
    assert entered(class_root, "ada", "01-1-sum") == (None, 5.0, True)


def test_a_persons_comment_stays_and_its_question_is_looked_at_when_the_answer_changed(class_root):
    run(class_root)
    with gradebook(class_root) as book:
        comment = book.find_comment("01-1-sum-answer", "01_answer", LAB, "ada")
        comment.manual_comment = "Well put."
        book.db.commit()
    edit(class_root, "ada")
    run(class_root)
    with gradebook(class_root) as book:
        assert book.find_comment("01-1-sum-answer", "01_answer", LAB, "ada").manual_comment == "Well put."
    with database.Gradebook(f"sqlite:///{class_root}/classroom/gradebook.db", "late-flights") as book:
        first = judge_first(class_root)
        row = next(row for row in book.scores(LAB) if row["student"] == "ada" and row["cell"] == first)
        assert row["waiting"]


def judge_first(root):
    """The graded cell to which `judge` attaches every answer of the notebook."""
    return outcomes.Store(root, LAB).read("ada").notebooks[0].cells[0].grade_id


# -- late --------------------------------------------------------------------------------------------------------------


def test_late_work_is_penalised_as_nbgraders_plugin_says(class_root):
    with (class_root / "nbgrader_config.py").open("a") as file:
        file.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    with gradebook(class_root) as book:
        book.update_or_create_assignment(LAB, duedate="2026-01-01 12:00:00 UTC")
    for student, when in (("ada", "2026-01-01 11:59:59"), ("bob", "2026-01-01 12:00:01")):
        stamp = class_root / "classroom" / "submitted" / student / LAB / "timestamp.txt"
        stamp.write_text(f"{when}.000000 UTC\n")
    standing = run(class_root).scores
    assert standing["ada"]["penalty"] == 0
    assert standing["bob"]["penalty"] > 0
    assert standing["bob"]["score"] == 0


# -- trouble -----------------------------------------------------------------------------------------------------------


def kill_for_bob(work):
    if work.student == "bob":
        os.kill(os.getpid(), signal.SIGKILL)
    return judge(work)


def test_a_submission_that_cannot_be_graded_waits_for_a_person_and_is_tried_again_the_next_time(class_root):
    summary = run(class_root, grade=kill_for_bob)
    assert list(summary.trouble) == ["bob"]
    assert summary.waiting["bob"] == len([1 for row in content(class_root)[0] if row["student"] == "bob"])
    assert sorted(summary.graded) == ["ada", "bob", "cyd", "dee"]
    mended = run(class_root)
    assert mended.graded == ["bob"]
    assert mended.trouble == {}
    clean = class_root.parent / "clean"
    shutil.copytree(class_root, clean, ignore=shutil.ignore_patterns("outcomes", "gradebook.db"))
    run(clean)
    assert content(class_root) == content(clean)


def odd_for_bob(work):
    """An outcome that no file can hold, as one who found a new way to send odd text would cause it."""
    outcome = judge(work)
    if work.student == "bob":
        outcome.notebooks[0].executed = "half \ud800"
    return outcome


def unwritable_for_bob(work):
    """An outcome that the gradebook cannot take."""
    outcome = judge(work)
    if work.student == "bob":
        outcome.notebooks[0].cells[0].score = "a score"
    return outcome


@pytest.mark.parametrize("grade", [odd_for_bob, unwritable_for_bob])
def test_an_outcome_that_cannot_be_kept_or_written_is_one_students_trouble(class_root, grade):
    summary = run(class_root, grade=grade)
    assert sorted(summary.graded) == ["ada", "bob", "cyd", "dee"]
    assert list(summary.trouble) == ["bob"]
    assert "a person must look" in summary.trouble["bob"]
    assert {"ada", "cyd", "dee"} <= set(summary.scores)


def test_what_one_student_handed_in_and_nobody_can_read_stops_nobody(class_root, monkeypatch):
    read = outcomes.handed_in

    def refuse_bob(folder):
        if "bob" in str(folder):
            raise RecursionError("folders too deep")
        return read(folder)

    monkeypatch.setattr(outcomes, "handed_in", refuse_bob)
    summary = run(class_root)
    assert sorted(summary.graded) == ["ada", "cyd", "dee"]
    assert "RecursionError" in summary.trouble["bob"]


def test_a_file_with_a_name_that_is_no_text_is_left_out_and_noted(class_root):
    folder = class_root / "classroom" / "submitted" / "bob" / LAB
    (folder / os.fsdecode(b"\xff\xfe.py")).write_text("x")
    handed = outcomes.handed_in(folder)
    assert [note for note in handed.notes if "is not UTF-8" in note]
    for name in (*handed.files, *handed.notes):
        name.encode()


def test_an_empty_classroom_says_what_to_do_first(class_root):
    shutil.rmtree(class_root / "classroom" / "submitted")
    with pytest.raises(ClassroomError, match=r"nobody has submitted 01_tiny yet; first: course collect"):
        run(class_root)


def test_an_unknown_student_is_named_with_those_who_are_there(class_root):
    with pytest.raises(ClassroomError, match=r"'eve' has not submitted 01_tiny; these have: ada, bob"):
        run(class_root, Options(students=("eve",), quiet=True))


def test_a_lab_that_the_gradebook_does_not_know_is_recorded_there(class_root):
    (class_root / "classroom" / "gradebook.db").unlink()
    assert len(run(class_root).graded) == 4


def test_a_full_disk_is_named_and_what_is_done_is_kept(class_root, monkeypatch):
    write, calls = atomic.write, []

    def full(path, data, **options):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write(path, data, **options)

    monkeypatch.setattr(atomic, "write", full)
    with pytest.raises(ClassroomError, match=r"No space left on device\. 2 submissions of this run are kept"):
        run(class_root)
    monkeypatch.undo()
    assert len(outcomes.Store(class_root, LAB).all()) == 2
    summary = run(class_root)
    assert (len(summary.graded), len(summary.unchanged)) == (2, 2)


def test_a_locked_gradebook_is_named_and_nothing_is_lost(class_root, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    run(class_root, Options(students=("ada",), quiet=True))
    other = sqlite3.connect(class_root / "classroom" / "gradebook.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(database.GradebookError, match=r"another program is writing to the gradebook"):
        run(class_root)
    other.rollback()
    other.close()
    assert len(run(class_root).graded) == 3


@pytest.mark.parametrize("damage", [b"this is no database at all, but a text " * 100, "torn"])
def test_a_damaged_gradebook_is_named_with_the_way_out(class_root, damage):
    run(class_root)
    path = class_root / "classroom" / "gradebook.db"
    data = path.read_bytes()
    path.write_bytes(damage if damage != "torn" else data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(database.GradebookError, match=r"damaged: .*Put a copy of it back or move it away"):
        run(class_root)
    path.unlink()
    assert run(class_root).graded == []


def test_a_notebook_that_is_not_the_labs_and_a_missing_one_do_no_harm(class_root):
    folder = class_root / "classroom" / "submitted" / "ada" / LAB
    (folder / "02_module.ipynb").rename(folder / "my notes.ipynb")
    assert len(run(class_root).graded) == 4


def test_what_lies_in_the_way_is_not_taken_for_a_submission(class_root):
    (class_root / "classroom" / "submitted" / ".incoming-x" / LAB).mkdir(parents=True)
    (class_root / "classroom" / "submitted" / "notes.txt").write_text("mine")
    assert len(run(class_root).graded) == 4


# -- killed ------------------------------------------------------------------------------------------------------------


def run_until_killed(root, after):
    """Run in a process of its own, which is killed after so many seconds; whether it came to its end before."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException), open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
            run(root, grade=judge_slowly)
            code = 0
        os._exit(code)
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments_it_ends_with_the_gradebook_of_an_undisturbed_run(class_root):
    template = class_root / "classroom" / "submitted" / "ada"
    for number in range(26):
        shutil.copytree(template, class_root / "classroom" / "submitted" / f"student-{number:02}")
        edit(class_root, f"student-{number:02}", random.Random(number).choice(["01_answer", "02_module"]))
    calm = class_root.parent / "calm"
    shutil.copytree(class_root, calm)
    started = time.monotonic()
    run(calm, grade=judge_slowly)
    whole = time.monotonic() - started
    dice, killed = random.Random(), 0
    while killed < 20:
        if run_until_killed(class_root, dice.uniform(0.0, whole)):
            shutil.rmtree(class_root / "classroom" / "outcomes")  # done: begin anew, with the gradebook as it is
        else:
            killed += 1
    run(class_root)
    assert content(class_root) == content(calm)
    assert len(outcomes.Store(class_root, LAB).all()) == 30
