"""Grades what a class handed in for a lab, many at once, so that nothing is lost. Used by `course grade`.

Each outcome is durable before the next is looked at; the gradebook is written from the outcomes, by this process alone.
A run that was stopped, however it was stopped, goes on with the same command.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from nbgrader import utils

from course.base import timestamps
from course.base.errors import UserError
from course.base.texts import readable
from course.grading.gradebook import database
from course.grading.gradebook.database import Gradebook, GradebookError
from course.grading.pipeline import assignment, outcomes, submission
from course.grading.pipeline.assignment import Assignment
from course.grading.pipeline.execute import Settings
from course.grading.pipeline.submission import SubmissionOutcome, Work
from course.grading.pipeline.worker_pool import WorkerPool
from course.grading.progress import Progress
from course.labs import release

_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
BATCH = 20  # outcomes that wait for the gradebook at most; they are durable already


class ClassroomError(UserError):
    """Grading cannot begin or go on; the message says what to do."""


@dataclass(frozen=True)
class Options:
    """How a class is graded.

    Attributes:
        students: only these; all by default.
        again: also those that are graded and have not changed.
        settings: limits of a notebook, and whether there is a sandbox.
        quiet: no progress.
    """

    students: tuple[str, ...] = ()
    again: bool = False
    settings: Settings = field(default_factory=Settings)
    quiet: bool = False


@dataclass
class GradingRun:
    """What a run of grading did.

    Attributes:
        lab: its name.
        graded: who was graded now, in the order in which they were done.
        unchanged: who was graded before and has not changed.
        trouble: who could not be graded, and why.
        scores: every student's score, points and how many cells wait for a person.
        seconds: how long the run took.
    """

    lab: str
    graded: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def waiting(self) -> dict[str, int]:
        """How many cells of a student wait for a person, for those who have any."""
        return {student: int(row["waiting"]) for student, row in self.scores.items() if row["waiting"]}

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def grade(root: Path, lab: str, workers: WorkerPool, options: Options) -> GradingRun:
    """Grade what was handed in for a lab.

    Args:
        root: the course's folder.
        lab: the lab's name or number.
        workers: they do it.
        options: what, and how.

    Raises:
        ClassroomError: nobody handed anything in, there is no such student, or the disk is full.
        ReleaseError: there is no such lab, or it cannot be recorded in the gradebook.
        GradebookError: the gradebook is locked for long, damaged or out of reach.
        NoSandbox: there is no sandbox on this machine.
    """
    started = dt.datetime.now(dt.UTC)
    folder = release.choose(root, [lab])[0]
    who = _students(root, folder.name, options.students)
    config = release.configuration(root)
    summary = GradingRun(folder.name)
    with database.Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as book:
        cells = _register(root, folder, book)
        store = outcomes.Store(root, folder.name)
        recorder = _Recorder(book, cells, config)
        works = _to_do(root, cells, store, recorder, who, options, summary)
        try:
            progress = Progress(len(works), sum(len(n.graded()) for n in cells.notebooks), quiet=options.quiet)
            with contextlib.closing(progress):
                loaded = _loaded(root, cells, works, options, summary)
                for work, outcome in workers.outcomes(loaded if works else ()):
                    kept = _keep(store, work, outcome)
                    recorder.add(kept, _time(work.files))
                    summary.graded.append(work.student)
                    if kept.trouble:
                        summary.trouble[work.student] = kept.trouble
                    progress.step(work.student)
        except OSError as error:
            raise ClassroomError(
                f"grading stopped: {error.strerror or error}. {len(summary.graded)} submissions of this run are kept; "
                "make room on the disk and run the same command again"
            ) from error
        finally:
            recorder.flush()
            summary.trouble |= recorder.trouble
        book.take_off(config)
        summary.scores = _scores(book, folder.name)
    summary.seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
    return summary


def _students(root: Path, lab: str, only: tuple[str, ...]) -> list[str]:
    there = sorted(
        path.parent.name for path in (root / "classroom" / "submitted").glob(f"[!.]*/{lab}") if path.is_dir()
    )
    if not there:
        raise ClassroomError(f"nobody has submitted {lab} yet; first: course collect {lab} FOLDER_OR_ZIP")
    unknown = sorted(set(only) - set(there))
    if unknown:
        raise ClassroomError(f"{unknown[0]!r} has not submitted {lab}; these have: {', '.join(there)}")
    return [student for student in there if not only or student in only]


def _register(root: Path, folder: Path, book: Gradebook) -> Assignment:
    """Tell the gradebook of the lab's cells where they are new or have changed, and read them."""
    now = assignment.of_sources(folder)
    if book.source_of(folder.name) != now:
        release.register(root, [folder.name])
        book.set_source(folder.name, now)
    with book.transaction() as connection:
        return assignment.load(connection, folder)


