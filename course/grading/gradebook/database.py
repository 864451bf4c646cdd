"""The one writer of the gradebook: puts outcomes into nbgrader's tables, each in one transaction, any number of times.

A table of our own beside nbgrader's remembers which outcome is recorded and what a person would have judged, so that a
run that was stopped can be told what is missing, and manual grades are looked at again only when there is a reason.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from nbgrader import api, utils
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from course.base.errors import UserError
from course.grading.pipeline.assignment import Assignment
from course.grading.pipeline.submission import SubmissionOutcome

PATIENCE = 60.0  # seconds to wait for a gradebook that another program writes

_own = sa.MetaData()
_recorded = sa.Table(
    "course_outcome",
    _own,
    sa.Column("lab", sa.String(128), primary_key=True),
    sa.Column("student", sa.String(128), primary_key=True),
    sa.Column("outcome", sa.String(160), nullable=False),
    sa.Column("judged", sa.Text(), nullable=False),
)
_registered = sa.Table(
    "course_lab",
    _own,
    sa.Column("lab", sa.String(128), primary_key=True),
    sa.Column("source", sa.String(64), nullable=False),
)
_tables = [
    cls.__table__
    for cls in (
        *(api.Assignment, api.Notebook, api.BaseCell, api.Student),
        *(api.SubmittedAssignment, api.SubmittedNotebook, api.Grade, api.Comment),
    )
]
_assignment, _notebook, _cell, _student, _submission, _book, _grade, _comment = _tables


class GradebookError(UserError):
    """The gradebook cannot be read or written; the message says what to do."""


class Gradebook:
    """The gradebook of a course, as its one writer sees it.

    Args:
        url: a SQLAlchemy URL, such as sqlite:////path/gradebook.db.
        course: the course's id.

    Raises:
        GradebookError: it cannot be opened.
    """

    def __init__(self, url: str, course: str) -> None:
        self._url = url
        with _trouble(url):
            options: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {}
            # no connection stays open: workers are forked from this process
            self.engine = sa.create_engine(url, poolclass=sa.pool.NullPool, **options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nbgrader's use of SQLAlchemy
                api.Gradebook(url, course).close()  # makes nbgrader's tables and the course
            _own.create_all(self.engine)

    def close(self) -> None:
        """Let go of the gradebook."""
        self.engine.dispose()

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction; all of it is written at the end, or nothing.

        Raises:
            GradebookError: the gradebook is locked for long, damaged or out of reach.
        """
        with _trouble(self._url), self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # ask for the lock before anything is read
            yield connection
            connection.commit()

    # -- labs ----------------------------------------------------------------------------------------------------------

    def source_of(self, lab: str) -> str | None:
        """The hash of the source with which a lab was registered, if it was."""
        with self.transaction() as connection:
            there = connection.execute(sa.select(_assignment.c.id).where(_assignment.c.name == lab)).scalar()
            return (
                there and connection.execute(sa.select(_registered.c.source).where(_registered.c.lab == lab)).scalar()
            )

    def set_source(self, lab: str, source: str) -> None:
        """Remember the source with which a lab was registered."""
        with self.transaction() as connection:
            connection.execute(sa.delete(_registered).where(_registered.c.lab == lab))
            connection.execute(sa.insert(_registered).values(lab=lab, source=source))

    # -- outcomes ------------------------------------------------------------------------------------------------------

    def recorded(self, lab: str) -> dict[str, str]:
        """Which outcome is recorded, by student; see :func:`identity`."""
        with self.transaction() as connection:
            query = sa.select(_recorded.c.student, _recorded.c.outcome).where(_recorded.c.lab == lab)
            return dict(connection.execute(query).all())

    def record(
        self, outcomes: list[tuple[SubmissionOutcome, dt.datetime | None]], key: Assignment, config: Config
    ) -> None:
        """Write outcomes, each with the time at which the work was handed in. Writing again changes nothing.

        What a person entered (scores, comments, extra credit) stays; where it judged something that has changed since,
        it is marked to be looked at again.

        Raises:
            GradebookError: see :meth:`transaction`; nothing is written then.
        """
        policy = late_policy(config)
        with self.transaction() as connection:
            lab = _LabRows(connection, key.lab)
            for outcome, handed_in in outcomes:
                lab.record(outcome, handed_in)
            _take_off(connection, policy)

    def take_off(self, config: Config) -> None:
        """Compute what being late costs, from due dates, extensions, policy and points as they are now.

        Whoever reads grades calls it first, so that all show the same number; nbgrader's own pages read what it writes.

        Raises:
            GradebookError: see :meth:`transaction` and :func:`late_policy`.
        """
        policy = late_policy(config)
        with self.transaction() as connection:
            _take_off(connection, policy)

    def scores(self, lab: str) -> list[dict[str, Any]]:
        """What the gradebook says now of every graded cell of a lab, what people entered included.

        Returns:
            One entry per cell: student, notebook, cell, auto, manual, extra, score, points, waiting, penalty.
        """
        points = sa.func.coalesce(
            sa.select(api.GradeCell.__table__.c.max_score)
            .where(api.GradeCell.__table__.c.id == _cell.c.id)
            .scalar_subquery(),
            sa.select(api.TaskCell.__table__.c.max_score)
            .where(api.TaskCell.__table__.c.id == _cell.c.id)
            .scalar_subquery(),
        )
        columns = (
            *(
                _submission.c.student_id.label("student"),
                _notebook.c.name.label("notebook"),
                _cell.c.name.label("cell"),
            ),
            *(_grade.c.auto_score.label("auto"), _grade.c.manual_score.label("manual")),
            *(_grade.c.extra_credit.label("extra"), _grade.c.needs_manual_grade.label("waiting")),
            *(_book.c.late_submission_penalty.label("penalty"), points.label("points")),
            *(_submission.c.timestamp.label("handed_in"), _assignment.c.duedate.label("due")),
        )
        query = (
            sa.select(*columns)
            .select_from(_grade)
            .join(_book, _book.c.id == _grade.c.notebook_id)
            .join(_submission, _submission.c.id == _book.c.assignment_id)
            .join(_assignment, _assignment.c.id == _submission.c.assignment_id)
            .join(_cell, _cell.c.id == _grade.c.cell_id)
            .join(_notebook, _notebook.c.id == _book.c.notebook_id)
            .where(_assignment.c.name == lab)
            .order_by(_submission.c.student_id, _notebook.c.name, _cell.c.name)
        )
        with self.transaction() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        for row in found:
            row["score"] = _first(row["manual"], row["auto"], 0.0) + (row["extra"] or 0.0)
        return found

    def comments(self, lab: str) -> dict[tuple[str, str, str], str]:
        """What people wrote, by student, notebook and answer cell."""
        query = (
            sa.select(_submission.c.student_id, _notebook.c.name, _cell.c.name, _comment.c.manual_comment)
            .select_from(_comment)
            .join(_book, _book.c.id == _comment.c.notebook_id)
            .join(_submission, _submission.c.id == _book.c.assignment_id)
            .join(_assignment, _assignment.c.id == _submission.c.assignment_id)
            .join(_cell, _cell.c.id == _comment.c.cell_id)
            .join(_notebook, _notebook.c.id == _book.c.notebook_id)
            .where(_assignment.c.name == lab, _comment.c.manual_comment.is_not(None))
        )
        with self.transaction() as connection:
            return {tuple(row[:3]): row[3] for row in connection.execute(query)}

    def labs(self) -> list[tuple[str, dt.datetime | None]]:
        """Every lab that the gradebook knows, with its due date in UTC, by name."""
        with self.transaction() as connection:
            query = sa.select(_assignment.c.name, _assignment.c.duedate).order_by(_assignment.c.name)
            return [(row[0], row[1]) for row in connection.execute(query)]

    def students(self) -> dict[str, dict[str, str]]:
        """Everybody in the gradebook by id: first_name, last_name, email, lms_user_id."""
        with self.transaction() as connection:
            rows = connection.execute(sa.select(_student)).mappings().all()
        names = ("first_name", "last_name", "email", "lms_user_id")
        return {row["id"]: {name: row[name] or "" for name in names} for row in rows}

    def add_students(self, who: dict[str, dict[str, str]]) -> None:
        """Add people by id (first_name, last_name, email, lms_user_id); of those who are there fill what is empty.

        Raises:
            GradebookError: see :meth:`transaction`; nothing is written then.
        """
        with self.transaction() as connection:
            there = {row["id"]: row for row in connection.execute(sa.select(_student)).mappings()}
            for student, values in who.items():
                old = there.get(student)
                new = {name: text for name, text in values.items() if text and not (old and old[name])}
                if old and (old["first_name"] or old["last_name"]):
                    new = {name: text for name, text in new.items() if name in ("email", "lms_user_id")}
                if old is None:
                    connection.execute(sa.insert(_student).values(id=student, **new))
                elif new:
                    connection.execute(sa.update(_student).where(_student.c.id == student).values(**new))


