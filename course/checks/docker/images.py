"""Images built from what students ship, with limits, and what is in them: `build(context("image"))` → Image.

The Dockerfile is hostile: its steps run as root in containers of the engine, for as long and as large as they are let.
They have memory, processor time, processes, output and size within limits, and a network on which only a proxy to
package indexes lives. Without BuildKit, for only the classic builder takes limits (see `classic`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import queue
import re
import socket
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from docker.errors import APIError, NotFound
from packaging.utils import canonicalize_name

from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.core.sessions import ROLE_LABEL, SESSION_LABEL
from course.checks.docker import classic_builder, dockerfiles, engines
from course.checks.docker.contexts import WHEELS, Context
from course.checks.docker.engines import EngineSession

TITLE = "the image is built"
BASES = "COURSE_BASE_IMAGES"  # repositories from which a missing base image may be fetched, with commas between
DEFAULT_BASES = "python,debian,ubuntu,alpine"
_LOOK_S = 0.4
# "Step 3/5 : RUN …"; with Podman "[2/2] STEP 3/5: RUN …", where each stage is counted anew
_STEP = re.compile(r"^(?:\[\d+/\d+\] )?(?:Step \d+/\d+ :|STEP \d+/\d+:) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ENGINES_OWN = re.compile(rf"{_STEP.pattern}| --->|--> |(?:\[\d+/\d+\] )?COMMIT|Removing intermediate container ")
_MADE = re.compile(r"^(?: ---> (?=[0-9a-f]{12})|--> )([0-9a-f]{11,64})\s*$")  # Podman shows one digit less
_VOLATILE = re.compile(
    r"(?:^|/)(?:var/log/.*|var/cache/ldconfig/aux-cache|var/lib/apt/lists/.*|var/cache/debconf/.*|root/\.cache/.*"
    r"|etc/(?:shadow|passwd|group|gshadow|subuid|subgid)-|var/lib/dpkg/.*-old)$"
)


@dataclass(frozen=True)
class BuildLimits:
    """What a build may take.

    Attributes:
        seconds: of time, from the first step to the last.
        memory_mb: of memory, for one step; swap is none.
        processors: how many processors a step may keep busy.
        processes: of one step at one time.
        layer_mb: what one step may write.
        image_mb: what the image may hold above its base.
        output_kb: what the build may print.
    """

    seconds: float = 300.0
    memory_mb: int = 2048
    processors: float = 2.0
    processes: int = 512
    layer_mb: int = 1500
    image_mb: int = 2000
    output_kb: int = 4096


def build(
    context: Context,
    *,
    limits: BuildLimits | None = None,
    network: bool = True,
    wheels: Mapping[str, bytes] | None = None,
    arguments: Mapping[str, str] | None = None,
    again: bool = False,
) -> Image:
    """Build an image of a context. The same context is built once, unless `again` asks for a second, whole build.

    Args:
        context: what :func:`contexts.context` gives.
        limits: what the build may take.
        network: whether the proxy to package indexes is there.
        wheels: files for the folder wheels/ of the context, by name, for Dockerfiles that install without an index; see
            :func:`wheels.collect`. Others do not get them.
        arguments: values for the Dockerfile's ARGs, by name.
        again: build it once more, with nothing kept from before.

    Raises:
        NotGradedHere: no engine answers, a base image cannot be had, or it needs what a grader has not.
        Unmet: it cannot be built, or takes more than it may; the message says at which line.
    """
    limits = limits or BuildLimits()
    dockerfile = context.parsed
    engine = engines.engine()
    made = classic_builder.translate(dockerfile, engine.labels, context.sent)
    more = {"Dockerfile": made.text.encode(), **made.files}
    if takes_wheels(context):
        more |= {f"{WHEELS}/{name}": data for name, data in (wheels or {}).items()}
    with context.tar(more) as archive:
        given = tuple(sorted((arguments or {}).items()))
        key = (engine.id, network, given, hashlib.file_digest(archive, "sha256").hexdigest())
        if not again and key in _built:
            if isinstance(_built[key], Image):
                return _built[key]
            raise _built[key]
        archive.seek(0)
        with engines.not_graded_on_trouble():
            base = _bases(engine, dockerfile)
            attempt = _Attempt(engine, context, made, limits, base)
            try:
                image = attempt.build(archive, dict(given), network=network, fresh=again)
            except Unmet as failure:
                if not again:
                    _built[key] = failure
                raise
    if not again:
        _built[key] = image
    return image


def takes_wheels(context: Context) -> bool:
    """Whether the Dockerfile takes wheels from the folder wheels/ of its context."""
    named = re.compile(rf"(?:\./)?{WHEELS}(?:/|$)")
    for one in context.parsed.instructions:
        sources = list(one.paths[0]) if one.name in ("COPY", "ADD") and one.flag("from") is None else []
        sources += [m.get("source", m.get("src", "")) for m in dockerfiles.mounts(one) if not m.get("from")]
        if any(named.match(source.lstrip("/")) for source in sources):
            return True
    return False


_built: dict[tuple, Any] = {}


def _bases(engine: EngineSession, dockerfile: dockerfiles.Dockerfile) -> dict[str, Any] | None:
    """See that the images which it is made from are here; what the engine says of the last stage's."""
    allowed = {name.strip() for name in os.environ.get(BASES, DEFAULT_BASES).split(",")}
    for one, name in dockerfiles.foreign_images(dockerfile):
        if "$" in name:
            raise Unmet(
                TITLE,
                f"line {one.line} ({one.shown}): no value says which image that is",
                hint="give the ARG a default",
            )
        if name.startswith(("course-", "sha256:")) or re.fullmatch(r"[0-9a-f]{12,64}", name):
            raise Unmet(TITLE, f"line {one.line} ({one.shown}): an image is named by its repository and tag")
        try:
            found = engine.api.inspect_image(name)
        except (NotFound, APIError):
            repository = re.split(r"[:@]", name.removeprefix("docker.io/").removeprefix("library/"))[0]
            if repository not in allowed:
                not_graded_here(
                    f"the base image {name} is not here, and grading fetches only {', '.join(sorted(allowed))}"
                )
            try:
                tag = name.partition("@")[2] or name.partition(":")[2] or "latest"
                engine.api.pull(re.split(r"[:@]", name)[0], tag=tag)
                found = engine.api.inspect_image(name)
            except engines.TROUBLE:
                not_graded_here(f"the base image {name} is not here and cannot be fetched")
        if SESSION_LABEL in ((found.get("Config") or {}).get("Labels") or {}):
            raise Unmet(TITLE, f"line {one.line} ({one.shown}): that is no public image")
    stage = dockerfile.final
    while stage.parent:
        stage = stage.parent
    return None if stage.base == "scratch" else engine.api.inspect_image(stage.base)


