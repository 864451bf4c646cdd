"""Runs questions in a process of their own and gives what their grade cells show. Used by `runner` and `course check`.

The process is kept for all questions of a notebook, so that what one has built serves the next. A question that passes
its deadline ends it; the next question starts another.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import nbformat
from nbformat import NotebookNode

from course.checks.core.loading import FOLDER

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
    """

    def __init__(self, start: Callable[[int, Path], ExaminerProcess], folder: Path) -> None:
        self._start, self._folder = start, folder
        self._process: ExaminerProcess | None = None
        self._connection: socket.socket | None = None
        self._unread = b""

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def outputs(self, grade_id: str) -> list[NotebookNode]:
        """What the grade cell of a question shows: its result or, where it could not be judged, an error."""
        try:
            answer = self._ask(grade_id)
        except TimeoutError as late:
            self.close(now=True)
            answer = {"error": "QuestionTimeout", "message": str(late)}
        except OSError as ended:
            self.close(now=True)
            answer = {"error": "QuestionEnded", "message": f"the process that ran the question ended ({ended})"}
        if "data" in answer:
            return [nbformat.v4.new_output("execute_result", data=answer["data"])]
        name, message = str(answer.get("error")), str(answer.get("message"))
        return [nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])]

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

    def _ask(self, grade_id: str) -> dict[str, Any]:
        if self._connection is None:
            self._begin()
        assert self._connection is not None
        self._connection.sendall(json.dumps({"grade_id": grade_id}).encode() + b"\n")
        answer = self._answer(LOADING_S)
        if (deadline := answer.get("deadline_s")) is None:
            return answer
        return self._answer(float(deadline))

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._start(theirs.fileno(), self._folder)
            except BaseException:
                ours.close()
                raise
        self._connection, self._unread = ours, b""

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The next line.

        Raises:
            TimeoutError: none came in time.
            OSError: the process ended.
        """
        assert self._connection is not None
        deadline = time.monotonic() + seconds
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
