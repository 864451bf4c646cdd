"""A container of a student's image, isolated, with limits, and tested over real HTTP: `run(image)` → Container.

It has no capabilities and cannot get any, a read-only root with a little memory as /tmp, few processes, no swap, and a
network that it shares only with the grader's own client. It has the methods of `services.Service`.
"""

from __future__ import annotations

import base64
import contextlib
import signal
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError

from course.checks.core import phases
from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet, not_graded_here
from course.checks.core.sessions import ROLE_LABEL
from course.checks.docker import engines, simple_commands
from course.checks.docker.engines import EngineSession
from course.checks.docker.images import Image
from course.checks.http import services
from course.checks.http.messages import Request, get
from course.checks.http.services import Service, Stop
from course.sandboxed.programs.serve import BROKEN, ENDING_S

MAX_LOG_BYTES = 1 << 16
MOST_RUNNING = 3
_SLACK_S = 15.0
_HEALTH_RETRIES = 3
_FILL = "i = open('/tmp/.full', 'wb', 0)\ntry:\n while i.write(bytes(65536)): pass\nexcept OSError: pass\n"
_EMPTY = "import os\nos.path.exists('/tmp/.full') and os.unlink('/tmp/.full')\n"


@dataclass(frozen=True)
class ContainerLimits:
    """What a container may use: memory (without swap), processors, processes, the size of /tmp, and open files."""

    memory_mb: int = 768
    processors: float = 1.0
    processes: int = 128
    tmp_mb: float = 16
    files: int = 1024


def run(
    image: Image,
    *,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    command: Sequence[str] | None = None,
    entrypoint: Sequence[str] | None = None,
    limits: ContainerLimits | None = None,
    read_only: bool = True,
    timeout: float = 10.0,
    start: float = 30.0,
) -> Container:
    """A container of an image; it is started at the first request.

    Args:
        image: what :func:`images.build` returned.
        port: the port on which it listens; by default the one that the image exposes, or 8000.
        env: more environment variables.
        user: run as that user, such as "23456:0", in place of the image's.
        command: in place of the image's CMD.
        entrypoint: in place of the image's ENTRYPOINT and CMD.
        limits: what it may use.
        read_only: whether its root file system is read-only.
        timeout: how long each answer may take, in seconds.
        start: how long the start may take, in seconds.
    """
    options = {"env": dict(env or {}), "user": user, "command": list(command) if command is not None else None}
    options["entrypoint"] = list(entrypoint) if entrypoint is not None else None
    return Container(
        image, port, options, limits or ContainerLimits(), read_only=read_only, timeout=timeout, start=start
    )


