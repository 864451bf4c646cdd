"""The gradebook's one writer, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from course.grading.gradebook import database
from course.grading.gradebook.database import Gradebook
from course.grading.pipeline import assignment, outcomes
from course.grading.pipeline.submission import AnswerCell, Cell, Notebook, SubmissionOutcome
from course.labs import release

LAB = "01_tiny"


@pytest.fixture(scope="session")
def postgresql(postgresql_programs):
    """The URL of a PostgreSQL server that runs for these tests."""
    programs = postgresql_programs
    with tempfile.TemporaryDirectory(prefix="pg-") as short:  # a socket's path must be short
        folder = Path(short)
        folder.chmod(0o777)
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        env = {"PATH": os.environ["PATH"], "HOME": short, "LC_ALL": "C.UTF-8"}
        make = [*as_user, programs / "initdb", "-D", folder / "data", "-U", "grader", "--auth=trust", "-E", "UTF8"]
        subprocess.run(make, check=True, env=env, cwd=short, capture_output=True)
        serve = [*as_user, programs / "postgres", "-D", folder / "data", "-k", short, "-h", "", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(serve, env=env, cwd=short, stdout=log, stderr=log)
            try:
                url = f"postgresql+psycopg://grader@/postgres?host={short}"
                _wait_for(url)
                yield url
            finally:
                server.terminate()
                server.wait(30)


def _wait_for(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    deadline = time.monotonic() + 60
    while True:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def book_root(request, class_root):
    """A course whose gradebook, empty but for the lab, is in the one database or the other."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("drop schema public cascade"))
            connection.execute(sa.text("create schema public"))
        with (class_root / "nbgrader_config.py").open("a") as file:
            file.write(f"\nc.CourseDirectory.db_url = {url!r}\n")
        release.register(class_root, [LAB])
    return class_root


def open_book(root):
    config = release.configuration(root).CourseDirectory
    return Gradebook(config.db_url, config.course_id)


def outcome(student, score=30.0, *, seen="x", trouble=""):
    first = Notebook(
        "01_answer",
        cells=[
            Cell("01-1-sum", 40, score, "the text", None, seen),
            Cell("01-1-file", 10, None, "the check broke", None, seen),
            Cell("01-1-why", 10, None, "graded by hand", None, seen, by_hand=True),
        ],
        answers=[
            AnswerCell("01-1-sum-answer", True, seen, "01-1-sum"),
            AnswerCell("01-1-file-answer", False, seen, "01-1-file"),
        ],
    )
    second = Notebook("02_module", cells=[Cell("01-2-double", 40, 40.0, "", None, seen)])
    return SubmissionOutcome(student, LAB, f"work {seen}", "tests", [first, second], trouble=trouble)


def record(root, *made, at=None):
    config = release.configuration(root)
    with open_book(root) as book:
        with book.transaction() as connection:
            cells = assignment.load(connection, root / "solutions" / LAB)
        book.record([(one, at) for one in made], cells, config)
        return book.scores(LAB), book.comments(LAB), book.recorded(LAB)


def rows(root, statement):
    with open_book(root) as book, book.transaction() as connection:
        return connection.execute(sa.text(statement)).all()


def test_scores_comments_and_what_waits_are_written(book_root):
    standing, _, recorded = record(book_root, outcome("ada"), outcome("Zoë 李", 12.5))
    assert {(row["student"], row["cell"]): (row["auto"], row["waiting"]) for row in standing} == {
        (student, cell): value
        for student, score in (("ada", 30.0), ("Zoë 李", 12.5))
        for cell, value in {
            "01-1-sum": (score, False),
            "01-1-file": (None, True),
            "01-1-why": (None, True),
            "01-2-double": (40.0, False),
        }.items()
    }
    assert set(recorded) == {"ada", "Zoë 李"}
    comments = dict(
        rows(book_root, "select c.name, m.auto_comment from comment m join base_cell c on c.id = m.cell_id")
    )
    assert comments["01-1-sum-answer"] == "No response."
    assert comments["01-1-file-answer"] == "A person looks at this one.\n\nthe check broke"


def test_writing_again_changes_nothing(book_root):
    when = dt.datetime(2026, 1, 2, 3, 4, 5)
    before = record(book_root, outcome("ada"), at=when)
    counts = rows(book_root, "select count(*) from grade") + rows(book_root, "select count(*) from comment")
    assert record(book_root, outcome("ada"), at=when) == before
    assert rows(book_root, "select count(*) from grade") + rows(book_root, "select count(*) from comment") == counts


def test_all_of_a_batch_is_written_or_nothing(book_root):
    unknown = outcome("bob")
    unknown.notebooks[0].name = "99_unknown"
    with pytest.raises(KeyError):
        record(book_root, outcome("ada"), unknown)
    assert rows(book_root, "select count(*) from submitted_assignment") == [(0,)]
    assert rows(book_root, "select count(*) from grade") == [(0,)]


def test_nbgrader_finds_in_it_what_it_expects(book_root):
    from nbgrader.api import Gradebook

    record(book_root, outcome("ada"))
    config = release.configuration(book_root).CourseDirectory
    with Gradebook(config.db_url, config.course_id) as book:
        submission = book.find_submission(LAB, "ada")
        assert (submission.score, submission.max_score, submission.needs_manual_grade) == (70, 100, True)
        assert {notebook.name: notebook.score for notebook in submission.notebooks} == {
            "01_answer": 30,
            "02_module": 40,
        }


def test_the_engines_own_trouble_does_not_make_people_look_at_their_marks_again(book_root):
    record(book_root, outcome("ada"))
    rows_changed = "update grade set manual_score = 9, needs_manual_grade = false where auto_score is null"
    with open_book(book_root) as book, book.transaction() as connection:
        connection.execute(sa.text(rows_changed))
    record(book_root, outcome("ada", seen="", trouble="the worker died"))
    standing, _, _ = record(book_root, outcome("ada"))
    assert {row["cell"]: row["waiting"] for row in standing} == dict.fromkeys(
        ("01-1-sum", "01-1-file", "01-1-why", "01-2-double"), False
    )


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(database.GradebookError, match=r"grader:\*\*\*@") as caught:
        Gradebook(f"postgresql+psycopg://grader:secret@/postgres?host={tmp_path}", "late-flights")
    assert "secret" not in str(caught.value)
    assert "cannot be used" in str(caught.value)


def test_an_outcome_is_read_as_it_was_kept(class_root):
    store = outcomes.Store(class_root, LAB)
    store.keep(outcome("ada"), {"timestamp.txt": b""})
    assert store.read("ada") == outcome("ada")
    shutil.rmtree(class_root / "classroom" / "autograded")
    assert store.read("ada") is None  # a run was killed between the two
