"""Warm processes: one process that has imported the course's libraries forks kernels and workers from itself.

The zygote runs no student code. Each fork enters a sandbox of its own (or none, for the examiner) before it
does anything else. A request comes over a Unix socket with a path, as JSON and file descriptors; the sender keeps one
end of a control socket, and when that closes, all that the request started is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course.base.errors import UserError
from course.base.removal import remove
from course.base.threads import ONE_THREAD
from course.grading.sandbox import namespaces, policy
from course.grading.sandbox.namespaces import View

ENVIRONMENT = "COURSE_ZYGOTE"
MAX_REQUEST = 1 << 18


class ZygoteError(UserError):
    """The zygote could not be started or reached."""


class Zygote:
    """A zygote that this process started; close it at the end. Its `path` is what others need to use it.

    Args:
        modules: what it imports besides what every notebook needs; see `warm` in a lab's lab.yaml.
        wait: return only when it is ready; else :meth:`wait_until_ready` must be called before it is used.
    """

    def __init__(self, modules: Sequence[str] = (), *, wait: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="course-zygote-"))
        self.path = str(self.folder / "socket")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env = {**kept, **ONE_THREAD, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
        env = policy.environment(env | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"})
        ready, done = os.pipe()
        command = [sys.executable, "-P", "-B", "-m", "course.grading.sandbox.zygote_server", self.path, str(done)]
        command += modules
        self._process = subprocess.Popen(
            command, env=env, cwd=self.folder, pass_fds=(done,), stdin=subprocess.DEVNULL, start_new_session=True
        )
        os.close(done)
        self._ready: int | None = ready
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait until everything is imported; it takes seconds.

        Raises:
            ZygoteError: it did not start in time.
        """
        if self._ready is None:
            return
        answered = select.select([self._ready], [], [], timeout)[0]
        if not answered or os.read(self._ready, 1) != b"!":
            self.close()
            raise ZygoteError("the process that keeps the libraries warm did not start; see its messages above")
        self._forget_pipe()

    def _forget_pipe(self) -> None:
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None

    def close(self) -> None:
        """End the zygote and everything that it forked."""
        self._forget_pipe()
        self._process.kill()
        self._process.wait()
        remove(self.folder)

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Process:
    """The near side of a forked process, in the manner of subprocess.Popen.

    Attributes:
        pid: its supervisor's process id, for messages only: the end of a process is known by its socket.
        returncode: as for Popen, negative for a signal; None while it runs.
        reason: why it was stopped, such as "used more than 2048 MiB of memory"; None where it was not.
    """

    def __init__(self, control: socket.socket, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.reason: str | None = None
        self.stdin = self.stdout = self.stderr = None
        self._control = control

    def poll(self) -> int | None:
        """The exit status (-n for a signal n), or None while it runs."""
        return self._await(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        if self._await(timeout) is None:
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process inside."""
        if number == signal.SIGKILL:
            self.kill()
        elif self.poll() is None:
            with contextlib.suppress(OSError):
                self._control.send(bytes([number]))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all that it started."""
        if self.returncode is None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)

    def freeze(self) -> bool:
        """Stop all that runs inside its sandbox, until :meth:`thaw`; whether it lives and is stopped now."""
        return self._ordered(namespaces.FREEZE, b"f") is not None

    def thaw(self) -> bool:
        """Let all go on that :meth:`freeze` stopped; whether it lives."""
        return self._ordered(namespaces.THAW, b"t") is not None

    def processor_s(self) -> float | None:
        """The seconds of processor time that it and all that it started have used; None when it has ended."""
        answer = self._ordered(namespaces.USED, b"u")
        return None if answer is None else struct.unpack("<d", answer)[0]

    def _ordered(self, order: int, answer: bytes) -> bytes | None:
        """Ask the supervisor, and wait for its answer, of which the first byte is known, or for the end (None)."""
        if self.poll() is not None:
            return None
        with contextlib.suppress(OSError):
            self._control.send(bytes([order]))
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.poll()
        with contextlib.suppress(OSError):
            if self._control.recv(512, socket.MSG_PEEK)[:1] == answer:
                return self._control.recv(512)[1:]
        self._note_end()
        return None

    def close(self) -> None:
        """Kill it, wait, and forget it."""
        self.kill()
        self.wait()

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()  # select() cannot look at file descriptors above 1024
            poll.register(self._control, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                self._note_end()
        return self.returncode

    def _note_end(self) -> None:
        try:
            answer = self._control.recv(512)
        except OSError:
            answer = b""
        self.returncode = struct.unpack("<i", answer[1:5])[0] if len(answer) >= 5 else -signal.SIGKILL
        self.reason = answer[5:].decode(errors="replace") or None
        self._control.close()


def spawn(
    path: str,
    kind: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    view: View | None,
    descriptors: Mapping[int, int],
) -> Process:
    """Ask a zygote for a process.

    Args:
        path: the zygote's socket.
        kind: a function of course.grading.sandbox.entry_points ("kernel", "worker", "command").
        arguments: what that function gets.
        cwd: where it starts; env: its whole environment.
        view: its sandbox, or None for a trusted process.
        descriptors: number inside → file descriptor here. Those from 0 to 2 that are not named are /dev/null.

    Raises:
        ZygoteError: the zygote is gone or cannot fork.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {
        "kind": kind,
        "arguments": list(arguments),
        "cwd": str(cwd),
        "env": dict(env),
        "view": None if view is None else _view_to_json(view),
        "numbers": list(descriptors),
    }
    message = json.dumps(request).encode()
    if len(message) > MAX_REQUEST:
        raise ZygoteError(f"a request of {len(message)} bytes is too large")
    try:
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
            socket.send_fds(connection, [message], [theirs.fileno(), *descriptors.values()])
            answer = connection.recv(16)
    except OSError as error:
        ours.close()
        raise ZygoteError(f"the process that keeps the libraries warm cannot be reached: {error}") from error
    if len(answer) != 4:
        ours.close()
        raise ZygoteError("the process that keeps the libraries warm could not fork")
    return Process(ours, struct.unpack("<i", answer)[0])


def _view_to_json(view: View) -> dict[str, Any]:
    return {
        "readable": [str(path) for path in view.readable],
        "writable": [str(path) for path in view.writable],
        "hidden": [str(path) for path in view.hidden],
        "limits": vars(view.limits),
        "uid": view.uid,
        "bwrap": view.bwrap,
    }
