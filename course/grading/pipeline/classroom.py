"""Grades what a class handed in for a lab, many at once, so that nothing is lost. Used by `course grade`.

Each outcome is durable before the next is looked at; the gradebook is written from the outcomes, by this process alone.
A run that was stopped, however it was stopped, goes on with the same command.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbgrader import utils

from course.base import timestamps
from course.base.errors import UserError
from course.grading.gradebook import database
from course.grading.gradebook.database import Gradebook
from course.grading.pipeline import assignment, outcomes, submission
from course.grading.pipeline.assignment import Assignment
from course.grading.pipeline.execute import Settings
from course.grading.pipeline.submission import SubmissionOutcome, Work
from course.grading.pipeline.worker_pool import WorkerPool
from course.grading.progress import Progress
from course.labs import release

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
                loaded = (_load(root, cells, student, options) for student in works)
                for work, outcome in workers.outcomes(loaded if works else ()):
                    store.keep(outcome, work.files)
                    recorder.add(outcome, _time(work.files))
                    summary.graded.append(work.student)
                    if outcome.trouble:
                        summary.trouble[work.student] = outcome.trouble
                    progress.step(work.student)
        except OSError as error:
            raise ClassroomError(
                f"grading stopped: {error.strerror or error}. {len(summary.graded)} submissions of this run are kept; "
                "make room on the disk and run the same command again"
            ) from error
        finally:
            recorder.flush()
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
        handed = outcomes.handed_in(_place(root, student, cells.lab))
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


def _load(root: Path, cells: Assignment, student: str, options: Options) -> Work:
    handed = outcomes.handed_in(_place(root, student, cells.lab))
    longest = len(cells.notebooks) * (options.settings.notebook_s + 900) * 2
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
        self._waiting: list[tuple[SubmissionOutcome, dt.datetime | None]] = []

    def add(self, outcome: SubmissionOutcome, handed_in: dt.datetime | None) -> None:
        self._waiting.append((outcome, handed_in))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            self.book.record(batch, self._cells, self._config)


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
