"""The boundary behind which a student's code runs: a child process with a clean environment, limits and a deadline.

`Talk` keeps one such process and talks with it (`Worker`: calls functions in it); `run` runs one command. Both start
it through `start_process`, which the grading engine replaces by one that starts it in a sandbox.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from course import shipping
from course.base.budgets import BudgetExceeded, budget
from course.base.removal import remove
from course.base.threads import ONE_THREAD
from course.checks.core import phases
from course.sandboxed import serialization

MEMORY_MB = 4096
MAX_FILE_MB = 256
MAX_OUTPUT_BYTES = 1 << 16
MAX_ANSWER_MB = 2048  # that reading the answer of a worker may take
TAG = "COURSE_PROCESS"  # each process and all that it starts carry its own value, so that none is left behind


class Stopped(Exception):
    """The process did not answer in time, or ended; the message says which."""


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit status (negative: a signal), and the end of what it printed."""

    returncode: int
    output: str
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.returncode == 0 and not self.timed_out


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean environment: the place of programs, of a private home and of the course's cached data, and no more."""
    cache = os.environ.get("COURSE_CACHE") or str(platformdirs.user_cache_path("course"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    basics = {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "MPLBACKEND": "agg"}
    return {**basics, **ONE_THREAD, "COURSE_CACHE": cache, "PYTHONDONTWRITEBYTECODE": "1", **more}


def start_plainly(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], readable: Sequence[Path], **options: Any
):
    """Start a child process, in a session of its own so that all it starts can be stopped with it.

    Args:
        command, cwd, env: as for subprocess.Popen; `cwd` is the one folder that it may write.
        readable: folders besides the system's that it needs to read. Here, without a sandbox, it could read more.
        options: further ones for subprocess.Popen.
    """
    return subprocess.Popen(command, cwd=cwd, env=dict(env), start_new_session=True, **options)


start_process: Callable[..., subprocess.Popen] = start_plainly


def stop(process: subprocess.Popen, tag: str | None = None) -> None:
    """End a process and all that it started, at once.

    Args:
        process: the process, started by :data:`start_process`.
        tag: the value of TAG in its environment; on Linux those that left its session are found by it.
    """
    if not isinstance(process, subprocess.Popen):  # in a sandbox, which ends as a whole; its number is not ours to kill
        process.kill()
        process.wait()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()
    deadline = time.monotonic() + 2.0
    while tag and (left := _carrying(tag)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _carrying(tag: str) -> list[int]:
    """The live processes whose environment carries a tag; none where the system has no /proc."""
    mark, found = f"{TAG}={tag}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # another user's, or gone already
            continue
    return found


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    try:
        yield folder
    finally:
        remove(folder)


# seconds, KiB, blocks of 512 bytes; a system that knows one of the limits not goes without it
_CAPPED = """ulimit -c 0; ulimit -t "$1"; ulimit -v "$2" 2>/dev/null; ulimit -f "$3"; shift 3; exec "$@" """


def capped(command: Sequence[str], seconds: float) -> list[str]:
    """A command that starts with limits: on its processor time, memory, and the size of each file that it writes."""
    limits = [str(int(seconds) + 10), str(MEMORY_MB << 10), str(MAX_FILE_MB << 11)]
    return ["/bin/sh", "-c", _CAPPED, "sh", *limits, *command]


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    readable: Sequence[Path] = (),
    stderr: bool = True,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a command of a student's to its end, or to the deadline; then end whatever it left running.

    Its processor time, memory and the size of its files and output are capped. A program that is not there ends with
    status 127, as in a shell.

    Args:
        command: the program and its arguments.
        cwd: the folder in which it runs, and which it may write.
        timeout: the deadline, in seconds.
        env: its environment; a clean one by default.
        readable: further folders that it needs to read.
        stderr: whether what it prints to standard error belongs to its output, or is dropped.
        pass_fds: file descriptors that it gets under their own numbers.
    """
    tag = uuid.uuid4().hex
    with _scratch() as home, tempfile.TemporaryFile() as output:
        process = start_process(
            capped(command, timeout),
            cwd=cwd,
            env={**(env or environment(home)), TAG: tag},
            readable=readable,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if stderr else subprocess.DEVNULL,
        )
        try:
            process.wait(timeout)
            timed_out = False
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            stop(process, tag)
        return Completed(process.returncode, _tail(output), timed_out)


class Talk:
    """One child process that gets messages through a pipe and answers through another; each begins with its length.

    Args:
        command: the program and its arguments; "REQUESTS" and "ANSWERS" among them become file descriptors.
        timeout: how long one answer may take, in seconds.
        readable: folders that it needs to read.
        env: makes its environment from its private home; a clean one by default.
        descriptors: further open files that it gets, by the word among `command` that stands for one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        readable: Sequence[Path] = (),
        env: Callable[[Path], Mapping[str, str]] = environment,
        descriptors: Mapping[str, int] | None = None,
    ) -> None:
        self.timeout = timeout
        home, tag = Path(tempfile.mkdtemp(prefix="course-")), uuid.uuid4().hex
        self.home = home  # it works there, and may write there: trust nothing in it
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (_close ends it)
        for_child, self._requests = os.pipe()
        self._answers, from_child = os.pipe()
        os.set_blocking(self._requests, False)
        more = dict(descriptors or {})
        ends = {"REQUESTS": str(for_child), "ANSWERS": str(from_child)} | {word: str(n) for word, n in more.items()}
        try:
            self.process = start_process(
                [ends.get(word, word) for word in command],
                cwd=home,
                env={**env(home), TAG: tag},
                readable=readable,
                pass_fds=(for_child, from_child, *more.values()),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
            )
        finally:
            os.close(for_child)
            os.close(from_child)
        pipes = (self._requests, self._answers)
        self._close = weakref.finalize(self, _close, self.process, tag, pipes, self._output, home)
        _talks.add(self)

    @contextlib.contextmanager
    def exchange(self, message: bytes) -> Iterator[Callable[[int], bytes]]:
        """Send a message and give a function that reads the answer; whatever is raised ends the process.

        Raises:
            Stopped: it did not answer in time, or ended.
        """
        deadline = time.monotonic() + self.timeout
        try:
            with contextlib.suppress(BrokenPipeError):
                self._write(message, deadline)
            yield lambda count: self._read(count, deadline)
        except BaseException:
            self.close()
            raise

    def output(self) -> str:
        """The end of what the student's code printed."""
        return "" if self._output.closed else _tail(self._output)

    def close(self) -> None:
        """End the process and all that it started, and remove its scratch folder."""
        self._close()

    def _write(self, message: bytes, deadline: float) -> None:
        view = memoryview(message)
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self._requests], [], left)[1]:
                raise Stopped(f"it did not finish within {self.timeout:g} seconds")
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._requests, view) :]

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise Stopped(f"it did not finish within {self.timeout:g} seconds")
            chunk = os.read(self._answers, min(count - len(data), 1 << 20))
            if not chunk:
                raise Stopped(self._how_it_ended())
            data += chunk
        return bytes(data)

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(2)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if reason := getattr(self.process, "reason", None):  # the sandbox's own words
            return f"it was stopped, because it {reason}"
        if code == -signal.SIGKILL:
            return "it was stopped: it used too much memory or time"
        if code == -signal.SIGXCPU:
            return "it used too much processor time"
        return f"it ended the process ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"


