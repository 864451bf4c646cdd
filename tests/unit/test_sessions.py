"""A grader's session with a shared service begins once per process, ends completely, and tidies up after others."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from course.checks.core import sessions
from course.checks.core.expectations import NotGradedHere
from course.checks.core.sessions import Connection, CurrentSession, Session, SessionError


class Pipe(Connection):
    """A connection whose other end echoes each message, in pieces of a few bytes; it may be made to stay silent."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()
        self.is_open, self.is_silent = True, False

    def send(self, data: bytes, seconds: float) -> None:
        if not self.is_open:
            raise OSError("the pipe is closed")
        if not self.is_silent:
            assert int.from_bytes(data[:8], "little") == len(data) - 8
            reply = json.dumps({"echo": json.loads(data[8:])}).encode()
            self.output += len(reply).to_bytes(8, "little") + reply

    def receive(self, deadline: float) -> bytes:
        if not self.output:
            raise OSError("nothing came in time")
        piece = bytes(self.output[:3])
        del self.output[:3]
        return piece

    def close(self) -> None:
        self.is_open = False


class Recorded(Session):
    """A session that notes what is done with it."""

    trouble = (OSError,)

    def __init__(self, *, starts: bool = True) -> None:
        super().__init__(8)
        self.starts, self.done, self.pipe = starts, [], Pipe()

    def _begin(self) -> None:
        if not self.starts:
            raise SessionError("it does not start")
        self._keeper = self.pipe

    def is_alive(self) -> bool:
        return not self.is_over and self._keeper is not None

    def _remove(self) -> None:
        self.done.append("removed")
        raise OSError("the service is gone")

    def _close(self) -> None:
        self.done.append("closed")


def begun() -> Recorded:
    session = Recorded()
    session.begin()
    return session


def test_a_message_is_answered_by_its_reply():
    session = begun()
    for number in range(3):
        assert session.request({"number": number}, 1) == {"echo": {"number": number}}
    session.end()


def test_a_keeper_that_does_not_reply_ends_the_session():
    session = begun()
    session.pipe.is_silent = True
    with pytest.raises(SessionError, match="the keeper of the session gave no reply: nothing came in time"):
        session.request({}, 1)
    assert not session.pipe.is_open
    assert not session.is_alive()
    with pytest.raises(SessionError, match="does not run"):
        session.request({}, 1)
    session.end()


@pytest.mark.parametrize("reply", [(sessions.MAX_REPLY_BYTES + 1).to_bytes(8, "little"), b"\2" + bytes(7) + b"{]"])
def test_a_reply_that_is_too_large_or_not_json_ends_the_session(reply):
    session = begun()
    session.pipe.is_silent = True
    session.pipe.output += reply
    with pytest.raises(SessionError, match="gave no reply"):
        session.request({}, 1)
    session.end()


def test_an_end_removes_everything_once_even_if_the_service_fails():
    session = begun()
    session.end()
    session.end()
    assert session.done == ["removed", "closed"]
    assert session.is_over


def test_a_session_that_does_not_start_removes_what_it_had_created():
    session = Recorded(starts=False)
    with pytest.raises(SessionError, match="it does not start"):
        session.begin()
    assert session.done == ["removed", "closed"]


def test_a_forked_process_does_not_end_the_session_of_its_parent(monkeypatch):
    session = begun()
    monkeypatch.setattr(os, "getpid", lambda: session.process + 1)
    assert session.is_over
    session.end()
    assert session.done == []
    monkeypatch.undo()
    session.end()


def test_the_current_session_begins_again_only_when_it_must():
    current = CurrentSession(begun)
    first = current.get()
    assert current.get() is first
    first.end()
    second = current.get()
    assert second is not first
    assert second.id != first.id
    current.end()
    assert second.is_over
    current.end()


def test_a_sweep_removes_only_what_no_living_session_owns():
    removed: list[str] = []
    sessions.sweep({"mine", "alive", "left", ""}, lambda one: one == "alive", removed.append, keep="mine")
    assert removed == ["left"]


def test_waiting_ends_when_the_condition_holds_or_the_time_is_over():
    event = threading.Event()
    threading.Timer(0.05, event.set).start()
    sessions.wait_until(event.is_set, 10, "the event")
    begin = time.monotonic()
    with pytest.raises(SessionError, match=r"the start: not done after 0\.1 seconds"):
        sessions.wait_until(lambda: False, 0.1, "the start")
    assert time.monotonic() - begin >= 0.1


def test_trouble_of_the_service_is_not_the_students_fault():
    with (
        pytest.raises(NotGradedHere, match="the engine: no answer"),
        sessions.not_graded_on((OSError,), lambda error: f"the engine: {error}"),
    ):
        raise OSError("no answer")
    with pytest.raises(KeyError), sessions.not_graded_on((OSError,), str):
        raise KeyError("another")


def test_the_programs_of_the_keeper_are_found():
    assert b"import" in sessions.program("beside.py")
