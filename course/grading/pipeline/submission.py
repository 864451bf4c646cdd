"""Grades one submission: plain data in, plain data out. Runs in a worker process, here or on another machine.

It needs no database and writes nothing but a scratch folder, which it removes.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import errno
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.base import timestamps
from course.base.removal import remove
from course.grading.pipeline import assignment, restore, sanitize, settlement
from course.grading.pipeline.assignment import Assignment, SourceNotebook
from course.grading.pipeline.execute import Settings, execute
from course.grading.sandbox import policy, zygote
from course.labs.runner import Cause, Stop
from course.student import saved_notebooks

MAX_TEXT = 20_000  # characters kept of what a result says
ENDED = ("CellNotRun", "KeyboardInterrupt")  # errors of cells that were stopped, not of their own
KEPT_OUTPUT = 100_000  # characters kept of one output of a student's cell


@dataclass(frozen=True)
class Work:
    """A submission to be graded.

    Attributes:
        student: whose.
        files: what was handed in, by path below the lab's folder.
        assignment: what the lab asks for.
        settings: limits.
        deadline_s: after so many seconds the worker itself is ended.
        notes: what was odd already when the files were read.
    """

    student: str
    files: dict[str, bytes]
    assignment: Assignment
    settings: Settings = field(default_factory=Settings)
    deadline_s: int = 3600
    notes: tuple[str, ...] = ()


@dataclass
class Cell:
    """What became of one graded cell.

    Attributes:
        grade_id: nbgrader's id.
        points: what it is worth.
        score: what it earned; None when a person must look.
        text: the result as lines, or why there is none.
        result: the machine-readable record.
        judged: a hash of what a person who looks at it would judge.
        by_hand: it is always a person who grades it.
        kept: the points of the checks that could be judged, where a person must look at the others.
    """

    grade_id: str
    points: float
    score: float | None
    text: str = ""
    result: dict[str, Any] | None = None
    judged: str = ""
    by_hand: bool = False
    kept: float | None = None


@dataclass
class AnswerCell:
    """An answer cell: its nbgrader id, whether it is as it was given, a hash of it, and the graded cell after it."""

    grade_id: str
    untouched: bool
    judged: str
    graded_by: str | None = None


@dataclass
class Notebook:
    """What became of one notebook of a submission.

    Attributes:
        name: without suffix.
        problem: why it could not be run, for the student; empty when it was run.
        notes: what was mended or noticed, for the student and the instructor.
        cells, answers: in the order of the notebook.
        executed: the notebook with outputs, as text; empty when there is none. It is kept in a file of its own.
        seconds: how long it ran.
        starved: which given cell was stopped, so that the machine, and not the student, may be at fault; else empty.
        late: whether a question was stopped at its deadline, so that it is tried again with the machine to itself.
    """

    name: str
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    answers: list[AnswerCell] = field(default_factory=list)
    executed: str = ""
    seconds: float = 0.0
    starved: str = ""
    late: bool = False


@dataclass
class SubmissionOutcome:
    """What became of one submission.

    Attributes:
        student, lab: whose, and for what.
        submission: a hash of what was handed in; tests: a hash of what judged it.
        notebooks: in the order in which they were run.
        trouble: why the engine could not grade it, for the instructor; a person must look then.
        notes: what is odd about the submission as a whole.
        seconds: how long it took; phases: where the time went, in seconds.
    """

    student: str
    lab: str
    submission: str
    tests: str
    notebooks: list[Notebook] = field(default_factory=list)
    trouble: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def starved(self) -> bool:
        """Whether the machine may be at fault for lost points."""
        return any(book.starved for book in self.notebooks)

    @property
    def late(self) -> bool:
        """Whether a question was stopped at its deadline, which counts seconds of the clock."""
        return any(book.late for book in self.notebooks)

    def hand_to_person(self) -> None:
        """Have a person look at all points that were lost where the machine may be at fault."""
        for book in self.notebooks:
            for cell in book.cells if book.starved else ():
                if cell.score is not None and cell.score < cell.points:
                    cell.text = f"{book.starved}. The checks said: {cell.text}"[:MAX_TEXT]
                    cell.score, cell.result = None, None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SubmissionOutcome:
        """From plain data; see :meth:`to_dict`."""
        books = [
            Notebook(
                **{
                    **book,
                    "cells": [Cell(**cell) for cell in book["cells"]],
                    "answers": [AnswerCell(**answer) for answer in book["answers"]],
                }
            )
            for book in data["notebooks"]
        ]
        return cls(**{**data, "notebooks": books})


def fingerprint(files: dict[str, bytes]) -> str:
    """A hash of what was handed in; the time at which it came does not matter."""
    found = sha256()
    for name in sorted(files):
        if name != timestamps.FILE:
            found.update(f"\n{name}\n{len(files[name])}\n".encode() + files[name])
    return found.hexdigest()


def grade(work: Work) -> SubmissionOutcome:
    """Grade one submission. What a student did never raises.

    Raises:
        sandbox.NoSandbox: there is no sandbox here, and the settings want one.
        zygote.ZygoteError: warm processes cannot be started.
        OSError: the scratch folder cannot be written; the disk may be full.
    """
    _end_after(work.deadline_s)
    try:
        if work.settings.sandboxed:
            policy.require()
        try:
            return _grade(work)
        except zygote.ZygoteError:
            _forget_zygote()
            return _grade(work)
    finally:
        _end_after(0)


def _grade(work: Work) -> SubmissionOutcome:
    started = time.perf_counter()
    asked = work.assignment
    outcome = SubmissionOutcome(
        work.student, asked.lab, fingerprint(work.files), asked.fingerprint, notes=[*work.notes]
    )
    clock = _Clock(outcome.phases)
    with clock("warm up"):
        path = os.environ[zygote.ENVIRONMENT] = warm(work.assignment.warm)
    folder = tempfile.mkdtemp(prefix="course-work-")
    try:
        with clock("copy"):
            place = Path(folder, work.assignment.lab)
            lay_out(place, {**work.files, **work.assignment.given})
        for source in work.assignment.notebooks:
            outcome.notebooks.append(_grade_notebook(work, source, place, clock, lambda s=source: _solution(work, s)))
    finally:
        remove(Path(folder))  # a student's code could write there
    if not _answers(path):  # what happened to kernels then is nobody's fault
        raise zygote.ZygoteError("the process that keeps the libraries warm ended while a notebook ran")
    known = {f"{source.name}.ipynb" for source in work.assignment.notebooks}
    extra = sorted(name for name in work.files if name.endswith(".ipynb") and "/" not in name and name not in known)
    outcome.notes += [f"{name} is no notebook of this lab; it was not looked at" for name in extra]
    outcome.seconds = time.perf_counter() - started
    return outcome


def given_up(work: Work, reason: str) -> SubmissionOutcome:
    """The outcome of a submission that could not be graded: everything in it waits for a person."""
    asked = work.assignment
    outcome = SubmissionOutcome(work.student, asked.lab, fingerprint(work.files), asked.fingerprint, trouble=reason)
    for source in work.assignment.notebooks:
        cells = [Cell(cell.name, cell.points or 0, None, reason) for cell in source.graded()]
        outcome.notebooks.append(Notebook(source.name, problem=reason, cells=cells))
    return outcome


_solutions: dict[tuple[str, str], settlement.Outcomes] = {}


def of_solution(work: Work, wanted: SourceNotebook) -> settlement.Outcomes:
    """What the questions of a notebook say of the lab's solution, on this machine; it is run once for each process.

    Args:
        work: any submission for the lab, for its assignment and its settings.
        wanted: the notebook.
    """
    asked = work.assignment
    if (asked.fingerprint, wanted.name) not in _solutions:
        solved = replace(work, student="", files=asked.solution, notes=())
        folder = tempfile.mkdtemp(prefix="course-work-")
        try:
            place = Path(folder, asked.lab)
            lay_out(place, {**solved.files, **asked.given})
            for source in asked.notebooks:
                ran: list[NotebookNode] = []
                _grade_notebook(solved, source, place, _Clock({}), None, ran)
                _solutions[asked.fingerprint, source.name] = settlement.outcomes(ran[0]) if ran else {}
                if source.name == wanted.name:
                    break
        finally:
            remove(Path(folder))
    return _solutions[asked.fingerprint, wanted.name]


def _solution(work: Work, wanted: SourceNotebook) -> settlement.Outcomes:
    """The same for a worker: the run of the solution has the time of a submission of its own."""
    known = (work.assignment.fingerprint, wanted.name) in _solutions
    if not known:
        _end_after(work.deadline_s)
    try:
        return of_solution(work, wanted)
    finally:
        if not known:
            _end_after(work.deadline_s)


def _grade_notebook(
    work: Work,
    source: SourceNotebook,
    folder: Path,
    clock: _Clock,
    solution: Callable[[], settlement.Outcomes] | None,
    ran: list[NotebookNode] | None = None,
) -> Notebook:
    """Grade one notebook.

    Args:
        work, source: what is graded, and by what.
        folder: where it runs.
        clock: adds up the time.
        solution: settles what could not be judged; None leaves it.
        ran: gets the executed notebook.
    """
    started = time.perf_counter()
    done = Notebook(source.name)
    name = f"{source.name}.ipynb"
    try:
        if name not in work.files:
            raise restore.Unreadable(f"{name} was not handed in")
        with clock("restore"):
            notebook, done.notes = restore.restore(restore.read(work.files[name], name), source)
    except restore.Unreadable as problem:
        done.problem = str(problem)
        done.cells = [Cell(cell.name, cell.points or 0, 0.0, done.problem) for cell in source.graded()]
        done.answers = [AnswerCell(cell.name, True, "") for cell in source.cells if cell.solution]
        return done
    with clock("run"):
        report = execute(notebook, folder, work.settings, given=work.assignment.given | work.assignment.questions)
    done.late = settlement.has_late(notebook)
    if solution is not None:
        with clock("settle"):
            report.notes += settlement.settle(notebook, solution)
    if ran is not None:
        ran.append(notebook)
    done.notes += [*report.notes, *_stopped(notebook)]
    done.starved = starved(notebook, source, report.stopped)
    with clock("judge"):
        _judge(notebook, done, _shipped(work.files))
        _trim(notebook)
        shown = copy.deepcopy(notebook)
        sanitize.notebook(shown)
        done.executed = nbformat.writes(shown, version=4)
    done.seconds = time.perf_counter() - started
    return done


def starved(notebook: NotebookNode, source: SourceNotebook, stopped: Mapping[int, Stop]) -> str:
    """Why the machine may be at fault for what a notebook lost: the first cell that was stopped is one that was given.

    Args:
        notebook, source: what ran, and what it was made from.
        stopped: which cells did not run to their end, by position.

    Returns:
        A sentence for a person; empty where nothing was stopped, or an answer was the first.
    """
    blamed = [index for index, stop in stopped.items() if stop.cause in (Cause.TIME, Cause.DEATH)]
    if not blamed:
        return ""
    cell = notebook.cells[min(blamed)]
    if assignment.hash_of(cell.source) not in source.given:
        return ""
    line = cell.source.strip().partition("\n")[0][:80]
    return f"The given cell {line!r} was stopped ({stopped[min(blamed)].text}), also when tried again alone"


def _stopped(notebook: NotebookNode) -> Iterator[str]:
    """Of each answer cell that ended with an error: which, so that it is known why its check found nothing.

    Not of blanks, and not of cells that were stopped, of which another note tells.
    """
    heading = ""
    for cell in notebook.cells:
        *_, heading = heading, *saved_notebooks.headings([cell])
        if not cell.metadata.get("nbgrader", {}).get("solution"):
            continue
        for output in cell.get("outputs", []):
            name = str(output.get("ename"))
            if output.output_type == "error" and name not in (*ENDED, "NotImplementedError"):
                said = re.sub(r"\(\S+, line (\d+)\)$", r"(line \1)", str(output.get("evalue"))[:300])
                yield f"{heading}: its cell ended with {name}: {said}"


def _shipped(files: dict[str, bytes]) -> str:
    """A hash of the shipped files that were handed in, which a person looks at beside an answer."""
    return fingerprint({name: data for name, data in files.items() if name.startswith("shipped/")})


def _judge(notebook: NotebookNode, done: Notebook, shipped: str) -> None:
    """Read what each cell earned, and hash what a person would judge there: the answer, and all files shipped."""
    from nbgrader import utils

    from course.labs.judgement import judge

    above: list[AnswerCell] = []
    sources: list[str] = []
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution"):
            untouched = marks.get("checksum") == utils.compute_checksum(cell)
            above.append(AnswerCell(marks["grade_id"], untouched, _hash(cell.source, shipped)))
            done.answers.append(above[-1])
        if not (marks.get("grade") or marks.get("task")):
            sources.append(cell.source)
            continue
        found = judge(cell)
        if marks.get("solution"):
            seen = _hash(*sources, cell.source, shipped)
        else:
            seen = _hash(*sources, found.score, found.text, shipped)
        by_hand = bool(marks.get("solution") or marks.get("task") or cell.cell_type != "code")
        text = found.text[:MAX_TEXT]
        record = found.result.to_dict() if found.result is not None else None
        done.cells.append(Cell(marks["grade_id"], found.points, found.score, text, record, seen, by_hand, found.kept))
        for answer in above:
            answer.graded_by = marks["grade_id"]
        above, sources = [], []


def _hash(*parts: Any) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _trim(notebook: NotebookNode) -> None:
    """Keep outputs at a size that the formgrader can show."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for name in ("text", "evalue"):
                text = output.get(name)
                if isinstance(text, str) and len(text) > KEPT_OUTPUT:
                    output[name] = text[:KEPT_OUTPUT] + "\n… (the rest was not kept)"
            data = output.get("data", {})
            for kind in [kind for kind, value in data.items() if len(str(value)) > 20 * KEPT_OUTPUT]:
                data[kind] = "(too large to be kept)"


