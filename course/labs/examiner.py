"""Runs questions in a process of their own and gives what their grade cells show. Used by `runner` and `course check`.

The process is kept for all questions of a notebook, so that what one has built serves the next. A question that passes
its deadline ends it; the next question starts another. Checks that were done by then keep their outcome.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import nbformat
from nbformat import NotebookNode

from course.base.result import MIME, CheckRecord, Result
from course.checks.core.loading import FOLDER
from course.checks.core.rendering import Displayed

LOADING_S = 60.0  # how long a question's module may take to be imported
MAX_ANSWER_BYTES = 16 * 2**20


class ExaminerProcess(Protocol):
    """What is needed of the process that runs questions: subprocess.Popen's and the sandbox's have it."""

    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Examiner:
    """The near side of a process that runs questions; use it as a context manager.

    Args:
        start: starts the process, given the descriptor of its end of a socket and the folder of the questions.
        folder: where the questions' modules are.
        prepare: is called before each question, such as to copy what was shipped.
        again: ask a question once more where a check met an exception that nobody expected. What comes again does not
            come from a moment of weakness of this machine.
    """

    def __init__(
        self,
        start: Callable[[int, Path], ExaminerProcess],
        folder: Path,
        *,
        prepare: Callable[[], None] | None = None,
        again: bool = False,
    ) -> None:
        self._start, self._folder, self._prepare, self._again = start, folder, prepare, again
        self._process: ExaminerProcess | None = None
        self._connection: socket.socket | None = None
        self._unread = b""

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def outputs(self, grade_id: str) -> list[NotebookNode]:
        """What the grade cell of a question shows: its result or, where it could not be judged, an error."""
        answer = self._judged(grade_id)
        if self._again and _broke(answer):
            self.close(now=True)
            second = self._judged(grade_id)
            answer = answer if _broke(second) else second
        if "data" in answer:
            return [nbformat.v4.new_output("execute_result", data=answer["data"])]
        name, message = str(answer.get("error")), str(answer.get("message"))
        return [nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])]

    def _judged(self, grade_id: str) -> dict[str, Any]:
        """The last answer about a question; one made of what came before, where its process was stopped or ended."""
        done = _Done()
        try:
            if self._prepare is not None:
                self._prepare()
            return self._ask(grade_id, done)
        except TimeoutError as late:
            cause, name, why = "deadline", "QuestionTimeout", str(late)
        except OSError as ended:
            cause, name, why = "end", "QuestionEnded", f"the process that ran the question ended ({ended})"
        self.close(now=True)
        return done.answer(cause, why) or {"error": name, "message": why}

    def close(self, now: bool = False) -> None:
        """End the process: of its own accord, so that it can clear up, or at once."""
        if self._process is None or self._connection is None:
            return
        self._connection.close()
        if now:
            self._process.kill()
        try:
            self._process.wait(LOADING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None

    def _ask(self, grade_id: str, done: _Done) -> dict[str, Any]:
        if self._connection is None:
            self._begin()
        assert self._connection is not None
        self._connection.sendall(json.dumps({"grade_id": grade_id}).encode() + b"\n")
        seconds = LOADING_S
        late = time.monotonic() + seconds
        while True:
            answer = self._answer(late, seconds)
            if "deadline_s" in answer:
                seconds = float(answer["deadline_s"])
                late = time.monotonic() + seconds
                done.blank = answer.get("blank")
            elif "check" in answer:
                done.checks[answer["place"]] = answer["check"]
            else:
                return answer

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._start(theirs.fileno(), self._folder)
            except BaseException:
                ours.close()
                raise
        self._connection, self._unread = ours, b""

    def _answer(self, deadline: float, seconds: float) -> dict[str, Any]:
        """The next line.

        Args:
            deadline: when it must be there, by the monotonic clock.
            seconds: how long that was in all, for the message.

        Raises:
            TimeoutError: none came in time.
            OSError: the process ended.
        """
        assert self._connection is not None
        while b"\n" not in self._unread:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._connection.recv(1 << 20)
            except TimeoutError:
                raise TimeoutError(f"the question did not end within {seconds:g} seconds and was stopped") from None
            self._unread += chunk
            if not chunk or len(self._unread) > MAX_ANSWER_BYTES:
                raise OSError("it closed its connection" if not chunk else "its answer is too large")
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class _Done:
    """What came of a question that was stopped: its blank result, and the lines of the checks that were done."""

    blank: dict[str, Any] | None = None
    checks: dict[int, dict[str, Any]] = field(default_factory=dict)

    def answer(self, cause: str, why: str) -> dict[str, Any] | None:
        """What its grade cell shows; None where it was not even loaded."""
        if self.blank is None:
            return None
        blank = Result.from_dict(self.blank)
        lines = [
            CheckRecord.from_dict(self.checks[place]) if place in self.checks else replace(line, cause=cause)
            for place, line in enumerate(blank.checks)
        ]
        first = next((place for place, line in enumerate(lines) if line.cause == cause), None)
        if first is not None and not lines[first].hidden:
            lines[first] = replace(lines[first], reason=f"{why}; a person will look at it")
        return {"data": Displayed(replace(blank, checks=tuple(lines)))._repr_mimebundle_()}


def _broke(answer: Mapping[str, Any]) -> bool:
    """Whether a check met an exception that nobody expected, or the question itself did."""
    record = answer.get("data", {}).get(MIME)
    return record is None or any(check.get("cause") in ("exception", "end") for check in record["checks"])


def plain(folder: Path, environment: Mapping[str, str]) -> Examiner:
    """Run a lab's questions as its student does: in its folder, without a sandbox.

    Args:
        folder: the lab's folder, with `checks/` and `shipped/`.
        environment: of the process.
    """

    def start(descriptor: int, checks: Path) -> ExaminerProcess:
        command = [sys.executable, "-P", "-m", "course.checks.core.serving", str(descriptor), str(checks)]
        silent = subprocess.DEVNULL
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            pass_fds=(descriptor,),
            stdin=silent,
            stdout=silent,
            stderr=silent,
        )

    return Examiner(start, folder.resolve() / FOLDER)
