"""HTTP servers whose behaviour is known: delays, a stall, slow replicas, faults. Used by lab 07, and by its questions.

    with known_servers.serve(Behaviour(replicas={"a": 0.02}, stall=(2, 3))) as server:
        ...                                  # server.url takes requests
    server.log                               # one row per request: when it came, when it was answered

The server is a process of its own, so that it keeps its times whatever the caller does. It ends when the caller does.
It takes a request with or without keep-alive, and waits instead of computing, so that a slow machine hardly changes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_REQUESTS = 20_000
MOST_CONNECTIONS = 1000
MOST_BODIES = 200  # that are kept, each up to MAX_KEPT characters
MAX_KEPT = 2000
MAX_HEAD = 1 << 14
MAX_BODY = 1 << 16
LIFE_S = 300.0  # then it ends by itself
START_S = 30.0
FAULTS = ("503", "reset", "hang")


@dataclass(frozen=True)
class Behaviour:
    """What a server does.

    Attributes:
        replicas: by name, the seconds that each takes for a request. They take turns, and the header
            X-Replica names the one that answered.
        turns: the names in the order of their turns; each once by default. "aaab" sends most requests to a.
        at_once: how many requests each replica works on at one time; others wait. 0 for any number.
        stall: from when, in seconds after the first request, and for how long no answer leaves.
        faults: by kind (503; reset, which breaks the connection; hang, which never answers), every how many requests it
            occurs.
    """

    replicas: dict[str, float] = field(default_factory=lambda: {"a": 0.01})
    turns: tuple[str, ...] = ()
    at_once: int = 0
    stall: tuple[float, float] | None = None
    faults: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [*(set(self.faults) - set(FAULTS)), *(set(self.turns) - set(self.replicas))]
        if unknown or not self.replicas:
            raise ValueError(f"faults are {', '.join(FAULTS)}, and turns are names of replicas; got {unknown}")

    def fault(self, number: int) -> str | None:
        """The fault of a request, counted from 0."""
        return next((kind for kind, every in self.faults.items() if number % every == every - 1), None)

    def replica(self, number: int) -> str:
        """Who answers a request, counted from 0."""
        turns = self.turns or tuple(self.replicas)
        return turns[number % len(turns)]


@dataclass(frozen=True)
class Taken:
    """One request, as the server saw it.

    Attributes:
        came, left: in seconds on the machine's monotonic clock; `left` is None where no answer was sent.
        kind: "ok", or the fault that it got.
        replica: which one took it.
        method, path: of its first line.
        type: its media type.
        body: the beginning of its body; of the first requests only.
    """

    came: float
    left: float | None
    kind: str
    replica: str
    method: str
    path: str
    type: str
    body: str


class KnownServer:
    """The near side of a server that runs; see :func:`serve` and :func:`start`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str | None = None) -> None:
        self.process, self.log = process, list[Taken]()
        self.url = url or ""

    def stop(self) -> list[Taken]:
        """End it, and return its log."""
        if not self.process.stdout or self.process.stdout.closed:
            return self.log
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        killer = threading.Timer(10, self.process.kill)
        killer.start()
        try:
            with self.process.stdout as output:
                text = output.read()
        finally:
            killer.cancel()
        self.process.wait()
        self.log = [Taken(*row) for row in json.loads(text or b"[]")]
        return self.log


def start(behaviour: Behaviour, given: socket.socket | None = None) -> KnownServer:
    """Start a server.

    Args:
        behaviour: what it does.
        given: a connected Unix socket over which its listening socket will come; without one, it takes a free port.
    """
    descriptor = "-1" if given is None else str(given.fileno())
    command = [sys.executable, "-I", "-B", "-m", "course.known_servers", json.dumps(asdict(behaviour)), descriptor]
    pipe = subprocess.PIPE
    passed = () if given is None else (given.fileno(),)
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, pass_fds=passed, start_new_session=True)
    if given is not None:
        return KnownServer(process)
    port = process.stdout.readline().decode().strip()  # type: ignore[union-attr]
    return KnownServer(process, f"http://127.0.0.1:{port}/")


@contextlib.contextmanager
def serve(behaviour: Behaviour) -> Iterator[KnownServer]:
    """A server on a free port, for as long as the block runs; after it, `log` holds all requests."""
    server = start(behaviour)
    try:
        yield server
    finally:
        server.stop()


STAND_IN = Behaviour(replicas={"a": 0.04, "b": 0.04}, at_once=1)


