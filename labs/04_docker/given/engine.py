"""How the notebooks of this lab find a container engine, run their cells only where there is one, and tidy up.

%load_ext given.engine          # from now on, a cell that begins with %%engine runs only where an engine answers;
                                # elsewhere it shows what the author's engine answered. %%engine {WEB} also needs the
                                # image whose name is in the variable WEB

client = connect("hello")       # a docker.DockerClient, or None
labels("hello")                 # for all that this notebook makes, so that tidy() finds it
tidy(client, "hello")           # remove all that has these labels
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from IPython.display import display

from course.checks.core.expectations import CheckFailed
from course.checks.docker import engines
from course.checks.docker.classic_builder import translate
from course.checks.docker.dockerfiles import Dockerfile, Instruction
from course.labs.recordings import key

LAB = "course.lab"
NOTEBOOK = "course.notebook"
LIVE = "COURSE_LIVE"  # "off": the notebook's own cells use no engine, as when it is graded
MISSING = "No container engine answers, so this part is read, not run."
RECORDED = "(no container engine answers here; this is what the author's answered)"
NOT_BUILT = "your image is not built yet"
RECORDINGS = Path(__file__).with_name("recorded.json")
_SECONDS = 600  # for a build by the command
TROUBLE = (DockerException, requests.RequestException, OSError)
_found: dict[str, docker.DockerClient] = {}


def connect(notebook: str, *, quiet: bool = False) -> docker.DockerClient | None:
    """A client of the engine that this machine has, and a clean table: what an earlier run left is removed.

    The engine is that of DOCKER_HOST, of the docker command's context, or of a usual socket, Podman's among them.

    Args:
        notebook: a short name for the notebook, such as "hello".
        quiet: print nothing.

    Returns:
        The client, or None when no engine answers.
    """
    client = _client()
    if client is not None:
        tidy(client, notebook)
    if not quiet:
        print("An engine answers." if client else f"{MISSING}\nenv_setup/index.md says how to get an engine.")
    return client


def _client() -> docker.DockerClient | None:
    where = None if os.environ.get(LIVE) == "off" else engines.address()
    if where is None or not _listens(where):
        return None
    if where not in _found:
        try:
            client = docker.from_env(environment={**os.environ, "DOCKER_HOST": where}, timeout=60)
            client.ping()
        except TROUBLE:
            return None
        _found[where] = client
    return _found[where]


def _listens(where: str) -> bool:
    """Whether a local socket is there at all; the SDK takes long to find out, and says it in many lines."""
    return not where.startswith("unix://") or os.access(where.removeprefix("unix://"), os.R_OK | os.W_OK)


def labels(notebook: str) -> dict[str, str]:
    """The labels of all that a notebook makes: they tell it from what others make, and from other copies of the lab."""
    place = f"{platform.node()}:{Path.cwd()}"
    return {LAB: "04_docker", NOTEBOOK: f"{notebook}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"}


def named(name: str) -> str:
    """A name for an image, a container or a network that no other copy of this lab has, such as "hello-5d41402a"."""
    return labels(name)[NOTEBOOK]


def tidy(client: docker.DockerClient | None, notebook: str) -> dict[str, int]:
    """Remove the containers, images, volumes and networks that have a notebook's labels.

    Args:
        client: what :func:`connect` gave.
        notebook: the name that it was given.

    Returns:
        How many there were of each kind.
    """
    if client is None:
        return {}
    mine = {"label": f"{NOTEBOOK}={labels(notebook)[NOTEBOOK]}"}
    containers = client.containers.list(all=True, filters=mine, ignore_removed=True)
    for container in containers:
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
    found = {"containers": len(containers), "images": 0, "volumes": 0, "networks": 0}
    while images := client.images.list(filters=mine):  # those on which others stand become free when those are gone
        removed = [image for image in images if _remove(client, image.id)]
        found["images"] += len(removed)
        if not removed:
            break
    for kind, things in (
        ("volumes", client.volumes.list(filters=mine)),
        ("networks", client.networks.list(filters=mine)),
    ):
        for thing in things:
            thing.remove()
        found[kind] = len(things)
    return found


def _remove(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.remove(image, force=True)
    except APIError:
        return False
    return True


@dataclass(frozen=True)
class Step:
    """One step of a build: its instruction, and whether the engine kept it from an earlier build."""

    instruction: str
    kept: bool


class BuildFailed(Exception):
    """An image could not be built; a notebook shows the message, and none of the course's code."""

    def _render_traceback_(self) -> list[str]:
        return [f"The image could not be built:\n{self}"]


