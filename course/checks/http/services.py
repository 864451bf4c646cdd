"""A student's web service, started in a process of its own and asked over real HTTP: `service("wsgi:app")`.

The near side: it writes requests, distrusts every answer, and puts into words what is wrong. `programs/serve.py` starts
the server and is its client, in the same sandbox, so that nothing but a pipe leads out of it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course import shipping
from course.base import untrusted
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.http.messages import Request, Response, get, parse, post
from course.sandboxed import programs
from course.sandboxed.programs.serve import BROKEN, MAX_HEARD, MOST_HEARD

SERVERS = ("flask", "gunicorn")
MOST_RUNNING = 2  # servers that are kept for the next question; each holds a model, or several
MAX_REPLY_BYTES = 80 << 20
MAX_REQUEST_BYTES = 16 << 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ACCESS = re.compile(r'"[A-Z]+ [^"]*" \d{3} ')
_ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning)\b")
_PROGRAM = Path(programs.__file__).with_name("serve.py")
_SLACK_S = 15.0  # on top of the deadlines that the program itself keeps
_HINTS = {
    "timeout": "does it wait for something that never comes, or do far more work than is needed?",
    "reset": "the log of the server says what went wrong",
}


def service(
    app: str = "wsgi:app",
    *,
    server: str = "flask",
    env: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    arguments: Sequence[str] | None = None,
    peers: Mapping[str, Peer] | None = None,
    timeout: float = 10.0,
    start: float = 60.0,
) -> Service:
    """A shipped WSGI application behind a real web server; it is started at the first request.

    Services that are the same, of the same shipped files, share one running server.

    Args:
        app: module and name of the application, as gunicorn takes it. The server runs in the folder of shipped files.
        server: "flask", the development server, or "gunicorn", the production server.
        env: more environment variables. "{scratch}" in a value is the private folder in which `files` lie.
        files: files of the check's own, by path; modules among them can be imported, after all shipped ones.
        arguments: of gunicorn's command line; by default two workers, unless gunicorn.conf.py is shipped.
        peers: what the service calls, by name; "{NAME}" in a value of `env` is the address of one, host:port.
        timeout: how long each answer may take, in seconds.
        start: how long the start may take, in seconds.

    Raises:
        ValueError: there is no such server.
    """
    if server not in SERVERS:
        raise ValueError(f"a server is one of {', '.join(SERVERS)}; got {server!r}")
    environment, own = dict(env or {}), dict(files or {})
    return Service(app, server, environment, own, arguments, dict(peers or {}), timeout=timeout, start=start)


@dataclass(frozen=True)
class Peer:
    """What a service calls, in the same sandbox: a collector, or another service.

    Attributes:
        how: "answer"; "hang", which takes a request and never answers; or "refuse", which takes no connection.
        body: what it answers.
        type: the media type of that.
        status: the status of that, such as "200 OK".
        delay: how long it waits before it answers, in seconds.
    """

    how: str = "answer"
    body: bytes = b""
    type: str = "application/json"
    status: str = "200 OK"
    delay: float = 0.0

    def spec(self) -> dict[str, Any]:
        """It, as the program takes it."""
        head = f"HTTP/1.1 {self.status}\r\nContent-Type: {self.type}\r\nContent-Length: {len(self.body)}\r\n"
        answer = head.encode() + b"Connection: close\r\n\r\n" + self.body
        return {"how": self.how, "answer": _b64(answer), "delay": self.delay}


@dataclass(frozen=True)
class Heard:
    """A request that a peer was sent; nothing of it is to be trusted.

    Attributes:
        line: its first line, such as "POST /v1/traces HTTP/1.1".
        headers: by lower-case name; of repeated ones, the last.
        body: the bytes.
    """

    line: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Stop:
    """How a server ended after a signal.

    Attributes:
        status: its exit status, negative for a signal; None when it had to be killed.
        seconds: how long it took.
        answer: the answer to the request that was on its way, or None.
        lost: why that request got no answer, or None.
    """

    status: int | None
    seconds: float
    answer: Response | None = None
    lost: str | None = None


class Service:
    """The near side of one running service; see :func:`service`."""

    def __init__(
        self,
        app: str,
        server: str,
        env: dict[str, str],
        files: dict[str, str | bytes],
        arguments: Sequence[str] | None,
        peers: dict[str, Peer] | None = None,
        *,
        timeout: float,
        start: float,
    ) -> None:
        self.app, self.server, self.timeout = app, server, timeout
        self._env, self._files, self._arguments, self._start_timeout = env, files, arguments, start
        self._peers = {name: peer.spec() for name, peer in (peers or {}).items()}
        texts = {name: repr(text) for name, text in files.items()}
        self._key = json.dumps([app, server, env, arguments, texts, self._peers])

    # asking

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Ask with GET; see :meth:`request`."""
        return self.ask(get(path, headers))

    def post(
        self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Ask with POST; see :func:`post` and :meth:`request`."""
        return self.ask(post(path, json=json, headers=headers, body=body))

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Ask, and wait for the answer.

        Args:
            method, path: such as "DELETE" and "/predict?x=1"; the path is sent as it is.
            headers: besides Host, User-Agent, Accept, Connection and Content-Length, which they may replace.
            body: the bytes to send.

        Raises:
            Unmet: the service does not start.
            CheckFailed: it ended, gave no answer in time, or something that is not HTTP.
        """
        return self.ask(Request(method, path, dict(headers or {}), body))

    def ask(self, request: Request) -> Response:
        """Ask one prepared request; see :meth:`request`."""
        return self.many([request], clients=1)[0]

    def many(self, requests: Sequence[Request], *, clients: int = 50) -> list[Response]:
        """Ask many requests, some at once, each over a connection of its own.

        Args:
            requests: made by :func:`get`, :func:`post` or `Request`.
            clients: how many are on their way at one time.

        Returns:
            The answers, in the order of the requests.

        Raises:
            Unmet: the service does not start.
            CheckFailed: one of them got no answer; the message says which, and how many.
        """
        seconds = self.timeout * -(-len(requests) // max(1, clients))
        specs = [self._spec(request) for request in requests]
        reply = self._message(seconds, do="exchange", clients=specs, at_once=clients)
        return self._read(requests, reply)

    @contextlib.contextmanager
    def slow_client(
        self, path: str = "/predict", *, json: Any = None, count: int = 1, seconds: float = 5.0
    ) -> Iterator[list[Response]]:
        """While the block runs, clients send a request to the service drop by drop.

        Args:
            path: where they POST to.
            json: what they send.
            count: how many there are.
            seconds: how long each takes to send it, at most.

        Yields:
            A list, which holds the answers that they got once the block has ended.
        """
        request = post(path, json=json)
        spec = self._spec(request)
        size = max(1, len(request.raw()) // 40)
        spec |= {"chunk": size, "pause": seconds / 40, "timeout": seconds + self.timeout}
        names = self._message(self.timeout, do="open", clients=[spec] * count).get("names")
        answers: list[Response] = []
        yield answers
        reply = self._message(seconds + self.timeout, do="collect", names=names)
        answers += self._read([request] * count, reply)

    def cut_client(self, path: str = "/predict", *, json: Any = None, count: int = 1) -> None:
        """Clients that break off: some in the middle of their request, some when all is sent and no answer was read."""
        request = post(path, json=json)
        whole = len(request.raw())
        places = [whole // 3, whole - len(request.body or b"") // 2 - 1, whole]
        specs = [self._spec(request) | {"cut": places[number % len(places)]} for number in range(count)]
        self._message(self.timeout, do="exchange", clients=specs, at_once=count)

    def wire(self, data: bytes, *, asked: str = "a request that is no HTTP") -> bytes:
        """Send bytes as they are, and return all that came back; nothing, when the connection was closed."""
        spec = {"send": _b64(data), "timeout": self.timeout}
        reply = self._message(self.timeout, do="exchange", clients=[spec], at_once=1)
        raw, end, _ = self._one(reply, 0)
        if end in ("timeout", "refused", "too large"):
            raise self._no_answer(asked, end)
        return raw

    # its peers

    def behave(self, name: str, peer: Peer) -> None:
        """Let a peer do something else from now on; what it was sent before is kept."""
        self._message(self.timeout, do="behave", name=name, spec=peer.spec())

    def heard(self, name: str, seconds: float = 0.0) -> list[Heard]:
        """What a peer was sent since it was asked last.

        Args:
            name: the peer.
            seconds: how long to wait where that is nothing yet.

        Raises:
            CheckFailed: it was sent more than it keeps.
        """
        reply = self._message(seconds, do="heard", name=name, wait=seconds)
        try:
            heard = [_heard(*(base64.b64decode(part) for part in request)) for request in reply["heard"]]
        except (LookupError, TypeError, ValueError):
            raise CheckFailed("the service answered in a form that the check cannot read") from None
        if reply.get("dropped"):
            raise CheckFailed(
                f"the service sent its {name} more than it takes: {MOST_HEARD} requests and {MAX_HEARD >> 20} MiB",
                hint="send what belongs together in one request, and no more than the task asks for",
            )
        return heard

    def address(self, name: str) -> str:
        """The address of a peer, host:port, where the service runs."""
        return f"127.0.0.1:{self._running().ports.get(name)}"

    # the process

    def memory(self) -> float:
        """The memory of the server and all its workers together, in MiB; what they share counts once, if known.

        Raises:
            NotGradedHere: this system does not tell.
        """
        return sum(self.processes())

    def processes(self) -> list[float]:
        """The resident memory of each process of the server, in MiB; see :meth:`memory`."""
        reply = self._message(self.timeout, do="memory")
        found = reply.get("processes")
        if not isinstance(found, list) or not found:
            not_graded_here(f"this system does not tell how much memory a process has ({reply.get('unknown')})")
        sizes = []
        for entry in found:
            size = entry.get("proportional") or entry.get("resident") if isinstance(entry, dict) else None
            if not isinstance(size, int):
                not_graded_here("this system does not tell how much memory a process has")
            sizes.append(size / 2**20)
        return sizes

    def kill_worker(self) -> None:
        """Kill one worker of the server with SIGKILL, and wait until the server has started another one.

        Raises:
            CheckFailed: none was started.
        """
        reply = self._message(self.timeout, do="kill_worker", timeout=self.timeout)
        if not reply.get("killed"):
            raise CheckFailed("the server has no worker processes")
        if not reply.get("replaced"):
            hint = "what runs when a worker starts or ends? its log says what went wrong"
            raise CheckFailed("no worker took the place of one that was killed", hint=hint)

    def start(self) -> float:
        """Start it, unless it runs; the seconds from its start to its first answer.

        Raises:
            Unmet: it does not start.
        """
        return self._running().seconds

    def stop(
        self, number: int = signal.SIGTERM, *, during: Request | None = None, timeout: float = 10.0, grace: float = 0.5
    ) -> Stop:
        """Send a signal to the server, and wait for its end.

        Args:
            number: the signal.
            during: a request with a body that is on its way then: half of the body is sent before, half after.
            timeout: how long it may take; then it is killed.
            grace: how long to wait before the signal, and before the rest of the body, in seconds.
        """
        spec = None
        if during is not None:
            spec = self._spec(during) | {"hold": len(during.raw()) - len(during.body or b"") // 2}
            spec["timeout"] = timeout + grace
        reply = self._message(
            timeout + 2 * grace, do="stop", number=int(number), client=spec, grace=grace, timeout=timeout
        )
        self.close()
        code, seconds = reply.get("code"), reply.get("seconds")
        status = code if isinstance(code, int) else None
        took = float(seconds) if isinstance(seconds, int | float) else timeout
        return self._stopped(status, took, during, reply)

    def _stopped(self, status: int | None, seconds: float, during: Request | None, reply: dict[str, Any]) -> Stop:
        """How it ended, with what became of the request that was on its way."""
        if during is None:
            return Stop(status, seconds)
        try:
            return Stop(status, seconds, answer=self._read([during], reply)[0])
        except CheckFailed as failure:
            return Stop(status, seconds, lost=failure.reason)

    @property
    def logs(self) -> str:
        """The end of what the server printed, on both of its streams."""
        running = _pool.get(self._key)
        return running.talk.output() if running is not None else ""

    def _said(self) -> str:
        running = _pool.get(self._key)
        return running.said() if running is not None else ""

    def close(self) -> None:
        """End the server; the next request starts a new one."""
        running = _pool.pop(self._key, None)
        if running is not None:
            running.talk.close()

    # the pipe

    def _spec(self, request: Request) -> dict[str, Any]:
        raw = request.raw()
        if len(raw) > MAX_REQUEST_BYTES:
            raise ValueError(f"a request of a check is larger than {MAX_REQUEST_BYTES >> 20} MiB")
        return {"send": _b64(raw), "timeout": self.timeout, "bodiless": request.method == "HEAD"}

    def _message(self, seconds: float, **message: Any) -> dict[str, Any]:
        running = self._running()
        running.before = running.talk.output()
        try:
            reply = running.exchange(message, seconds + _SLACK_S)
        except processes.Stopped as stopped:
            self._forget()
            raise CheckFailed(f"the service gave no answer: {stopped}") from None
        if isinstance(code := reply.get("ended"), int) and message["do"] != "stop":
            said = running.said()
            self._forget()
            raise CheckFailed(
                f"the server ended while it was asked ({_ending(code)})",
                actual=last_lines(said) or None,
                hint="a view must not end the process; what went wrong stands in the log",
            )
        return reply

    def _forget(self) -> None:
        running = _pool.pop(self._key, None)
        if running is not None:
            running.talk.close()

    def _running(self) -> _Running:
        state = _fingerprint(shipping.folder())
        running = _pool.get(self._key)
        if running is not None and (running.state != state or not running.lives()):
            self._forget()
            running = None
        if running is None:
            if (failed := _failed.get(self._key)) and failed[0] == state:
                raise failed[1]
            running = self._start(state)
        _pool[self._key] = _pool.pop(self._key, running)  # the last used stands last
        return running

    def _start(self, state: object) -> _Running:
        while len(_pool) >= MOST_RUNNING:
            _pool.pop(next(iter(_pool))).talk.close()
        title = self._title()
        self._require(title)
        command = processes.capped([sys.executable, "-I", "-B", str(_PROGRAM), "REQUESTS", "ANSWERS"], 600)
        talk = processes.Talk(command, timeout=self._start_timeout, readable=self._readable(), env=self._environment)
        running = _Running(talk, state)
        try:
            reply = running.exchange(self._first_message(), self._start_timeout + _SLACK_S)
            seconds = reply.get("seconds")
            if not isinstance(reply.get("ended"), int) and not reply.get("silent") and isinstance(seconds, float):
                running.seconds = seconds
                ports = reply.get("ports")
                running.ports = ports if isinstance(ports, dict) else {}
                _pool[self._key] = running
                return running
            code = reply.get("ended")
            how = _ending(code) if isinstance(code, int) else f"no answer within {self._start_timeout:g} seconds"
        except processes.Stopped as stopped:
            how = str(stopped)
        said = talk.output()
        talk.close()
        problem = self._not_started(title, how, said)
        _failed.clear()
        _failed[self._key] = (state, problem)
        raise problem

    def _title(self) -> str:
        """The check that fails where it does not start."""
        return f"{self.app} starts with {'gunicorn' if self.server == 'gunicorn' else 'the development server'}"

    def _require(self, title: str) -> None:
        """Fail where what starts it is not shipped."""
        module = self.app.partition(":")[0].split(".")[0]
        if f"{module}.py" not in self._files and not (shipping.folder() / f"{module}.py").is_file():
            hint = f"run the cell that ships {module}.py, and the cells above it"
            raise Unmet(title, f"there is no {module}.py among the shipped files", hint=hint)

    def _readable(self) -> list[Path]:
        """The folders that it needs to read."""
        return [shipping.folder()]

    def _first_message(self) -> dict[str, Any]:
        """What the program is sent first: how to start the server."""
        shipped, arguments = shipping.folder(), self._arguments
        if arguments is None:
            arguments = [] if (shipped / "gunicorn.conf.py").is_file() else ["--workers", "2"]
        message = {"do": "start", "server": self.server, "app": self.app, "folder": str(shipped)}
        message |= {"arguments": list(arguments), "env": self._addressed(), "peers": self._peers}
        return message | {"probe": _b64(get("/health").raw()), "timeout": self._start_timeout}

    def _not_started(self, title: str, how: str, said: str) -> Unmet:
        """Why it did not start, from how it ended and what it printed."""
        return Unmet(title, f"it did not start: {how}", actual=last_lines(said) or None, hint=start_hint(said))

    def _addressed(self) -> dict[str, str]:
        """The variables that name a peer; the program, which knows its address, puts it in."""
        marks = ["{" + name + "}" for name in self._peers]
        return {name: value for name, value in self._env.items() if any(mark in value for mark in marks)}

    def _environment(self, home: Path) -> dict[str, str]:
        scratch = home / "files"
        for name, content in self._files.items():
            place = scratch / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        more = {name: value.replace("{scratch}", str(scratch)) for name, value in self._env.items()}
        return processes.environment(home, PYTHONPATH=str(scratch), **more)

    # what came back

    def _one(self, reply: dict[str, Any], place: int) -> tuple[bytes, str, float]:
        try:
            found = reply["answers"][place]
            return base64.b64decode(found["raw"]), str(found["end"]), float(found["seconds"])
        except (LookupError, TypeError, ValueError):
            raise CheckFailed("the service answered in a form that the check cannot read") from None

    def _read(self, requests: Sequence[Request], reply: dict[str, Any]) -> list[Response]:
        answers, failures = [], []
        for place, request in enumerate(requests):
            raw, end, seconds = self._one(reply, place)
            if end != "complete":
                failures.append(self._no_answer(request.asked, end))
                continue
            try:
                answer = parse(request, raw, seconds)
                answers.append(replace(answer, log=self._why(answer.status)) if answer.status >= 500 else answer)
            except CheckFailed as failure:
                failures.append(failure)
        if failures:
            first = failures[0]
            if len(requests) > 1:
                first.reason = f"{len(failures)} of {len(requests)} requests got no answer; the first: {first.reason}"
            raise first
        return answers

    def _why(self, status: int) -> str:
        """The error behind a status of 500 or more; what keeps it from being ready may have come up at the start."""
        return _last_error(self._said()) or (_last_error(self.logs) if status == 503 else "")

    def _no_answer(self, asked: str, end: str) -> CheckFailed:
        words = {
            "timeout": f"no answer to {asked} within {self.timeout:g} seconds",
            "too large": f"the answer to {asked} is larger than 2 MiB",
            "refused": f"the server takes no connection for {asked}",
        }.get(end, f"the connection was closed without an answer to {asked}")
        said = last_lines(self._said()) if end in BROKEN else ""
        return CheckFailed(words, actual=said or None, hint=_HINTS.get(end))


class _Running:
    """A server that runs, and the state of the shipped files that it was started from."""

    def __init__(self, talk: processes.Talk, state: object) -> None:
        self.talk, self.state, self.seconds, self.before = talk, state, 0.0, ""
        self.ports: dict[str, Any] = {}

    def said(self) -> str:
        """What the server printed since the last message was sent."""
        now = self.talk.output()
        return now[len(self.before) :] if now.startswith(self.before) else now

    def lives(self) -> bool:
        """Whether the program beside the server is still there."""
        return self.talk.process.poll() is None

    def exchange(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message and return the reply.

        Raises:
            processes.Stopped: none came, or one that is no reply.
        """
        self.talk.timeout = seconds
        data = json.dumps(message).encode()
        with self.talk.exchange(len(data).to_bytes(8, "little") + data) as read:
            size = int.from_bytes(read(8), "little")
            if size > MAX_REPLY_BYTES:
                raise processes.Stopped("its answers are too large")
            try:
                reply = json.loads(read(size))
            except (ValueError, RecursionError):
                reply = None
            if not isinstance(reply, dict):
                raise processes.Stopped("it answered in a form that the check cannot read")
        return reply


_pool: dict[str, _Running] = {}
_failed: dict[str, tuple[object, Unmet]] = {}


def _fingerprint(folder: Path) -> tuple:
    """What changes when something else is shipped."""
    found = []
    with contextlib.suppress(OSError, untrusted.FolderRefused):
        for place, entry in untrusted.walk(folder, most=5000):
            state = entry.stat(follow_symlinks=False)
            found.append((place, state.st_ino, state.st_size, state.st_mtime_ns))
    return (str(folder), *found)


def start_hint(said: str) -> str | None:
    """A hint for the commonest reasons why a server does not start."""
    hints = {
        "NotImplementedError": "this is the place for your code",
        "ModuleNotFoundError": "a module imports the course's libraries and what is shipped, and nothing else",
        "ImportError": "is there a name of that spelling in the module that it is imported from?",
        "NameError": "a module has only what it imports itself; the notebook's imports do not reach it",
        "FileNotFoundError": "is the artifact shipped? paths start from Path(__file__) or from what create_app() gets",
    }
    lines = [line for line in said.splitlines() if line and not line[0].isspace()]
    return next((text for name, text in hints.items() for line in lines[-30:] if name in line), None)


def _lines(said: str) -> list[str]:
    lines = (line.rstrip() for line in _COLOUR.sub("", said).splitlines())
    return [line for line in lines if line and not _ACCESS.search(line)]


def last_lines(said: str, most: int = 6) -> str:
    """What a student needs of a log: the last error, else the last lines."""
    return _last_error(said) or "\n".join(line[:200] for line in _lines(said)[-most:])


def _last_error(said: str) -> str:
    """The last error in a log, with its line of a shipped file; nothing where there is none."""
    lines = _lines(said)
    last = next((number for number in reversed(range(len(lines))) if _ERROR.match(lines[number])), None)
    if last is None:
        return ""
    shipped = f'File "{shipping.folder()}/'
    for number in range(last, max(-1, last - 200), -1):
        if (place := lines[number].strip()).startswith(shipped):
            file, _, where = place.removeprefix(shipped).partition('"')
            code = lines[number + 1].strip() if number + 1 < last else ""
            return f"{file}{where.partition(', in ')[0]}: {code}\n{lines[last]}"[:600]
        if lines[number].startswith("Traceback"):
            break
    return lines[last][:600]


def _heard(head: bytes, body: bytes) -> Heard:
    line, *others = head.decode("latin-1").split("\r\n")
    pairs = (other.partition(":") for other in others[:200])
    return Heard(line[:500], {name.strip().lower(): value.strip() for name, _, value in pairs}, body)


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with exit status {code}"
    with contextlib.suppress(ValueError):
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it was ended by signal {-code}"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