@contextlib.contextmanager
def own_service(folder: Path = Path("../03_flask_api/shipped")) -> Iterator[tuple[str, str]]:
    """The address of the service of lab 03, for as long as the block runs, and a sentence that names it.

    It is the address in LATE_FLIGHTS_URL where that is set (a cluster's, say), else the service in the folder, run by
    gunicorn with one worker. Where there is none, it is a known server with two replicas, each of which answers 25
    requests per second.
    """
    if url := os.environ.get("LATE_FLIGHTS_URL"):
        yield url, f"the service at {url}"
    elif (folder / "wsgi.py").is_file():
        with _gunicorn(folder) as url:
            yield url, "your own service of lab 03, with one worker"
    else:
        with serve(STAND_IN) as server:
            yield server.url, "the course's stand-in: two replicas behind a load balancer"


@contextlib.contextmanager
def _gunicorn(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.fileno()
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", "--workers", "1", "wsgi:app"]
        process = subprocess.Popen(
            command, cwd=folder, pass_fds=(number,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=START_S):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(
                        f"the service in {folder} does not start; `gunicorn wsgi:app` says why"
                    ) from None
                time.sleep(0.1)
        yield f"{url}/predict"
    finally:
        process.terminate()
        process.wait()


# the process itself


class _Replica:
    def __init__(self, name: str, seconds: float, at_once: int) -> None:
        self.name, self.seconds = name, seconds
        self.free = asyncio.Semaphore(at_once or MOST_REQUESTS)


class _Server:
    """The far side: it answers requests as its behaviour says, and notes each."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.replicas = {
            name: _Replica(name, seconds, behaviour.at_once) for name, seconds in behaviour.replicas.items()
        }
        self.log: list[list[Any]] = []
        self.connections = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while (
                self.connections <= MOST_CONNECTIONS
                and len(self.log) < MOST_REQUESTS
                and await self.one(reader, writer)
            ):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.connections -= 1
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        came = time.monotonic()
        method, path = [*head[0].split(" "), "", ""][:2]
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        size = int(fields.get("content-length", "0"))
        body = await reader.readexactly(size) if 0 <= size <= MAX_BODY else b""
        number = len(self.log)
        kept = body[:MAX_KEPT].decode(errors="replace") if number < MOST_BODIES else ""
        replica = self.replicas[self.behaviour.replica(number)]
        kind = self.behaviour.fault(number)
        row = [
            came,
            None,
            kind or "ok",
            replica.name,
            method[:20],
            path[:200],
            fields.get("content-type", "")[:100],
            kept,
        ]
        self.log.append(row)
        if kind == "hang":
            await reader.read(1)  # until the client gives up
            return False
        async with replica.free:
            await asyncio.sleep(replica.seconds)
            await self.stalled()
        if kind == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        close = fields.get("connection", "").lower() == "close"
        writer.write(answer("503 Service Unavailable" if kind else "200 OK", replica.name, close))
        row[1] = time.monotonic()
        await writer.drain()
        return not close

    async def stalled(self) -> None:
        """Wait while nothing is answered."""
        if self.behaviour.stall is None:
            return
        begin, length = self.behaviour.stall
        since = time.monotonic() - self.log[0][0]
        if begin <= since < begin + length:
            await asyncio.sleep(begin + length - since)


def answer(status: str, replica: str, close: bool) -> bytes:
    """An answer as bytes."""
    body = json.dumps({"model": "known", "predictions": [{"late": False, "probability": 0.2}]}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += f"X-Replica: {replica}\r\n"
    return head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + body


async def _main(behaviour: Behaviour, listener: socket.socket) -> list[list[Any]]:
    server = _Server(behaviour)
    over = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(end)), daemon=True).start()
    loop.call_later(LIFE_S, end)
    await asyncio.start_server(server.take, sock=listener, limit=MAX_HEAD, backlog=512)
    await over
    return server.log


def main(behaviour: str, descriptor: str) -> None:
    """Take a listening socket, serve until standard input ends, and print the log."""
    spec = json.loads(behaviour)
    spec |= {"turns": tuple(spec["turns"]), "stall": tuple(spec["stall"]) if spec["stall"] else None}
    if descriptor == "-1":
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        print(listener.getsockname()[1], flush=True)
    else:
        with socket.socket(fileno=int(descriptor)) as given:
            given.settimeout(START_S)
            _, (number, *_), _, _ = socket.recv_fds(given, 1, 1)
            listener = socket.socket(fileno=number)
    log = asyncio.run(_main(Behaviour(**spec), listener))
    print(json.dumps(log), flush=True)
    os._exit(0)  # a thread may still wait for standard input


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