def build(
    client: docker.DockerClient, folder: str | Path, tag: str, notebook: str, arguments: dict[str, str] | None = None
) -> list[Step]:
    """Build an image of a folder, as `docker build --tag … folder` does, with a notebook's labels on each layer.

    BuildKit builds it where the command `docker` has it (`docker buildx version`), the classic builder elsewhere.

    Args:
        client: what :func:`connect` gave.
        folder: the build context, with its Dockerfile.
        tag: what to call the image.
        notebook: the name that :func:`connect` was given.
        arguments: values for the Dockerfile's ARGs, as `docker build --build-arg` gives them.

    Returns:
        The steps of the Dockerfile, in order; none, and a line is printed, where there is no Dockerfile yet.

    Raises:
        BuildFailed: a step failed; the message ends with what the step printed.
    """
    source = Path(folder, "Dockerfile")
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    if not [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]:
        name = f"{source.parent.name}/Dockerfile"
        print(f"{NOT_BUILT}: {name} has no instructions. Ship it above, then run this cell again.")
        return []
    try:
        dockerfile = Dockerfile(text)
    except CheckFailed as problem:
        raise BuildFailed(f"{problem.reason}\n{problem.hint or ''}".strip()) from None
    with tempfile.TemporaryDirectory() as place:
        context = shutil.copytree(folder, Path(place, "context"))
        how = _with_buildkit if has_buildkit() else _with_the_classic_builder
        kept = how(client, Path(context), tag, dockerfile, labels(notebook), arguments or {})
    return [Step(f"{one.name} {one.value}", one.line in kept) for one in dockerfile.instructions]


@functools.cache
def has_buildkit() -> bool:
    """Whether the command `docker` can build with BuildKit."""
    program = shutil.which("docker")
    if program is None or os.environ.get("DOCKER_BUILDKIT") == "0":
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, "buildx", "version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
        return done.returncode == 0
    return False


def _with_the_classic_builder(
    client: docker.DockerClient,
    context: Path,
    tag: str,
    dockerfile: Dockerfile,
    marks: dict[str, str],
    arguments: dict[str, str],
) -> set[int]:
    """Build with the engine's own builder; the lines of the Dockerfile whose steps it kept from an earlier build."""
    sent = [path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()]
    translated = translate(dockerfile, marks, sent)  # it knows no mounts and no here-documents
    for name, data in {"Dockerfile": translated.text.encode(), **translated.files}.items():
        Path(context, name).parent.mkdir(parents=True, exist_ok=True)
        Path(context, name).write_bytes(data)
    if translated.files and Path(context, ".dockerignore").is_file():
        with Path(context, ".dockerignore").open("a", encoding="utf-8") as rules:
            rules.write("".join(f"\n!{name}" for name in translated.files))
    step, kept, output = 0, set[int](), list[str]()
    try:
        answer = client.api.build(path=str(context), tag=tag, buildargs=arguments, rm=True, forcerm=True, decode=True)
        for message in answer:
            text = str(message.get("stream") or "")
            output.append(text)
            if match := re.match(r"(?:\[\d+/\d+\] )?(?:Step|STEP) \d+/\d+ ?: (\w+)", text):
                step += 1
                if match[1].upper() in ("FROM", "ARG"):
                    kept.add(step)
            elif "Using cache" in text:
                kept.add(step)
            if "error" in message:
                last = "".join(output).strip().splitlines()[-8:]
                raise BuildFailed("\n".join([*last, str(message["error"])]))
    except APIError as error:
        raise BuildFailed(engines.plain_message(error)) from None
    made = {line for number, line in enumerate(translated.steps, 1) if number not in kept}
    return set(translated.steps) - (made - {stage.origin.line for stage in dockerfile.stages})


