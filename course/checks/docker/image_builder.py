"""One build by an engine, held to limits: `ImageBuild(…).build(archive)` → Image, or an Unmet that names the line.

It uses the engine's classic builder, because only that one takes limits through the API (see `classic_builder`).
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from course.checks.core.expectations import Unmet, not_graded_here
from course.checks.core.sessions import ROLE_LABEL
from course.checks.docker import classic_builder, engines
from course.checks.docker.built_images import Image
from course.checks.docker.contexts import Context
from course.checks.docker.dockerfiles import Instruction
from course.checks.docker.engines import EngineSession

TITLE = "the image is built"
_LOOK_S = 0.4
_REACHED = (
    "a rule of this course: a build reaches Python's package indexes and nothing else, so no apt-get, curl or git; put "
    "everything else into the context"
)
# "Step 3/5 : RUN …"; with Podman "[2/2] STEP 3/5: RUN …", where each stage is counted anew
_STEP = re.compile(r"^(?:\[\d+/\d+\] )?(?:Step \d+/\d+ :|STEP \d+/\d+:) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ENGINES_OWN = re.compile(rf"{_STEP.pattern}| --->|--> |(?:\[\d+/\d+\] )?COMMIT|Removing intermediate container ")
_MADE = re.compile(r"^(?: ---> (?=[0-9a-f]{12})|--> )([0-9a-f]{11,64})\s*$")  # Podman shows one digit less


@dataclass(frozen=True)
class BuildLimits:
    """What a build may use.

    Attributes:
        seconds: the time for all steps together.
        memory_mb: the memory of one step, without swap, in MiB.
        processors: how many processors one step may keep busy.
        processes: how many processes one step may have at a time.
        layer_mb: what one step may write, in MB.
        image_mb: the size of the image above its base, in MB.
        output_kb: what the build may print, in KiB.
    """

    seconds: float = 300.0
    memory_mb: int = 2048
    processors: float = 2.0
    processes: int = 512
    layer_mb: int = 1500
    image_mb: int = 2000
    output_kb: int = 4096


class ImageBuild:
    """One build: what the engine reports is read as it comes, and the steps are held to the limits.

    Args:
        engine: the session.
        context: what is built.
        translated: its Dockerfile, as the engine's builder understands it.
        limits: what the build may take.
        base: the engine's details of the image from which the last stage begins; None for scratch.
    """

    def __init__(
        self,
        engine: EngineSession,
        context: Context,
        translated: classic_builder.ClassicDockerfile,
        limits: BuildLimits,
        base: dict[str, Any] | None,
    ):
        self.engine, self.context, self.translated, self.limits, self.base = engine, context, translated, limits, base
        self.output: list[str] = []
        self.printed = self.step = 0
        self.error = ""
        self.image: str | None = None
        self.held: set[str] = set()
        self.cached: set[int] = set()  # the steps that the engine took from an earlier build

    def build(self, archive: Any, arguments: dict[str, str], *, network: bool, fresh: bool) -> Image:
        """Build, and return the image; see :func:`build`."""
        with self.engine.isolated_network("build") as there:
            if network:
                proxy = self.engine.proxy(there)
                for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                    arguments = arguments | {name: proxy, name.lower(): proxy}
            started = time.monotonic()
            response = self._post(archive, there, arguments, fresh)
            try:
                self._follow(response, there, started + self.limits.seconds)
            finally:
                _hang_up(self.engine.api, response)
                self._tidy(there)
            seconds = time.monotonic() - started
        if self.error:
            raise self._failure()
        if self.image is None:
            not_graded_here("the container engine broke off the build and gave no reason")
        image = Image(self.engine, self.image, self.context, self.base, seconds, "".join(self.output))
        image.bound = tuple(self.translated.bound)
        made = [step for step in range(1, self.step + 1) if step not in self.cached]
        image.made_lines = frozenset(one.line for step in made if (one := self._instruction(step)) is not None)
        if image.reported > self.limits.image_mb * 10**6:
            raise self._unmet(
                f"it is larger than {self.limits.image_mb} MB above its base", f"{image.reported / 1e6:.0f} MB"
            )
        return image

    def _post(self, archive: Any, network: str, arguments: dict[str, str], fresh: bool) -> Any:
        api, limits = self.engine.api, self.limits
        memory = limits.memory_mb << 20
        ulimits: list[Any] = []
        for name, most in {"fsize": limits.layer_mb * 10**6, "core": 0, "nofile": 4096}.items():
            ulimits.append(
                f"{name}={most}:{most}" if self.engine.is_podman else {"Name": name, "Soft": most, "Hard": most}
            )
        params = {
            "dockerfile": "Dockerfile",
            "networkmode": network,
            "memory": memory,
            "memswap": memory,
            "cpuperiod": 100_000,
            "cpuquota": int(limits.processors * 100_000),
            "shmsize": 16 << 20,
            "ulimits": json.dumps(ulimits),
            "buildargs": json.dumps(arguments),
            "rm": True,
            "forcerm": True,
            "pull": False,
            "nocache": fresh or self.engine.is_podman,  # Podman 4 takes layers of other arguments from its cache
            "version": "1",
        }
        # the SDK's build() has no arguments for processor time and ulimits
        response = api._post(
            api._url("/build"),
            data=archive,
            params=params,
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=(60, limits.seconds + 60),  # a step may be silent for as long as it may take
        )
        if response.status_code == 400:
            with contextlib.suppress(ValueError):
                self.error = response.json().get("message", "")
            response.close()
            raise self._failure()
        api._raise_for_status(response)
        return response

    def _follow(self, response: Any, network: str, deadline: float) -> None:
        lines: queue.Queue[bytes | None] = queue.Queue(maxsize=200)
        over = threading.Event()
        reader = threading.Thread(target=read_lines, args=(response, lines, over), daemon=True)
        reader.start()
        try:
            looked = 0.0
            while True:
                with contextlib.suppress(queue.Empty):
                    if (line := lines.get(timeout=_LOOK_S / 2)) is None:
                        return
                    self._heard(line)
                now = time.monotonic()
                if now > deadline:
                    raise self._unmet(
                        f"it was not done after {self.limits.seconds:g} seconds",
                        hint="does a step wait for something that never comes?",
                    )
                if now > looked + _LOOK_S:
                    self._look(network)
                    looked = time.monotonic()
        finally:
            over.set()

    def _heard(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        text = str(said.get("stream") or said.get("status") or "")
        self._keep(text)
        if self.printed > 1 << 18 and len(self.output) > 2000:
            del self.output[:1000]
        if _STEP.match(text):
            self.step += 1
        elif "---> Using cache" in text:
            self.cached.add(self.step)
        elif match := _MADE.match(text):
            self._check_size(match.group(1))
        if "error" in said:
            self.error = str((said.get("errorDetail") or {}).get("message") or said["error"])
        if "aux" in said and isinstance(said["aux"], dict) and "ID" in said["aux"]:
            self.image = said["aux"]["ID"]

    def _keep(self, text: str) -> None:
        """Keep some output of the build; end the build when there is too much of it."""
        self.printed += len(text)
        if self.printed > self.limits.output_kb << 10:
            raise self._unmet(
                f"it printed more than {self.limits.output_kb} KiB",
                hint="a build prints little: what does that step print?",
            )
        self.output.append(text)

    def _check_size(self, image: str) -> None:
        """End the build as soon as the image of a step is too large."""
        with contextlib.suppress(*engines.TROUBLE):
            size = self.engine.api.inspect_image(image)["Size"]
            base = self.base["Size"] if self.base else 0
            if size - base > self.limits.image_mb * 10**6 and len(self.context.parsed.stages) == 1:
                raise self._unmet(
                    f"it is larger than {self.limits.image_mb} MB above its base", f"{(size - base) / 1e6:.0f} MB"
                )

    def _look(self, network: str) -> None:
        """Limit the processes of the running step, and end the build when the step has written too much."""
        with contextlib.suppress(*engines.TROUBLE):
            for one in self.engine.api.containers(filters={"network": network}):
                if (one.get("Labels") or {}).get(ROLE_LABEL):
                    continue
                if one["Id"] not in self.held:
                    self.held.add(one["Id"])
                    self._hold(one["Id"])
                found = self.engine.api._get(
                    self.engine.api._url("/containers/{0}/json", one["Id"]), params={"size": 1}
                ).json()
                if found.get("SizeRw", 0) > self.limits.layer_mb * 10**6:
                    raise self._unmet(
                        f"one step wrote more than {self.limits.layer_mb} MB",
                        hint="an image holds a service and its model, and no data",
                    )

    def _hold(self, container: str) -> None:
        api = self.engine.api
        url = api._url("/containers/{0}/update", container)
        with contextlib.suppress(*engines.TROUBLE):
            api._post_json(url, data={"PidsLimit": self.limits.processes}).close()

    def _tidy(self, network: str) -> None:
        """Remove the containers of steps that still run, until the engine starts no more."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            left = [
                one
                for one in self.engine.api.containers(all=True, filters={"network": network})
                if not (one.get("Labels") or {}).get(ROLE_LABEL)
            ]
            if not left:
                return
            for one in left:
                with contextlib.suppress(*engines.TROUBLE):
                    self.engine.api.remove_container(one["Id"], force=True, v=True)
            time.sleep(0.1)

    # what went wrong, in words

    def _where(self) -> str:
        """The line of the Dockerfile that was being built."""
        one = self._instruction(self.step)
        return f"line {one.line} ({one.shown}): " if one else ""

    def _instruction(self, step: int) -> Instruction | None:
        """The instruction of the Dockerfile to which a step of the build belongs."""
        if not 0 < step <= len(self.translated.steps):
            return None
        line = self.translated.steps[step - 1]
        return next((one for one in self.context.parsed.instructions if one.line == line), None)

    def _unmet(self, reason: str, actual: str | None = None, hint: str | None = None) -> Unmet:
        return Unmet(TITLE, f"{self._where()}{reason}", actual=actual, hint=hint)

    def _failure(self) -> Unmet:
        error, said = self.error, _COLOUR.sub("", "".join(self.output[-60:]))
        lines = [line for line in said.splitlines() if line.strip() and not _ENGINES_OWN.match(line)]
        shown = "\n".join(line[:200] for line in lines[-5:]) or None
        hint, reason = None, " ".join(error.split())[:300]
        if match := re.search(r"(?:returned a non-zero code:|while running runtime: exit status) (\d+)", error):
            code = int(match.group(1))
            reason = f"the step ended with exit status {code}"
            if code == 137:
                reason = f"the step was ended: it used more than {self.limits.memory_mb} MB of memory"
            elif code in (153, 25):
                reason = f"the step was ended: it wrote a file of more than {self.limits.layer_mb} MB"
        elif "COPY failed" in error or "ADD failed" in error or "forbidden path" in error.lower():
            reason = re.sub(r"stat (?:/var/lib/docker/tmp/)?\S*docker-builder\d+/?", "", reason)
            hint = "an image is made of its build context alone, without what .dockerignore keeps out"
        elif "no space left" in error:
            not_graded_here("the disk of the container engine is full")
        refused = self.engine.last_refused()
        if refused and re.search(r"403|Tunnel connection failed|ProxyError", said):
            reason += f" ({refused} may not be reached while grading)"
            hint = _REACHED
        elif re.search(r"resolve|NewConnectionError|Network is unreachable|Temporary failure", said) and hint is None:
            hint = _REACHED
        return Unmet(TITLE, f"{self._where()}{reason or 'it could not be built'}", actual=shown, hint=hint)


def read_lines(response: Any, lines: queue.Queue[bytes | None], over: threading.Event) -> None:
    """Cut what the engine sends into lines, for a queue; None ends them. A line that never ends is dropped."""
    buffer = b""

    def put(line: bytes | None) -> None:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                lines.put(line, timeout=0.2)
                return

    try:
        for chunk in response.raw.stream(1 << 16, decode_content=True):
            buffer += chunk
            *whole, buffer = buffer.split(b"\r\n") if b"\r\n" in buffer else buffer.split(b"\n")
            for line in whole:
                if line:
                    put(line)
            if len(buffer) > 1 << 22:
                buffer = b""
            if over.is_set():
                return
        if buffer:
            put(buffer)
    except Exception:  # the connection was cut from the other thread, or by the engine
        pass
    finally:
        put(None)


def _hang_up(api: Any, response: Any) -> None:
    """Close the connection of a build even while another thread reads it; the engine ends the build then."""
    with contextlib.suppress(Exception):
        raw = api._get_raw_response_socket(response)
        getattr(raw, "_sock", raw).shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        response.close()