def lay_out(place: Path, files: dict[str, bytes]) -> None:
    """Write files to a new folder; a file whose name cannot be written here is left out.

    Raises:
        OSError: the disk is full.
    """
    place.mkdir()
    for name, data in files.items():
        try:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise


class _Clock:
    """Adds up where the time goes."""

    def __init__(self, phases: dict[str, float]) -> None:
        self.phases = phases

    @contextlib.contextmanager
    def __call__(self, name: str):
        started = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - started


_own: list[zygote.Zygote] = []
_answered: set[str] = set()  # sockets of zygotes that were seen to answer; to look again costs a fork
_lock = threading.Lock()


def warm(modules: Sequence[str] = ()) -> str:
    """The socket of a zygote: of the one that the parent keeps for this machine or else of one of this process.

    Args:
        modules: what a zygote of this process imports besides what every notebook needs.

    Raises:
        ZygoteError: none can be started.
    """
    path = os.environ.get(zygote.ENVIRONMENT, "")
    with _lock:
        if path and (_own or path in _answered or _answers(path)):
            return path
        if not _own:
            _own.append(zygote.Zygote(modules))
            atexit.register(_forget_zygote)
        return _own[0].path


def _answers(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        _answered.add(path)
        return True
    return False


def _forget_zygote() -> None:
    """After trouble with the zygote, the next submission starts another."""
    os.environ.pop(zygote.ENVIRONMENT, None)
    with _lock:
        _answered.clear()
        while _own:
            _own.pop().close()


def _end_after(seconds: int) -> None:
    """Have this process ended when a submission hangs in spite of all limits; 0 takes it back."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