def identity(outcome: SubmissionOutcome, handed_in: dt.datetime | None) -> str:
    """What tells one outcome from another: what was judged, by what, and when it was handed in."""
    state = "trouble" if outcome.trouble else "graded"
    when = handed_in.strftime("%Y%m%dT%H%M%S.%f") if handed_in else "-"
    return f"{outcome.submission[:40]} {outcome.tests[:40]} {state} {when}"


class _LabRows:
    """The rows of one lab inside a transaction."""

    def __init__(self, connection: sa.Connection, name: str) -> None:
        self.connection, self.name = connection, name
        row = connection.execute(sa.select(_assignment).where(_assignment.c.name == name)).mappings().one()
        self.id = row["id"]
        query = sa.select(_notebook.c.name, _notebook.c.id).where(_notebook.c.assignment_id == self.id)
        self.notebooks = dict(connection.execute(query).all())
        self.cells: dict[str, dict[str, dict[str, str]]] = {"grade": {}, "comment": {}}
        kinds = {"GradeCell": ("grade",), "SolutionCell": ("comment",), "TaskCell": ("grade", "comment")}
        for cell in connection.execute(
            sa.select(_cell).where(_cell.c.notebook_id.in_(self.notebooks.values()))
        ).mappings():
            for kind in kinds.get(cell["type"], ()):
                self.cells[kind].setdefault(cell["notebook_id"], {})[cell["name"]] = cell["id"]

    def record(self, outcome: SubmissionOutcome, handed_in: dt.datetime | None) -> None:
        """Write one outcome."""
        here = sa.and_(_recorded.c.lab == self.name, _recorded.c.student == outcome.student)
        text = self.connection.execute(sa.select(_recorded.c.judged).where(here)).scalar()
        before: dict[str, str] = json.loads(text) if text else {}
        self.trouble = bool(outcome.trouble)
        _make_sure(self.connection, _student, {"id": outcome.student}, {})
        handed_in = utils.parse_utc(handed_in) if handed_in else None
        submission = _make_sure(
            self.connection,
            _submission,
            {"assignment_id": self.id, "student_id": outcome.student},
            {"timestamp": handed_in},
        )
        judged: dict[str, str] = {}
        for notebook in outcome.notebooks:
            book = _make_sure(
                self.connection,
                _book,
                {"notebook_id": self.notebooks[notebook.name], "assignment_id": submission["id"]},
                {},
            )
            changed = self._comments(book["id"], notebook, before, judged)
            self._grades(book["id"], notebook, before, judged, changed)
        self.connection.execute(sa.delete(_recorded).where(here))
        self.connection.execute(
            sa.insert(_recorded).values(
                lab=self.name,
                student=outcome.student,
                outcome=identity(outcome, handed_in),
                judged=json.dumps(judged),
            )
        )

    def _comments(self, book: str, notebook: Any, before: dict[str, str], judged: dict[str, str]) -> set[str]:
        """Write what is said of answers; return the graded cells whose answer changed after a person wrote about it."""
        answers = {answer.grade_id: answer for answer in notebook.answers}
        waiting = {answer.graded_by: answer.grade_id for answer in reversed(notebook.answers)}
        texts = {name: "No response." for name, answer in answers.items() if answer.untouched}
        for cell in notebook.cells:
            place = waiting.get(cell.grade_id)
            if cell.score is None and place and not cell.by_hand:
                texts[place] = f"A person looks at this one.\n\n{cell.text}"
        changed: set[str] = set()
        rows = self._rows(_comment, book, "comment", notebook.name, {"auto_comment": None, "manual_comment": None})
        for name, row in rows.items():
            if row["auto_comment"] != texts.get(name):
                self.connection.execute(
                    sa.update(_comment).where(_comment.c.id == row["id"]).values(auto_comment=texts.get(name))
                )
            answer = answers.get(name)
            judged[f"answer {name}"] = self._judged(answer, f"answer {name}", before)
            moved = before.get(f"answer {name}") not in (None, judged[f"answer {name}"])
            if row["manual_comment"] is not None and moved and answer and answer.graded_by:
                changed.add(answer.graded_by)
        return changed

    def _grades(
        self, book: str, notebook: Any, before: dict[str, str], judged: dict[str, str], changed: set[str]
    ) -> None:
        """Write the scores."""
        cells = {cell.grade_id: cell for cell in notebook.cells}
        blank = {"auto_score": None, "manual_score": None, "extra_credit": None, "needs_manual_grade": True}
        for name, row in self._rows(_grade, book, "grade", notebook.name, blank).items():
            cell = cells.get(name)
            judged_here = cell.score if cell else None
            auto = cell.kept if cell and judged_here is None else judged_here
            judged[name] = self._judged(cell, name, before)
            entered = row["manual_score"] is not None or row["extra_credit"] is not None
            if name in changed or (entered and before.get(name) != judged[name]):
                waits = True  # a person's entry stays, and is looked at again
            elif row["manual_score"] is not None:
                waits = row["needs_manual_grade"]
            else:
                waits = judged_here is None or (entered and row["needs_manual_grade"])
            if (row["auto_score"], row["needs_manual_grade"]) != (auto, waits):
                self.connection.execute(
                    sa.update(_grade).where(_grade.c.id == row["id"]).values(auto_score=auto, needs_manual_grade=waits)
                )

    def _judged(self, what: Any, name: str, before: dict[str, str]) -> str:
        """The hash of what a person would judge; after trouble of the engine's own, that of the last time."""
        return before.get(name, "") if self.trouble else what.judged if what else ""

    def _rows(
        self, table: sa.Table, book: str, kind: str, notebook: str, blank: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The grades or comments of a submitted notebook by cell name, made where they are missing."""
        there = {
            row["cell_id"]: dict(row)
            for row in self.connection.execute(sa.select(table).where(table.c.notebook_id == book)).mappings()
        }
        wanted = self.cells[kind].get(self.notebooks[notebook], {})
        missing = [
            {"id": uuid4().hex, "cell_id": cell, "notebook_id": book, **blank}
            for cell in wanted.values()
            if cell not in there
        ]
        if missing:
            self.connection.execute(sa.insert(table), missing)
        there |= {row["cell_id"]: row for row in missing}
        return {name: there[cell] for name, cell in wanted.items()}


def late_policy(config: Config) -> AssignLatePenalties:
    """What being late costs, as nbgrader_config.py says.

    Raises:
        GradebookError: the plugin that it names cannot be used.
    """
    try:
        policy = AssignLatePenalties(config=config)
        policy.init_plugin()
    except Exception as error:  # whatever a plugin of somebody else's raises when it is imported
        name = config.get("AssignLatePenalties", {}).get("plugin_class", "")
        raise GradebookError(
            f"the plugin for late work {name!r} cannot be used ({type(error).__name__}: {error}); correct "
            "c.AssignLatePenalties.plugin_class in nbgrader_config.py"
        ) from error
    return policy


def _take_off(connection: sa.Connection, policy: AssignLatePenalties) -> None:
    """Write what being late costs in each submitted notebook, where it is not written already."""
    points = sa.func.coalesce(_grade.c.manual_score, _grade.c.auto_score, 0.0) + sa.func.coalesce(
        _grade.c.extra_credit, 0.0
    )
    earned = sa.select(sa.func.sum(points)).where(_grade.c.notebook_id == _book.c.id).scalar_subquery()
    query = (
        sa.select(
            *(_book.c.id, _book.c.late_submission_penalty.label("before"), _submission.c.student_id),
            *(_submission.c.timestamp, _submission.c.extension, _assignment.c.duedate, earned.label("score")),
        )
        .join(_submission, _submission.c.id == _book.c.assignment_id)
        .join(_assignment, _assignment.c.id == _submission.c.assignment_id)
    )
    for row in connection.execute(query).mappings().all():
        penalty = None
        if row["duedate"] is not None and row["timestamp"] is not None:
            due = row["duedate"] + (row["extension"] or dt.timedelta())
            late, score = (row["timestamp"] - due).total_seconds(), row["score"] or 0.0
            if late > 0:
                penalty = policy.plugin_inst.late_submission_penalty(row["student_id"], score, late)
                penalty = None if penalty is None else min(max(penalty, 0), score)
        if penalty != row["before"]:
            connection.execute(sa.update(_book).where(_book.c.id == row["id"]).values(late_submission_penalty=penalty))


def _make_sure(connection: sa.Connection, table: sa.Table, who: dict[str, Any], values: dict[str, Any]) -> dict:
    """The row of a table, made where it is missing, with some of its values set."""
    where = sa.and_(*(table.c[name] == value for name, value in who.items()))
    found = connection.execute(sa.select(table).where(where)).mappings().one_or_none()
    if found is None:
        extra = {} if "id" in who else {"id": uuid4().hex}
        more = {"flagged": False} if table is _book else {}
        connection.execute(sa.insert(table).values(**who, **extra, **more, **values))
        found = connection.execute(sa.select(table).where(where)).mappings().one()
    elif any(found[name] != value for name, value in values.items()):
        connection.execute(sa.update(table).where(where).values(**values))
    return dict(found) | values


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


@contextlib.contextmanager
def _trouble(url: str) -> Iterator[None]:
    """Turn a database's errors into one that says what to do."""
    place = sa.make_url(url).render_as_string(hide_password=True)
    kept = "What is graded already is kept, and the same command goes on from there."
    try:
        yield
    except sa.exc.DatabaseError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        if "locked" in reason:
            raise GradebookError(
                f"another program is writing to the gradebook ({place}); close the formgrader or the other run, and "
                f"run the same command again. {kept}"
            ) from error
        if "malformed" in reason or "not a database" in reason:
            raise GradebookError(
                f"the gradebook ({place}) is damaged: {reason}. Put a copy of it back or move it away: scores are "
                f"written again from classroom/outcomes, but what people entered is only in the gradebook."
            ) from error
        if "full" in reason:
            raise GradebookError(f"the disk with the gradebook is full ({place}); make room. {kept}") from error
        raise GradebookError(f"the gradebook ({place}) cannot be used: {reason}. {kept}") from error