class Container(Service):
    """One container; see :func:`run`. It has the methods of `services.Service`: get, post, many, …

    Attributes:
        image: what it runs.
        port: where it listens.
    """

    def __init__(
        self,
        image: Image,
        port: int | None,
        options: dict[str, Any],
        limits: ContainerLimits,
        *,
        read_only: bool,
        timeout: float,
        start: float,
    ) -> None:
        self.image, self.port, self.limits, self.read_only = image, port or exposed(image), limits, read_only
        self.timeout, self._start_timeout, self._options = timeout, start, options
        self.id: str | None = None
        self.network = ""
        self.seconds = 0.0
        self._port_is_asked = port is not None
        self._failed_before = 0
        self._problem: Unmet | None = None
        self._close: Callable[[], Any] | None = None

    # life

    def start(self) -> float:
        """Start it, unless it runs; the seconds from its start to its first answer over HTTP.

        Raises:
            Unmet: it ends, or answers nothing; the message says why, with the end of its log.
        """
        self._reached()
        return self.seconds

    def starts(self) -> bool:
        """Whether it runs and answers; for checks that judge by other means where it does not."""
        try:
            self.start()
        except (CheckFailed, NotGradedHere):
            return False
        return True

    def _reached(self) -> EngineSession:
        if self._problem is not None:
            raise self._problem
        session = self.image.engine
        if self.id is not None:
            return session
        while len(_running) >= MOST_RUNNING:
            _running[0].close()
        with engines.not_graded_on_trouble():
            try:
                self._create(session)
                self._begin(session)
            except Unmet as problem:
                self._problem = problem
                self.close()
                raise
            except BaseException:
                self.close()
                raise
        _running.append(self)
        return session

    def launch(self) -> None:
        """Start it without waiting for an answer."""
        session = self.image.engine
        with engines.not_graded_on_trouble():
            self._create(session)
            self._go(session)
        _running.append(self)

    def _create(self, session: EngineSession) -> None:
        api, limits = session.api, self.limits
        self.network = session.join_network("service")
        size = max(64, int(limits.tmp_mb * 1024))
        places = ["/tmp", *((self.image.config.get("Volumes") or {}) if self.read_only else {})]
        settings = f"rw,noexec,nosuid,nodev,mode=1777,size={size}k"
        host = api.create_host_config(
            network_mode=self.network,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=self.read_only,
            tmpfs=dict.fromkeys(places[:8], settings),
            mem_limit=limits.memory_mb << 20,
            memswap_limit=limits.memory_mb << 20,
            nano_cpus=int(limits.processors * 1e9),
            pids_limit=limits.processes,
            shm_size=1 << 20,
            ipc_mode="private",
            dns=["127.0.0.1"],  # the engine's own name server would ask this machine's
            dns_opt=["timeout:1", "attempts:1"],
            oom_score_adj=500,
            ulimits=[
                {"Name": "nofile", "Soft": limits.files, "Hard": limits.files},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            log_config={"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            auto_remove=False,
        )
        health = self.image.config.get("Healthcheck") or {}
        config = api.create_container_config(
            self.image.id,
            self._options["command"],
            entrypoint=self._options["entrypoint"],
            host_config=host,
            labels={**session.labels, ROLE_LABEL: "service"},
            user=self._options["user"],
            environment=self._options["env"],
            # the image's own test, asked often, so that nobody waits half a minute for it
            healthcheck={
                "test": health["Test"],
                "interval": 10**9,
                "timeout": min(max(int(health.get("Timeout") or 0), 10**9), 5 * 10**9),
                "retries": _HEALTH_RETRIES,
                "start_period": 0,
            }
            if health.get("Test") and health["Test"][0] != "NONE"
            else None,
        )
        self.id = api.create_container_from_config(config, None)["Id"]
        self._close = weakref.finalize(self, _end, session, self.id, self.network)

    def _go(self, session: EngineSession) -> None:
        try:
            session.api.start(self.id)
        except APIError as error:
            said = engines.plain_message(error)
            hint = "ENTRYPOINT and CMD name a program that is in the image, and that its user may run"
            raise Unmet("the container starts", "it cannot be started", actual=said, hint=hint) from None

    def _begin(self, session: EngineSession) -> None:
        started = time.monotonic()
        self._go(session)
        deadline = started + self._start_timeout
        probe = _b64(get("/health").raw())
        while (left := deadline - time.monotonic()) > 0:
            state = self.state
            if not state.get("Running"):
                break
            reply = session.request({"do": "reach", **self._at(session), "probe": probe, "timeout": min(left, 1.0)}, 30)
            if not reply.get("silent"):
                self.seconds = time.monotonic() - started
                self._failed_before = int((self.state.get("Health") or {}).get("FailingStreak") or 0)
                return
        raise self._did_not_start(self.state)

    def _did_not_start(self, state: Mapping[str, Any]) -> Unmet:
        title = "the container starts and answers"
        said = services.last_lines(self.logs) or None
        if not state.get("Running"):
            how = _ending(state)
            hint = services.start_hint(self.logs)
            if "Read-only file system" in self.logs:
                hint = "its file system can only be read while grading; what it must write belongs in /tmp"
            return Unmet(title, f"it ended at once: {how}", actual=said, hint=hint)
        ports = self.listening()
        inside = [port for address, port in ports if address.startswith("127.")]
        if self.port in inside:
            reason = f"it listens on 127.0.0.1:{self.port}, which nobody outside the container reaches"
            return Unmet(title, reason, actual=said, hint="bind to 0.0.0.0, all interfaces of the container")
        others = sorted({port for _, port in ports} - {self.port})
        if others and self.port not in {port for _, port in ports}:
            hint = "EXPOSE names the port on which the service listens"
            if self._port_is_asked:
                hint = f"the exercise asks for port {self.port}; where is the server told its port?"
            reason = f"nothing answers on port {self.port}; it listens on {', '.join(map(str, others))}"
            return Unmet(title, reason, actual=said, hint=hint)
        reason = f"no answer on port {self.port} within {self._start_timeout:g} seconds"
        return Unmet(title, reason, actual=said, hint="its log may say what it waits for")

    def restart(self) -> float:
        """Stop it, start the same container again, and wait for its answer; the seconds that the start took."""
        session = self._reached()
        with engines.not_graded_on_trouble():
            session.api.restart(self.id, timeout=5)
            try:
                self._begin_again(session)
            except Unmet as problem:
                problem.reason = f"after a restart: {problem.reason}"
                raise CheckFailed(problem.reason, actual=problem.actual, hint=problem.hint) from None
        return self.seconds

    def _begin_again(self, session: EngineSession) -> None:
        self._begin(session)  # start() of what runs does nothing

    def stop(
        self,
        number: int | None = None,
        *,
        during: Request | None = None,
        timeout: float = 10.0,
        grace: float = 0.5,
    ) -> Stop:
        """Send it a signal, and wait for its end.

        Args:
            number: the signal; by default the image's own, or SIGTERM.
            during: a request with a body that is on its way then: half of the body is sent before, half after.
            timeout: how long it may take; then it is killed.
            grace: how long to wait before the signal, and before the rest of the body, in seconds.
        """
        session = self._reached()
        name = signal.Signals(number).name if number else str(self.image.config.get("StopSignal") or "SIGTERM")
        names: list[str] = []
        with engines.not_graded_on_trouble():
            if during is not None:
                spec = self._spec(during) | {"hold": len(during.raw()) - len(during.body or b"") // 2}
                spec["timeout"] = timeout + 2 * grace
                names = session.request({"do": "open", "clients": [spec], **self._at(session)}, 30)["names"]
                time.sleep(grace)
            started = time.monotonic()
            session.api.kill(self.id, name)
            reply: dict[str, Any] = {}
            if during is not None:
                time.sleep(grace)
                reply = session.request({"do": "collect", "names": names}, timeout + 2 * grace + _SLACK_S)
            status: int | None = None
            while time.monotonic() < started + timeout:
                state = self.state
                if not state.get("Running"):
                    status = int(state.get("ExitCode", -1))
                    break
                time.sleep(0.03)
            seconds = time.monotonic() - started
        if status is None:
            seconds = timeout
        self._last_logs = self.logs
        self.close()
        return self._stopped(status, seconds, during, reply)

    def wait(self, timeout: float) -> int | None:
        """Wait for it to end by itself; its exit status, or None when it still runs."""
        deadline = time.monotonic() + timeout
        while (state := self.state).get("Running"):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        return int(state.get("ExitCode", -1))

    def close(self) -> None:
        """Remove it and its network; the next request starts a new one."""
        if self in _running:
            _running.remove(self)
        if self._close is not None:
            self._close()
        self.id, self.network, self._close = None, "", None

    # looking at it

    @property
    def details(self) -> dict[str, Any]:
        """What `docker inspect` reports; empty when the container is gone."""
        if self.id is None:
            return {}
        with engines.not_graded_on_trouble():
            details: dict[str, Any] = self.image.engine.api.inspect_container(self.id)
            return details

    @property
    def state(self) -> dict[str, Any]:
        """Its state: Running, ExitCode, OOMKilled, Health, …"""
        return self.details.get("State") or {}

    def health(self, timeout: float = 25.0, *, failures: int = _HEALTH_RETRIES) -> str:
        """The result of the image's own HEALTHCHECK: "healthy", "unhealthy", or "none" when there is none.

        Args:
            timeout: how long to wait for that, in seconds.
            failures: so many in a row are "unhealthy"; those from before the service answered do not count.
        """
        self._reached()
        deadline = time.monotonic() + timeout
        while True:
            state = self.state
            health = state.get("Health") or {}
            found = str(health.get("Status") or "none")
            failed = int(health.get("FailingStreak") or 0) >= self._failed_before + failures
            if found in ("starting", "unhealthy") and failed:
                return "unhealthy"
            is_open = found in ("starting", "unhealthy")
            if not is_open or time.monotonic() > deadline or not state.get("Running"):
                return found
            time.sleep(0.2)

    def health_log(self) -> str:
        """What the last health check printed."""
        log = (self.state.get("Health") or {}).get("Log") or []
        return str(log[-1].get("Output", ""))[:1000] if log else ""

    def expect_healthy(self, timeout: float = 25.0) -> None:
        """Fail the check unless the image's HEALTHCHECK reports that it is healthy."""
        found = self.health(timeout)
        if found != "healthy":
            hint = "the check runs inside the container, as its user, with the programs that the image has"
            said = self.health_log().strip()
            raise CheckFailed(
                "its HEALTHCHECK does not find it healthy",
                expected="healthy",
                actual=f"{found}: {said}" if said else found,
                hint=hint,
            )

    def memory(self) -> float:
        """The memory of all its processes together, in MiB, without the cache of files."""
        session = self._reached()
        with engines.not_graded_on_trouble():
            found = session.api.stats(self.id, stream=False, one_shot=True).get("memory_stats") or {}
        if "usage" not in found:
            not_graded_here("the engine does not tell how much memory a container has")
        stats = found.get("stats") or {}
        cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
        return float(max(0, found["usage"] - cache) / 2**20)

    def processes(self) -> list[float]:
        """The memory of all processes as one number, because engines do not report it for each."""
        return [self.memory()]

    def users(self) -> set[int]:
        """The user ids of its processes.

        Raises:
            NotGradedHere: the engine does not report them.
        """
        session = self._reached()
        with engines.not_graded_on_trouble():
            found = session.api.top(self.id, ps_args="-eo uid,pid")
        column = [title.upper() for title in found["Titles"]].index("UID")
        return {int(row[column]) for row in found["Processes"] if row[column].isdigit()}

    def first_process(self) -> str:
        """The command of its first process, which gets the signals; empty where the engine does not report it."""
        session = self._reached()
        with engines.not_graded_on_trouble():
            found = session.api.top(self.id, ps_args="-eo pid,ppid,args")
        titles = [title.upper() for title in found["Titles"]]
        rows = [dict(zip(titles, row, strict=False)) for row in found["Processes"]]
        own = {row.get("PID") for row in rows}
        first = [row for row in rows if row.get("PPID") not in own]
        return str(first[0].get("COMMAND") or first[0].get("CMD") or "") if first else ""

    def expect_no_shell_first(self) -> None:
        """Fail the check when its first process is a shell, which keeps signals from the service."""
        command = self.first_process()
        if simple_commands.is_shell(command.split()):
            raise CheckFailed(
                "in a container of the image, the first process is a shell: SIGTERM reaches it and not the service",
                actual=f"process 1 is {command[:150]!r}",
                hint="start the server directly; a script ends with exec and the server",
            )

    @property
    def logs(self) -> str:
        """The end of what it printed, on both streams."""
        if self.id is None:
            return getattr(self, "_last_logs", "")
        data = b""
        with contextlib.suppress(*engines.TROUBLE):
            data = self.image.engine.api.logs(self.id, tail=400)  # the engine keeps no more than a MiB
        return data[-MAX_LOG_BYTES:].decode(errors="replace")

    def listening(self) -> list[tuple[str, int]]:
        """The addresses and ports on which it listens, as its own files say: for messages, not for points."""
        found = []
        for line in self._inside(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).splitlines():
            words = line.split()
            if len(words) > 3 and words[3] == "0A" and ":" in words[1]:
                with contextlib.suppress(ValueError):
                    address, port = words[1].split(":")
                    loop = address in ("0100007F", "00000000000000000000000001000000")
                    if not address.startswith("0B00007F"):  # the engine's own name server
                        found.append(("127.0.0.1" if loop else "0.0.0.0", int(port, 16)))
        return found

    def _inside(self, command: Sequence[str], seconds: float = 10.0) -> str:
        """Run something in it and return what it printed; nothing when it cannot."""
        api = self.image.engine.api
        with contextlib.suppress(*engines.TROUBLE):
            made = api.exec_create(self.id, list(command))["Id"]
            with engines.ContainerConnection(api.exec_start(made, socket=True)) as pipe:
                return pipe.read(1 << 16, time.monotonic() + seconds).decode(errors="replace")
        return ""

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """While the block runs, /tmp is full, and nothing can be written anywhere.

        Raises:
            NotGradedHere: it cannot be filled from inside, because the image has no Python.
        """
        self._reached()
        if self.read_only is False:
            raise ValueError("only a container with a read-only root has a disk that can be filled")
        self._python(_FILL)
        left = self._python("import os\ns = os.statvfs('/tmp')\nprint('left', s.f_bavail * s.f_frsize)\n")
        if "left 0" not in left:
            not_graded_here("the /tmp of the container could not be filled from inside")
        try:
            yield
        finally:
            self._python(_EMPTY)

    def _python(self, code: str) -> str:
        for name in ("python3", "python"):
            said = self._inside([name, "-I", "-c", code + "print('done')"])
            if "done" in said:
                return said
        return ""

    # asking

    def _at(self, session: EngineSession) -> dict[str, Any]:
        return {"host": session.address(self.id or "", self.network) or "0.0.0.0", "port": self.port}

    def _message(self, seconds: float, **message: Any) -> dict[str, Any]:
        session = self._reached()
        if not self.state.get("Running"):
            raise self._ended()
        if message["do"] in ("exchange", "open"):
            message |= self._at(session)
        with engines.not_graded_on_trouble():
            reply = session.request(message, seconds + _SLACK_S)
            # who ends breaks the connection first, and the engine notes the end a moment later
            broken = any(answer.get("end") in BROKEN for answer in reply.get("answers") or ())
            until = time.monotonic() + (ENDING_S if broken else 0)
            while (running := self.state.get("Running")) and time.monotonic() < until:
                time.sleep(0.03)
            if not running:
                raise self._ended()
        return reply

    def _ended(self) -> CheckFailed:
        how, said = _ending(self.state), services.last_lines(self.logs) or None
        self._last_logs = self.logs
        self.close()
        hint = "a view must not end the process; what went wrong stands in the log"
        return CheckFailed(f"the container ended while it was asked: {how}", actual=said, hint=hint)

    def _said(self) -> str:
        return self.logs

    def _forget(self) -> None:
        self.close()


_running: list[Container] = []


@phases.before_hidden
@phases.after_hidden
def end_all() -> None:
    """End every container; who asks one again gets a new one."""
    for one in list(_running):
        one.close()


def exposed(image: Image) -> int:
    """The lowest port that an image exposes; 8000 when it exposes none."""
    ports = [int(name.split("/")[0]) for name in image.config.get("ExposedPorts") or {} if name.split("/")[0].isdigit()]
    return min(ports, default=8000)


def _ending(state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return "it used more memory than it may"
    code = int(state.get("ExitCode", -1))
    if error := str(state.get("Error") or ""):
        return f"the engine says: {error[:200]}"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(code - 128).name}"
    return f"exit status {code}"


def _end(session: EngineSession, container: str, network: str) -> None:
    if session.is_over:  # which removed all
        return
    with contextlib.suppress(*engines.TROUBLE):
        session.api.remove_container(container, force=True, v=True)
    session.remove_network(network)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