class _Attempt:
    """One build: a reader of what the engine says, and a watch over what the steps take."""

    def __init__(
        self,
        engine: EngineSession,
        context: Context,
        made: classic_builder.Classic,
        limits: BuildLimits,
        base: dict[str, Any] | None,
    ):
        self.engine, self.context, self.made, self.limits, self.base = engine, context, made, limits, base
        self.output: list[str] = []
        self.printed = self.step = 0
        self.error = ""
        self.image: str | None = None
        self.held: set[str] = set()

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
        image.bound = tuple(self.made.bound)
        if image.added > self.limits.image_mb * 10**6:
            raise self._unmet(
                f"it is larger than {self.limits.image_mb} MB above its base", f"{image.added / 1e6:.0f} MB"
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
        lines: queue.Queue = queue.Queue(maxsize=200)
        over = threading.Event()
        reader = threading.Thread(target=_read, args=(response, lines, over), daemon=True)
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
        self.printed += len(text)
        if self.printed > self.limits.output_kb << 10:
            raise self._unmet(
                f"it printed more than {self.limits.output_kb} KiB",
                hint="a build says little: what does that step print?",
            )
        self.output.append(text)
        if self.printed > 1 << 18 and len(self.output) > 2000:
            del self.output[:1000]
        if _STEP.match(text):
            self.step += 1
        elif match := _MADE.match(text):
            self._made(match.group(1))
        if "error" in said:
            self.error = str((said.get("errorDetail") or {}).get("message") or said["error"])
        if "aux" in said and isinstance(said["aux"], dict) and "ID" in said["aux"]:
            self.image = said["aux"]["ID"]

    def _made(self, image: str) -> None:
        with contextlib.suppress(*engines.TROUBLE):
            size = self.engine.api.inspect_image(image)["Size"]
            base = self.base["Size"] if self.base else 0
            if size - base > self.limits.image_mb * 10**6 and len(self.context.parsed.stages) == 1:
                raise self._unmet(
                    f"it is larger than {self.limits.image_mb} MB above its base", f"{(size - base) / 1e6:.0f} MB"
                )

    def _look(self, network: str) -> None:
        """Hold the running step to its number of processes and to the size of its layer."""
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
        """End the steps that still run, and wait until the engine has seen that nobody waits for them."""
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
        if not self.step:
            return ""
        steps = [number for number, text in enumerate(self.made.text.splitlines(), 1) if self._begins(number, text)]
        if self.step > len(steps):
            return ""
        place = steps[self.step - 1]
        while place and place not in self.made.lines:
            place -= 1
        line = self.made.lines.get(place, 0)
        one = next((one for one in self.context.parsed.instructions if one.line == line), None)
        return f"line {one.line} ({one.shown}): " if one else ""

    def _begins(self, number: int, text: str) -> bool:
        """Whether a line of the translation begins an instruction: those of one origin but the first may go on."""
        if number not in self.made.lines:
            return text.startswith("LABEL ")
        origin = self.made.lines[number]
        is_first = self.made.lines.get(number - 1) != origin
        names = ("RUN ", "USER ", "COPY ")
        one = next((one for one in self.context.parsed.instructions if one.line == origin), None)
        translated = one is not None and text not in one.raw.split("\n") and text.startswith(names)
        return is_first or translated

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
            hint = "a build reaches package indexes and nothing else; put everything else into the context"
        elif re.search(r"resolve|NewConnectionError|Network is unreachable|Temporary failure", said) and hint is None:
            hint = "a build reaches package indexes and nothing else; put everything else into the context"
        return Unmet(TITLE, f"{self._where()}{reason or 'it could not be built'}", actual=shown, hint=hint)


def _read(response: Any, lines: queue.Queue, over: threading.Event) -> None:
    """Cut what the engine says into lines; a line without end is cut too."""
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
    """Close the connection of a build also while it is being read: then the engine ends the build."""
    with contextlib.suppress(Exception):
        raw = api._get_raw_response_socket(response)
        getattr(raw, "_sock", raw).shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        response.close()


@dataclass(frozen=True)
class Kept:
    """What an image keeps under a path: kind (file, link, folder, …), mode, owner, size, and a hash of the contents."""

    kind: str
    mode: int
    owner: str
    size: int = 0
    content: str = ""


class Image:
    """A built image.

    Attributes:
        id: the engine's name for it, "sha256:…".
        context: what it was built from.
        seconds: how long the build took.
        output: the end of what the build printed.
    """

    MAX_BYTES = 4 << 30
    MAX_PATHS = 200_000

    def __init__(
        self,
        engine: EngineSession,
        image: str,
        context: Context | None,
        base: dict[str, Any] | None,
        seconds: float,
        output: str,
    ) -> None:
        self.engine, self.id, self.context, self.seconds, self.output = engine, image, context, seconds, output
        self._base = base
        self.bound: tuple[str, ...] = ()
        self._removals = 0

    @cached_property
    def details(self) -> dict[str, Any]:
        """What `docker inspect` says."""
        with engines.not_graded_on_trouble():
            return self.engine.api.inspect_image(self.id)

    @property
    def config(self) -> dict[str, Any]:
        """The image's settings: Cmd, Entrypoint, Env, User, Labels, Healthcheck, ExposedPorts, …"""
        return self.details.get("Config") or {}

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, without the grader's own and without those of its base."""
        return {name: value for name, value in (self.config.get("Labels") or {}).items() if name != SESSION_LABEL}

    @property
    def size(self) -> int:
        """All of it, in bytes."""
        return int(self.details["Size"])

    @property
    def added(self) -> int:
        """What it holds above its base image, in bytes."""
        return max(0, self.size - (self._base["Size"] if self._base else 0) - self._only_bound)

    @property
    def _only_bound(self) -> int:
        """The size of what only stays in it because the engine's builder knows no mounts; see `classic`."""
        size = 0
        for one in self.history if self.bound else ():
            match = re.search(r"COPY .* in (\S+)\s*$", str(one.get("CreatedBy")))
            if match and posixpath.normpath(match.group(1)) in self.bound:
                size += int(one.get("Size") or 0)
        return size

    @property
    def layers(self) -> list[str]:
        """The layers above those of the base image, by their content's hash."""
        below = self._base["RootFS"].get("Layers", []) if self._base else []
        mine = self.details["RootFS"].get("Layers", [])
        return mine[len(below) :] if mine[: len(below)] == below else mine

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """What made each layer, the newest first: CreatedBy, Size, …"""
        with engines.not_graded_on_trouble():
            return self.engine.api.history(self.id)

    def expect_no_secrets(self) -> None:
        """Fail the check when the settings, the history or a file of a layer give a secret away."""
        hint = (
            "whoever has the image can read it; a later step that removes it does not take it out of the layer before"
        )
        settings = json.dumps(
            {key: self.config.get(key) for key in ("Env", "Cmd", "Entrypoint", "Labels", "Healthcheck")}
        )
        for pair in self.config.get("Env") or []:
            name, _, value = pair.partition("=")
            if dockerfiles.is_secret_name(name) and value and not value.startswith("/run/secrets/"):
                raise CheckFailed(f"the image sets {name} for whoever has it", hint=hint)
        for text in (settings, *(str(one.get("CreatedBy", "")) for one in self.history)):
            if kind := dockerfiles.secret_in(text):
                raise CheckFailed(f"the image's history holds {kind}", hint=hint)
            for name in re.findall(r"\b([A-Za-z][\w-]*)=(?!\$)[^\s$]", text):
                if dockerfiles.is_secret_name(name) and "/run/secrets" not in text and "PROXY" not in name.upper():
                    raise CheckFailed(f"the image's history holds a value of {name}", hint=hint)
        for path, kind in self._contents[1]:
            raise CheckFailed(f"a layer of the image holds {path}: {kind}", hint=hint)

    # what the layers hold

    def files(self) -> dict[str, Kept]:
        """All that the layers above the base hold, by path; what a later layer removes is gone.

        Raises:
            NotGradedHere: it is too much to read, or in a form that is not known here.
        """
        places = tuple(place.strip("/") for place in self.bound)
        below = tuple(f"{place}/" for place in places)
        return {
            path: kept for path, kept in self._contents[0].items() if path not in places and not path.startswith(below)
        }

    @cached_property
    def _contents(self) -> tuple[dict[str, Kept], list[tuple[str, str]]]:
        with tempfile.TemporaryFile() as file, engines.not_graded_on_trouble():
            size = 0
            for chunk in self.engine.api.get_image(self.id, chunk_size=1 << 20):
                size += len(chunk)
                if size > self.MAX_BYTES:
                    not_graded_here(f"the image is larger than {self.MAX_BYTES >> 30} GiB")
                file.write(chunk)
            file.seek(0)
            try:
                return self._read(file)
            except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
                not_graded_here(f"the engine gave the image in a form that is not known here ({str(error)[:80]})")

    def _read(self, file: Any) -> tuple[dict[str, Kept], list[tuple[str, str]]]:
        found: dict[str, Kept] = {}
        secrets: list[tuple[str, str]] = []
        with tarfile.open(fileobj=file, mode="r:") as outer:
            members = {member.name: member for member in outer}
            manifest = json.loads(outer.extractfile(members["manifest.json"]).read(1 << 20))
            names = manifest[0]["Layers"][-len(self.layers) :] if self.layers else []
            seen = 0
            for name in names:
                member = members[name]
                if member.islnk() or member.issym():
                    target = (
                        member.linkname
                        if member.islnk()
                        else os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))
                    )
                    member = members[target]
                with tarfile.open(fileobj=outer.extractfile(member), mode="r|*") as layer:
                    for one in layer:
                        seen += 1
                        if seen > self.MAX_PATHS:
                            not_graded_here(f"the image holds more than {self.MAX_PATHS} files")
                        self._note(one, layer, found, secrets)
        return dict(sorted(found.items())), secrets

    def _note(self, one: tarfile.TarInfo, layer: tarfile.TarFile, found: dict[str, Kept], secrets: list) -> None:
        path = one.name.removeprefix("./").strip("/")
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            self._removals += 1
            if self._removals > 2000:
                not_graded_here("the layers of the image remove more than 2000 files of each other")
            gone = folder if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".strip("/")
            for other in [key for key in found if key == gone or key.startswith(f"{gone}/")]:
                del found[other]
            return
        owner = f"{one.uid}:{one.gid}"
        if one.isfile():
            digest, begin = _digest(layer.extractfile(one), path)
            found[path] = Kept("file", one.mode, owner, one.size, digest)
            is_library = path.startswith(("usr/lib/", "usr/share/", "usr/local/lib/python")) or "site-packages" in path
            kind = None if is_library or one.size > 1 << 16 else dockerfiles.secret_in(begin.decode("latin-1"))
            if kind:
                secrets.append((path, kind))
            if re.search(r"(?:^|/)(?:\.git/config|\.env|\.netrc|\.pypirc|id_rsa|id_ed25519)$", path):
                secrets.append((path, "a file for secrets or history"))
        else:
            kinds = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}
            found[path] = Kept(kinds.get(one.type, "device"), one.mode, owner, 0, one.linkname)

    def packages(self) -> dict[str, str]:
        """The Python packages that the layers above the base hold: canonical name → version.

        Raises:
            NotGradedHere: as for :meth:`files`.
        """
        found = (re.search(r"(?:^|/)([^/]+)-([^/-]+)\.dist-info/METADATA$", path) for path in self.files())
        return {canonicalize_name(one[1]): one[2] for one in found if one}

    def python(self) -> str | None:
        """The Python on which those packages run, such as "3.11", by where they lie or by the base's name."""
        for path in self.files():
            if match := re.search(r"(?:^|/)lib/python(3\.\d+)/(?:site|dist)-packages/", path):
                return match[1]
        stage = self.context.parsed.final if self.context else None
        while stage is not None and stage.parent:
            stage = stage.parent
        match = re.match(r"(?:docker\.io/)?(?:library/)?python:(3\.\d+)", stage.base) if stage else None
        return match[1] if match else None

    def differences(self, other: Image) -> list[str]:
        """In what two images differ: settings, and below each path kind, mode, owner, size and contents.

        Not compared are times (the Created of the image, of files, and those within compiled modules), ids of layers,
        the grader's own label, and what only records when something was done: logs, caches of apt and of the linker,
        backups of the lists of users.
        """
        found = []
        mine, theirs = (_settings(image.config) for image in (self, other))
        found += [f"the setting {key}" for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
        here, there = (
            {path: kept for path, kept in image.files().items() if not _VOLATILE.search(path)}
            for image in (self, other)
        )
        for path in sorted({*here, *there}):
            if path not in there or path not in here:
                found.append(f"{path} is in one of them only")
            elif here[path] != there[path]:
                a, b = here[path], there[path]
                if a.kind == b.kind == "folder" and replace(a, size=0) == replace(b, size=0):
                    continue
                what = next(
                    name
                    for name in ("kind", "mode", "owner", "size", "content")
                    if getattr(a, name) != getattr(b, name)
                )
                found.append(f"{path} has another {what}")
        return found

    def record(self) -> dict[str, Any]:
        """The image in short, as plain data: id, size and added in bytes, layers, user, command, labels."""
        config = self.config
        keys = ("User", "Entrypoint", "Cmd", "WorkingDir", "ExposedPorts", "StopSignal", "Healthcheck")
        settings = {key: config[key] for key in keys if config.get(key)}
        return {
            "id": self.id,
            "size": self.size,
            "added": self.added,
            "layers": self.layers,
            **settings,
            "labels": self.labels,
        }


def _digest(file: Any, path: str) -> tuple[str, bytes]:
    """A hash of a file's contents, and its beginning; of a compiled module without the time of its source."""
    hashed, begin = hashlib.sha256(), b""
    while chunk := file.read(1 << 20):
        if not begin:
            begin = chunk[: 1 << 16]
            if path.endswith(".pyc"):
                chunk = chunk[:8] + chunk[16:]
        hashed.update(chunk)
    return hashed.hexdigest(), begin


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    ignored = ("Hostname", "Image", "Domainname")
    found = {
        key: value for key, value in config.items() if key not in ignored and value not in (None, "", [], {}, False)
    }
    if "Labels" in found:
        found["Labels"] = {key: value for key, value in found["Labels"].items() if key != SESSION_LABEL}
    return found


def built(contexts: Mapping[str, Context]) -> Iterator[tuple[str, Image]]:
    """Build several contexts, one after the other; each name with its image."""
    for name, context in contexts.items():
        yield name, build(context)
