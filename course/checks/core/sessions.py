"""A grader's session with a service that is shared with others, such as a container engine or a cluster.

A session has an id, labels everything that it creates with it, and removes all of that at its end. It begins with a
*keeper*: a container of the course's own, whose standard input is a connection to the grader. The keeper sends the
requests to a student's service, and it ends as soon as the grader does, however the grader ends. So the next session
can tell which sessions ended without removing what they created, and removes that. Nothing without the label is
touched. The sessions themselves are in `docker.engines` and `kubernetes.sessions`.
"""

from __future__ import annotations

import abc
import atexit
import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from course.checks.core.expectations import not_graded_here
from course.sandboxed import programs

SESSION_LABEL = "course.grading.run"  # its value is the id of the session
ROLE_LABEL = "course.grading.role"
KEEPER = "keeper"  # the value of ROLE_LABEL by which a session that lives is recognised
MAX_REPLY_BYTES = 80 << 20


class SessionError(Exception):
    """The session cannot go on: the keeper sent no reply, or something of the course's own did not start."""


def program(name: str) -> bytes:
    """The source of one of the course's own programs, which run in containers of the course's own."""
    return Path(programs.__file__).with_name(name).read_bytes()


@contextlib.contextmanager
def not_graded_on(errors: tuple[type[Exception], ...], reason: Callable[[Exception], str]) -> Iterator[None]:
    """Turn errors that are not the student's fault into "not graded here".

    Args:
        errors: their types.
        reason: what the student and the instructor read about one.
    """
    try:
        yield
    except errors as error:
        not_graded_here(reason(error))


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition holds.

    Args:
        holds: the condition.
        seconds: the longest wait.
        what: what is waited for, for the message.

    Raises:
        SessionError: it does not hold within that time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SessionError(f"{what}: not done after {seconds:g} seconds")
        time.sleep(0.05)


class Connection(abc.ABC):
    """A connection to the standard input and output of a container. When it is closed, the container's input ends."""

    def __init__(self) -> None:
        self._unread = bytearray()

    @abc.abstractmethod
    def send(self, data: bytes, seconds: float) -> None:
        """Write to the standard input; it may take so many seconds."""

    @abc.abstractmethod
    def receive(self, deadline: float) -> bytes:
        """The next bytes of the standard output, perhaps none yet.

        Args:
            deadline: by the monotonic clock, in seconds.

        Raises:
            OSError: the output ended, or nothing came before the deadline.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close it."""

    def request(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message and return the reply to it. Each is JSON, after its length in 8 bytes, lowest byte first.

        Raises:
            OSError: there was no reply within so many seconds.
            ValueError: the reply is too large, or it is not JSON.
        """
        data = json.dumps(message).encode()
        deadline = time.monotonic() + seconds
        self.send(len(data).to_bytes(8, "little") + data, seconds)
        size = int.from_bytes(self._take(8, deadline), "little")
        if size > MAX_REPLY_BYTES:
            raise ValueError(f"the reply has {size} bytes, and {MAX_REPLY_BYTES} are the most")
        reply: dict[str, Any] = json.loads(self._take(size, deadline))
        return reply

    def _take(self, count: int, deadline: float) -> bytes:
        """So many bytes of the standard output."""
        while len(self._unread) < count:
            self._unread += self.receive(deadline)
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


class Session(abc.ABC):
    """One grader's session.

    Attributes:
        id: the value of the label on everything that it creates.
        process: the process whose session this is; a forked process begins its own.
    """

    trouble: ClassVar[tuple[type[Exception], ...]]  # errors of the service that are not the student's fault

    def __init__(self, digits: int) -> None:
        self.id, self.process = uuid.uuid4().hex[:digits], os.getpid()
        self._keeper: Connection | None = None
        self._ended = False

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this session creates."""
        return {SESSION_LABEL: self.id}

    def begin(self) -> None:
        """Start the keeper, then remove what sessions left whose grader is gone.

        Raises:
            SessionError: something of the course's own does not start.
            Exception: one of `trouble`; whatever was created by then is removed.
        """
        atexit.register(self.end)
        try:
            self._begin()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Remove everything that this session created; a second call does nothing."""
        if self.is_over:
            return
        self._ended = True
        if self._keeper is not None:
            self._keeper.close()
        with contextlib.suppress(*self.trouble):
            self._remove()
        self._close()
        atexit.unregister(self.end)

    @property
    def is_over(self) -> bool:
        """Whether it ended, or belongs to the process from which this one was forked."""
        return self._ended or self.process != os.getpid()

    @abc.abstractmethod
    def is_alive(self) -> bool:
        """Whether it is not over and its keeper still runs."""

    def request(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send the keeper a message and return its reply.

        Raises:
            SessionError: there was none within so many seconds. The keeper ends then, and so does the session.
        """
        if self._keeper is None:
            raise SessionError("the keeper of the session does not run")
        errors: tuple[type[Exception], ...] = (ValueError, *self.trouble)
        try:
            return self._keeper.request(message, seconds)
        except errors as error:
            self._keeper.close()
            self._keeper = None
            raise SessionError(f"the keeper of the session gave no reply: {error}") from None

    @abc.abstractmethod
    def _begin(self) -> None:
        """See :meth:`begin`."""

    @abc.abstractmethod
    def _remove(self) -> None:
        """Remove everything that this session created; may raise what is in `trouble`."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Close the connections to the service."""


SessionT = TypeVar("SessionT", bound=Session)


class CurrentSession(Generic[SessionT]):
    """The session of this process with one service; it begins at the first call, and again after a fork or an end.

    Args:
        begin: begins one.
    """

    def __init__(self, begin: Callable[[], SessionT]) -> None:
        self._begin = begin
        self.session: SessionT | None = None

    def get(self) -> SessionT:
        """The session that lives.

        Raises:
            NotGradedHere: the service cannot be used.
        """
        if self.session is None or not self.session.is_alive():
            self.session = self._begin()
        return self.session

    def end(self) -> None:
        """End it, if there is one."""
        if self.session is not None:
            self.session.end()
        self.session = None


def sweep(
    found: Collection[str], is_alive: Callable[[str], bool], remove: Callable[[str], None], keep: str | None = None
) -> None:
    """Remove what sessions left whose grader is gone.

    Args:
        found: the ids on everything that carries the label.
        is_alive: whether the session of an id has a keeper that runs, or that may still start. It is called after
            `found` was made: a session creates its keeper before everything else.
        remove: removes everything with an id.
        keep: the id of a session that lives.
    """
    for left in sorted(set(found) - {keep, ""}):
        if not is_alive(left):
            remove(left)