_talks: weakref.WeakSet[Talk] = weakref.WeakSet()


@phases.before_hidden
@phases.after_hidden
def end_all() -> None:
    """End every process that a check talks to; who asks one again gets a new one."""
    for talk in list(_talks):
        talk.close()
    _talks.clear()


class Worker(Talk):
    """One child process that holds a student's module and answers calls.

    Args:
        timeout: how long one request may take, in seconds.
        folder: where its modules are; the folder of shipped files by default.
        readable: further folders that it needs to read.
    """

    def __init__(self, *, timeout: float = 10.0, folder: Path | None = None, readable: Sequence[Path] = ()) -> None:
        shipped = folder or shipping.folder()
        program = [sys.executable, "-I", "-B", "-m", "course.sandboxed.worker", "REQUESTS", "ANSWERS", str(shipped)]
        limits = [str(int(timeout * 20) + 20), str(MEMORY_MB)]
        super().__init__([*program, *limits], timeout=timeout, readable=[shipped, *readable])

    def request(self, do: str, **details: Any) -> dict[str, Any]:
        """Ask the process to do something, and return its answer: {"ok": …} or {"error": …}.

        Raises:
            Stopped: it did not answer in time, or ended. It is gone then.
            serialization.WireError: an argument cannot travel (it lives on), or the answer is no answer (it is gone).
        """
        message = serialization.frame(serialization.pack({"do": do, **details}))
        with self.exchange(message) as read:
            try:
                with budget(megabytes=MAX_ANSWER_MB):
                    answer = serialization.receive(read)
            except BudgetExceeded as error:
                raise serialization.WireError(f"its answer takes {error} to read") from None
            if not isinstance(answer, dict) or not ({"ok", "error"} & set(answer)):
                raise serialization.WireError("the process answered in a form that the check cannot read")
        return answer


def _close(process: subprocess.Popen, tag: str, pipes: tuple[int, int], output, home: Path) -> None:
    stop(process, tag)
    for pipe in pipes:
        with contextlib.suppress(OSError):
            os.close(pipe)
    output.close()
    remove(home)


def _tail(file) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_OUTPUT_BYTES))
    return file.read(MAX_OUTPUT_BYTES).decode(errors="replace")