def _with_buildkit(
    client: docker.DockerClient,
    context: Path,
    tag: str,
    dockerfile: Dockerfile,
    marks: dict[str, str],
    arguments: dict[str, str],
) -> set[int]:
    """Build with BuildKit; the lines of the Dockerfile whose steps it kept from an earlier build."""
    label = "LABEL " + " ".join(f'{name}="{value}"' for name, value in marks.items())
    marked = re.sub(r"(?im)^(\s*FROM\s.*)$", rf"\1\n{label}", dockerfile.source)
    Path(context, "Dockerfile").write_text(marked, encoding="utf-8")
    command = ["docker", "buildx", "build", "--progress=plain", "--load", "--provenance=false", "--tag", tag]
    command += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    done = subprocess.run(
        [*command, str(context)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_SECONDS,
        env=os.environ | {"DOCKER_HOST": engines.address() or ""},
        check=False,
    )
    if done.returncode:
        raise BuildFailed("\n".join(done.stderr.strip().splitlines()[-12:]))
    return _kept_by_buildkit(done.stderr, dockerfile)


def _kept_by_buildkit(output: str, dockerfile: Dockerfile) -> set[int]:
    """The lines that BuildKit kept: those before the first step of a stage that it made.

    BuildKit reports steps that make layers. The others, such as ENV, are kept when all before them are.
    """
    numbers: dict[str, tuple[str, int]] = {}
    cached: set[str] = set()
    for line in output.splitlines():
        if match := re.match(r"#(\d+) \[(?:(\S+) )?\s*(\d+)/\d+\] ", line):
            numbers[match[1]] = (match[2] or "stage-0", int(match[3]))
        elif match := re.match(r"#(\d+) CACHED", line):
            cached.add(match[1])
    made = {place for number, place in numbers.items() if number not in cached}
    kept = {one.line for one in dockerfile.instructions if one.name == "ARG"}
    for number, stage in enumerate(dockerfile.stages):
        names, place = {stage.name or f"stage-{number}", f"stage-{number}"}, 1
        still = True
        kept.add(stage.origin.line)
        for one in stage.own:
            if _makes_a_layer(one):
                place += 1
                still = still and not any((name, place) in made for name in names)
            if still:
                kept.add(one.line)
    return kept


def _makes_a_layer(one: Instruction) -> bool:
    return one.name in ("RUN", "COPY", "ADD", "WORKDIR")


def url(container: Container, port: int = 8000, path: str = "/") -> str:
    """Where a port of a container is published, as a URL for this notebook.

    Args:
        container: it runs, and the port is published.
        port: the port inside the container.
        path: what to ask for.

    Raises:
        LookupError: the port is not published.
    """
    container.reload()
    published = (container.attrs["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
    if not published:
        raise LookupError(f"port {port} of the container is not published; start it with ports={{'{port}/tcp': …}}")
    there = urlparse(engines.address() or "")
    host = there.hostname if there.scheme in ("tcp", "http", "https", "ssh") else None
    return f"http://{host or '127.0.0.1'}:{published[0]['HostPort']}{path}"


def fetch(address: str, *, seconds: float = 120.0) -> str:
    """GET an address and return the answer's body; wait while nobody listens there yet.

    Args:
        address: such as what :func:`url` gives.
        seconds: how long to wait for somebody to listen.

    Raises:
        TimeoutError: nobody did.
        urllib.error.HTTPError: the answer has a status of 400 or above.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=seconds) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody answered within {seconds:g} seconds ({error})") from None
            time.sleep(0.1)


def wait(done: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """Ask again and again until the answer is true, and return it.

    Raises:
        TimeoutError: it was not, in that time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {seconds:g} seconds")
        time.sleep(0.1)
    return answer


def missing(words: list[str], names: dict[str, Any]) -> str:
    """What a cell needs and does not have, in words; empty when it has everything.

    Args:
        words: behind %%engine: `{WEB}:1` is an image whose name is in the variable WEB, and `built` is a variable.
        names: the variables of the notebook.
    """
    client = _client()
    for word in words:
        is_there = word in names
        if "{" in word and client is not None:
            with contextlib.suppress(KeyError, *TROUBLE):
                client.images.get(word.format_map(names))
                is_there = True
        if not is_there:
            return f"{NOT_BUILT}, and this cell needs it. Ship its Dockerfile, then run the cell that builds it."
    return ""


def replay(recorded: str, line: str) -> None:
    """Print a line, and show what is recorded of a cell: what the author's engine answered.

    Args:
        recorded: what `recordings.key` gave.
        line: why the cell does not run.
    """
    outputs = json.loads(RECORDINGS.read_text(encoding="utf-8")).get(recorded) if RECORDINGS.is_file() else None
    print(f"{line}\n" if outputs and line else line or MISSING)
    for output in outputs or []:
        if "text" in output:
            print(output["text"], end="")
        else:
            display(output["data"], metadata=output.get("metadata"), raw=True)


def _only_with_an_engine(shell: Any, lines: list[str]) -> list[str]:
    """What is run of a cell that begins with %%engine: its other lines, or a replay where it lacks what it needs."""
    words = lines[0].split() if lines else []
    if words[:1] != ["%%engine"]:
        return lines
    if _client() is None:
        line = RECORDED if key("".join(lines)) in _recorded() else MISSING
    else:
        line = missing(words[1:], shell.user_ns)
        if not line:
            return lines[1:]
    return [f"__import__('given.engine', fromlist=['replay']).replay({key(''.join(lines))!r}, {line!r})\n"]


@functools.cache
def _recorded() -> frozenset[str]:
    return frozenset(json.loads(RECORDINGS.read_text(encoding="utf-8"))) if RECORDINGS.is_file() else frozenset()


class _Transformer:
    """What IPython calls for each cell, before it is run."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        return _only_with_an_engine(self.shell, lines)


def load_ipython_extension(shell: Any) -> None:
    """Make a notebook understand %%engine."""
    steps = shell.input_transformers_cleanup
    steps[:] = [step for step in steps if type(step).__name__ != _Transformer.__name__]
    steps.append(_Transformer(shell))
