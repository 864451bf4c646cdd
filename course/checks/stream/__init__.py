"""A student's worker beside a broker of the grader's: `stage()`; what counts is the table that the worker wrote.

The broker (`programs/bus.py`) and the worker (`programs/workers.py`) each have a sandbox. A socket between the two
carries nothing but connections to the broker, so the worker sees neither the broker's files nor what is not sent to it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course import broker, shipping
from course.base import untrusted
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, fail, not_graded_here
from course.checks.http.services import last_lines
from course.sandboxed import programs

COLUMNS = ("flight", "model", "revision", "score")
SECONDS = 20.0  # for the work of one check, where nothing is said
MOST_FILES = 20
MAX_FILE_BYTES = 256 << 10
MOST_ROWS = 5000


def scoring(seconds: float = 0.0) -> str:
    """The source of a scoring.py that nobody can know: its scores depend on a number drawn now.

    Args:
        seconds: how long one score takes.
    """
    return _SCORING.replace("SALT", secrets.token_hex(8)).replace("SECONDS", repr(seconds))


_SCORING = '''"""Scores flights, as the given module does, with another model."""
import hashlib
import os
import time

MODEL = "graded"
tried = {}


def score(flight):
    name = flight["flight"]
    tried[name] = tried.get(name, 0) + 1
    if name == os.environ.get("STUCK"):
        time.sleep(3600)
    if name == os.environ.get("BROKEN") or name == os.environ.get("SHAKY") and tried[name] < 3:
        raise RuntimeError("no model answers")
    time.sleep(SECONDS)
    return expected(flight)


def expected(flight):
    text = "SALT" + "|".join(f"{key}={flight[key]}" for key in sorted(flight))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
'''


def expected_score(source: str, flight: Mapping[str, Any]) -> float:
    """The score that a module of :func:`scoring` returns for a flight."""
    names: dict[str, Any] = {}
    exec(compile(source, "scoring.py", "exec"), names)  # our own text
    return float(names["expected"](flight))


@dataclass
class Stage:
    """A broker, and the folder in which shipped workers run.

    Attributes:
        scoring: the source of the module that scores.
    """

    scoring: str
    _bus: processes.Talk
    _workers: processes.Talk
    _password: str = ""
    _seen: list[str] = field(default_factory=list)
    _has: set[str] = field(default_factory=set)

    # the broker

    def publish(self, *bodies: bytes | int | Mapping[str, Any]) -> list[int]:
        """Put messages into the stream of flights, and return their numbers; a number stands for so many bytes."""
        sent = [body if isinstance(body, int) else _b64(_raw(body)) for body in bodies]
        return list(self._ask(self._bus, 60, do="publish", subject=broker.FLIGHTS, bodies=sent)["numbers"])

    def restart(self, away: float = 0.5) -> None:
        """End the broker, and start it again after some seconds."""
        self._ask(self._bus, 60, do="restart", away=away)

    def clear(self) -> None:
        """Forget all messages and consumers."""
        self._ask(self._bus, 60, do="clear", streams=[spec["name"] for spec in broker.STREAMS])

    def unacknowledged(self) -> int:
        """How many messages are handed out and not acknowledged."""
        return sum(one[1] for one in self._consumers())

    def left(self) -> int | None:
        """How many messages are not acknowledged, handed out or not; None while there is no consumer."""
        found = self._consumers()
        return max(one[0] + one[1] for one in found) if found else None

    def _consumers(self) -> list[list[int]]:
        return list(self._ask(self._bus, 30, do="state", stream="FLIGHTS")["consumers"])

    def dead(self) -> list[dict[str, Any]]:
        """The dead letters: `number` (None where that is no number), `reason` and the beginning of `body`."""
        found = []
        reply = self._ask(self._bus, 60, do="read", stream="DEAD")
        for one in reply["messages"]:
            headers = {str(key).lower(): str(value) for key, value in one["headers"].items()}
            number = headers.get("number", "")
            body = base64.b64decode(one["body"])
            whole = int(number) if number.isdecimal() and len(number) < 12 else None
            found.append({"number": whole, "reason": headers.get("reason", ""), "body": body})
        return found

    # the worker

    def start(self, name: str = "worker", *, ack_wait: float = 5.0, in_flight: int = 8, **env: str) -> None:
        """Start a worker.

        Args:
            name: of this process.
            ack_wait, in_flight: as in the exercise.
            env: further variables.

        Raises:
            Unmet: no worker.py is shipped.
        """
        if "worker.py" not in self._has:
            raise Unmet("worker.py is shipped", "there is no worker.py among the shipped files")
        url = f"nats://worker:{self._password}@127.0.0.1:PORT"
        environment = {"BROKER": url, "DATABASE": "scores.db", "ACK_WAIT": str(ack_wait), "IN_FLIGHT": str(in_flight)}
        folder, env = str(self.folder), environment | env
        self._ask(self._workers, 30, do="start", name=name, command=["worker.py"], folder=folder, env=env)
        self._seen.append(name)

    def run(self, script: str, name: str = "script", seconds: float = SECONDS) -> int:
        """Run a script of the check's beside the shipped files; its exit status.

        Raises:
            CheckFailed: it does not end.
        """
        self.fill({f"{name}.py": script})
        self._ask(self._workers, 30, do="start", name=name, command=[f"{name}.py"], folder=str(self.folder), env={})
        self._seen.append(name)
        code = self.wait(name, seconds)
        if code is None:
            self.signal(name, signal.SIGKILL)
            fail(f"it does not end within {seconds:g} seconds")
        return code

    def signal(self, name: str = "worker", number: int = signal.SIGTERM) -> None:
        """Send a signal to a process."""
        self._ask(self._workers, 30, do="signal", name=name, number=int(number))

    def wait(self, name: str = "worker", seconds: float = SECONDS) -> int | None:
        """The exit status of a process; None when it still runs after some seconds."""
        code = self._ask(self._workers, seconds + 10, do="wait", name=name, seconds=seconds)["code"]
        return code if isinstance(code, int) else None

    def kill(self, name: str = "worker") -> None:
        """End a worker as the kernel does when memory is short."""
        self.signal(name, signal.SIGKILL)
        self.wait(name)

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows of the table of scores: flight, model, revision, score; none while there is no table.

        Raises:
            CheckFailed: there are far too many, or they cannot be read.
        """
        details = {"database": str(self.folder / "scores.db"), "columns": list(COLUMNS), "table": "scores"}
        reply = self._ask(self._workers, 30, do="rows", _mistake=True, **details)
        if error := reply.get("error"):
            if "no such table" in error:
                return []
            hint = "the exercise names the table and its columns"
            fail("the table scores cannot be read", expected=f"columns {', '.join(COLUMNS)}", actual=error, hint=hint)
        found = reply.get("rows")
        if not isinstance(found, list) or len(found) > MOST_ROWS:
            fail(f"the table scores has more than {MOST_ROWS:,} rows", hint="one row per flight and model")
        return [tuple(row) for row in found]

    def until(self, done: Any, seconds: float = SECONDS) -> bool:
        """Wait until a function returns something true; whether it did before the time was up, or the worker ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return True
            names = [name for name in self._seen if name != "script"]
            if names and all(self.wait(name, 0.01) is not None for name in names):
                return bool(done())
            time.sleep(0.05)
        return bool(done())

    def finish(self, seconds: float = SECONDS) -> None:
        """Wait until all messages are acknowledged.

        Raises:
            CheckFailed: they are not, or the worker ended.
        """
        if self.until(lambda: self.left() == 0, seconds):
            return
        names = [name for name in self._seen if name != "script"]
        codes = [self.wait(name, 0.01) for name in names]
        if names and all(code is not None for code in codes):
            hint = "an error in one message must not end the worker; its output says which line it was"
            fail(f"the worker ended (exit status {codes[-1]})", actual=self.output() or None, hint=hint)
        left = self.left()
        if left is None:
            hint = "connect to the address in BROKER, and read the stream FLIGHTS with a durable consumer"
            fail(f"the worker asked for no message within {seconds:g} seconds", actual=self.output() or None, hint=hint)
        hint = "each message is acknowledged, once its effect is written or it is a dead letter"
        fail(f"messages that are not acknowledged after {seconds:g} seconds", expected=0, actual=left, hint=hint)

    def must_have(self, flights: Sequence[Mapping[str, Any]]) -> None:
        """Fail unless the table has exactly one row for each flight, with the score of the revision that is given."""
        self.until(lambda: len(self.rows()) >= len(flights), 2.0)  # an early acknowledgement is another check's matter
        rows = self.rows()
        by_flight: dict[Any, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_flight.setdefault(row[0], []).append(row)
        wanted = {flight["flight"]: flight for flight in flights}
        if missing := [name for name in wanted if name not in by_flight]:
            fail(
                f"{len(missing)} of {len(wanted)} flights have no row, such as {missing[0]!r}",
                actual=self.output() or None,
                hint="acknowledge a message after its row is committed, never before",
            )
        if twice := [found for found in by_flight.values() if len(found) > 1]:
            hint = "a key over (flight, model), and INSERT … ON CONFLICT"
            fail(
                "a flight has more than one row",
                expected="one row per flight and model",
                actual=twice[0][:3],
                hint=hint,
            )
        if strange := [name for name in by_flight if name not in wanted]:
            fail("there is a row of a flight that was never sent, or is a dead letter", actual=strange[0])
        for name, flight in wanted.items():
            (row,) = by_flight[name]
            if row[1] != "graded":
                fail("the column model does not name the model", expected="scoring.MODEL", actual=row[1])
            if row[2] != flight["revision"]:
                hint = "an older revision may arrive after a newer one: it must not replace it"
                fail(f"flight {name!r} has the wrong revision", expected=flight["revision"], actual=row[2], hint=hint)
            right = expected_score(self.scoring, flight)
            if not isinstance(row[3], float) or abs(row[3] - right) > 1e-6:
                hint = "score(flight) takes the whole flight, as parse() returns it"
                fail(f"flight {name!r} has the wrong score", expected=right, actual=row[3], hint=hint)

    def output(self) -> str:
        """The last error that the worker printed, else its last lines."""
        return last_lines(self._workers.output())

    # both

    def fill(self, files: Mapping[str, str]) -> None:
        """Write files into the worker's folder; the program beside the worker does it, as the student's user."""
        self._has |= {*files}
        self._ask(self._workers, 30, do="fill", folder=str(self.folder), files=dict(files))

    @property
    def folder(self) -> Path:
        """Where the worker runs."""
        return self._workers.home / "work"

    def _ask(self, talk: processes.Talk, limit: float, /, *, _mistake: bool = False, **message: Any) -> dict[str, Any]:
        talk.timeout = limit
        data = json.dumps(message).encode()
        try:
            with talk.exchange(len(data).to_bytes(8, "little") + data) as read:
                size = int.from_bytes(read(8), "little")
                if size > 16 << 20:
                    raise processes.Stopped("its answer is too large")
                reply = json.loads(read(size))
        except (processes.Stopped, ValueError, RecursionError) as error:
            who = "broker" if talk is self._bus else "worker"
            raise CheckFailed(f"the {who} gives no answer any more: {error}", actual=self.output() or None) from None
        if not isinstance(reply, dict):
            raise CheckFailed("the process beside the worker answered in a form that the check cannot read")
        if "error" in reply and not _mistake:
            raise CheckFailed(f"{message['do']}: {str(reply['error'])[:300]}")
        return reply

    def close(self) -> None:
        """End both."""
        self._workers.close()
        self._bus.close()


@contextlib.contextmanager
def stage(*, files: Mapping[str, str] | None = None, seconds: float = 0.0) -> Iterator[Stage]:
    """A broker with empty streams, and a folder with a copy of the shipped Python files.

    Args:
        files: further files of the check's own; they replace shipped ones of the same name.
        seconds: how long a score takes.

    Raises:
        NotGradedHere: nats-server is not installed.
    """
    binary = broker.program()
    if binary is None:
        not_graded_here("nats-server is not installed here; make extra LAB=07 installs it", whatever=True)
    module = scoring(seconds)
    near, far = socket.socketpair()
    folder = Path(programs.__file__).parent
    try:
        talks = [
            processes.Talk(
                processes.capped(
                    [sys.executable, "-B", str(folder / program), "REQUESTS", "ANSWERS", "CONNECTIONS"], 300
                ),
                timeout=60,
                readable=[Path(binary).parent] if program == "bus.py" else [],
                descriptors={"CONNECTIONS": end.fileno()},
            )
            for program, end in (("bus.py", near), ("workers.py", far))
        ]
    finally:
        near.close()
        far.close()
    made = Stage(module, talks[0], talks[1], _password=secrets.token_hex(8))
    try:
        owner = secrets.token_hex(8)
        config = broker.settings(owner, made._password)
        url = f"nats://owner:{owner}@127.0.0.1:PORT"
        made._ask(made._bus, 60, do="start", program=binary, config=config, url=url, streams=broker.STREAMS)
        made.fill({**_shipped(), "scoring.py": module, **(files or {})})
        yield made
    finally:
        made.close()


def _shipped() -> dict[str, str]:
    """The shipped Python files, a few small ones."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError, untrusted.FolderRefused):
        for place in sorted(shipping.folder().glob("*.py"))[:MOST_FILES]:
            with contextlib.suppress(untrusted.FileRefused, OSError, UnicodeError):
                found[place.name] = untrusted.read_file(place, MAX_FILE_BYTES).decode()
    return found


def _raw(body: bytes | Mapping[str, Any]) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