def _to_do(
    root: Path,
    cells: Assignment,
    store: outcomes.Store,
    recorder: _Recorder,
    who: list[str],
    options: Options,
    summary: GradingRun,
) -> list[str]:
    """Who must be graded; what is graded and not in the gradebook yet is written there."""
    recorded = recorder.book.recorded(cells.lab)
    works = []
    for student in who:
        try:
            handed = outcomes.handed_in(_place(root, student, cells.lab))
        except Exception as error:  # whatever one of them handed in, the others are graded
            _ours_alone(error)
            works.append(student)  # and it is told when this one's turn comes
            continue
        before = store.read(student)
        current = (
            before is not None
            and not before.trouble
            and (before.submission, before.tests) == (submission.fingerprint(handed.files), cells.fingerprint)
        )
        if not current or options.again:
            works.append(student)
            continue
        summary.unchanged.append(student)
        if recorded.get(student) != database.identity(before, _time(handed.files)):
            recorder.add(before, _time(handed.files))
    recorder.flush()
    return works


def _loaded(
    root: Path, cells: Assignment, students: list[str], options: Options, summary: GradingRun
) -> Iterator[Work]:
    """What each student handed in; one whose files cannot be read is trouble, and the next one is read."""
    for student in students:
        try:
            yield _load(root, cells, student, options)
        except Exception as error:
            _ours_alone(error)
            summary.trouble[student] = _trouble("what was handed in cannot be read", error)


def _keep(store: outcomes.Store, work: Work, outcome: SubmissionOutcome) -> SubmissionOutcome:
    """Make an outcome durable; one that cannot be kept becomes one that waits for a person."""
    try:
        store.keep(outcome, work.files)
    except Exception as error:
        _ours_alone(error)
        outcome = submission.given_up(work, _trouble("its outcome cannot be kept", error))
        store.keep(outcome, {})
    return outcome


def _trouble(what: str, error: Exception) -> str:
    return readable(f"{what} ({type(error).__name__}: {str(error)[:300]}); a person must look")


def _ours_alone(error: Exception) -> None:
    """Raise again what is not about one student: a disk that is full or broken, a gradebook out of reach."""
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in _MACHINE):
        raise error


def _load(root: Path, cells: Assignment, student: str, options: Options) -> Work:
    handed = outcomes.handed_in(_place(root, student, cells.lab))
    longest = len(cells.notebooks) * (options.settings.notebook_wall_s + 900) * 2
    return Work(student, handed.files, cells, options.settings, int(longest), handed.notes)


def _place(root: Path, student: str, lab: str) -> Path:
    return root / "classroom" / "submitted" / student / lab


def _time(files: dict[str, bytes]) -> dt.datetime | None:
    """When it was handed in, in UTC without a zone, as nbgrader keeps it; None when that is not known."""
    text = timestamps.text(files)
    try:
        return utils.parse_utc(text) if text else None
    except (ValueError, OverflowError):
        return None


class _Recorder:
    """Writes outcomes to the gradebook, several at a time."""

    def __init__(self, book: Gradebook, cells: Assignment, config) -> None:
        self.book, self._cells, self._config = book, cells, config
        self.trouble: dict[str, str] = {}
        self._waiting: list[tuple[SubmissionOutcome, dt.datetime | None]] = []

    def add(self, outcome: SubmissionOutcome, handed_in: dt.datetime | None) -> None:
        self._waiting.append((outcome, handed_in))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            self.book.record(batch, self._cells, self._config)
        except Exception as error:  # perhaps of what one outcome holds: then the others are written
            if not _is_about_one(error):
                raise
            for outcome, handed_in in batch:
                self._alone(outcome, handed_in)

    def _alone(self, outcome: SubmissionOutcome, handed_in: dt.datetime | None) -> None:
        try:
            self.book.record([(outcome, handed_in)], self._cells, self._config)
        except Exception as error:
            if not _is_about_one(error):
                raise
            self.trouble[outcome.student] = _trouble("it cannot be written to the gradebook", error)


def _is_about_one(error: Exception) -> bool:
    """Whether what an outcome holds may be the reason, and not the gradebook itself."""
    of_content = (sa.exc.DataError, sa.exc.IntegrityError)
    return isinstance(error.__cause__, of_content) if isinstance(error, GradebookError) else True


def _scores(book: Gradebook, lab: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    penalties: dict[tuple[str, str], float] = {}
    for row in book.scores(lab):
        line = found.setdefault(row["student"], {"score": 0.0, "points": 0.0, "waiting": 0, "penalty": 0.0})
        line["score"] += row["score"]
        line["points"] += row["points"] or 0.0
        line["waiting"] += bool(row["waiting"])
        penalties[row["student"], row["notebook"]] = row["penalty"] or 0.0
    for (student, _), penalty in penalties.items():
        found[student]["penalty"] += penalty
        found[student]["score"] -= penalty
    return found
