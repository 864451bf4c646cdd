"""Grading in a Linux container, where this machine has no sandbox but a container engine. Used by `course grade`.

The same command runs inside, with the sandbox that Linux offers there. It sees the course's folder to read, classroom/
to write, and nothing else of this machine. docs/security.md says what the container may do, and why.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from course.base.errors import UserError

IMAGE = "COURSE_GRADER_IMAGE"  # the image; by default one that is built from env_setup/grader/Dockerfile
FORCE = "COURSE_GRADER"  # "container": also where there is a sandbox; "here": never
INSIDE = "COURSE_GRADER_INSIDE"
MOUNTS = "COURSE_GRADER_MOUNTS"  # for tests: further folders to read, at their own places, separated by colons
PYTHON = "COURSE_GRADER_PYTHON"  # for tests: the interpreter inside
GRADEBOOK = "COURSE_GRADEBOOK"  # the gradebook's URL, where it is no SQLite
ENGINES = ("docker", "podman")
PLACE = "/course"  # of the course's folder inside
LABEL = "course.grader"
CACHE = Path("/var/cache/course")
# What the sandbox needs of root to make namespaces and a user for each student; an ordinary user needs none of it.
ROOT_MAY = (
    *("SYS_ADMIN", "NET_ADMIN", "SETUID", "SETGID", "SETPCAP"),
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SYS_PTRACE"),
)


class ContainerError(UserError):
    """The container cannot be made or started; the message says what to do."""


def wanted(*, unsafe: bool = False, cluster: bool = False) -> bool:
    """Whether grading should run itself in a container: there is no sandbox here, and an engine answers."""
    choice = os.environ.get(FORCE)
    if unsafe or cluster or choice == "here" or os.environ.get(INSIDE):
        return False
    return choice == "container" or (not _is_sandbox_here() and engine() is not None)


def _is_sandbox_here() -> bool:
    if sys.platform != "linux":
        return False
    from course.grading.sandbox import policy

    return policy.why_not() is None


@functools.cache
def engine() -> str | None:
    """The program of a container engine that answers, or None."""
    for program in filter(None, map(shutil.which, ENGINES)):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([program, "info"], capture_output=True, timeout=30, check=False).returncode == 0:
                return program
    return None


def grade(root: Path, arguments: Sequence[str], gradebook: str = "") -> int:
    """Run `course grade` in a container, with its output and progress here.

    Args:
        root: the course's folder.
        arguments: of `course grade`.
        gradebook: the URL of the gradebook.

    Returns:
        The exit status of the command inside.

    Raises:
        ContainerError: no engine answers, or the image cannot be built.
    """
    program = engine()
    if program is None:
        raise ContainerError("no container engine answers; start Docker or Podman, or grade where Linux has a sandbox")
    image_name = os.environ.get(IMAGE) or image(program, root)
    name = f"course-grader-{uuid.uuid4().hex[:12]}"
    (root / "classroom").mkdir(exist_ok=True)
    env, options = _gradebook(gradebook)
    command = [
        program,
        "run",
        "--rm",
        "--interactive",
        "--name",
        name,
        "--label",
        f"{LABEL}={root}",
        *_rights(root),
        *options,
        *_mounts(root),
    ]
    inside = [
        os.environ.get(PYTHON, "python"),
        "-m",
        "course.grading.pipeline.container",
        "--root",
        PLACE,
        "grade",
        *arguments,
    ]
    # the container ends when its standard input does: nobody else holds the other end, however this process ends
    process = subprocess.Popen(
        [*command, image_name, *inside], stdin=subprocess.PIPE, env={**os.environ, **env}, start_new_session=True
    )
    try:
        status = process.wait()
    except BaseException:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        subprocess.run([program, "rm", "--force", name], capture_output=True, timeout=60, check=False)
        raise
    process.stdin.close()
    if status in (125, 126, 127):
        raise ContainerError(f"the container {image_name} could not be started; the engine's own message stands above")
    return status


def _rights(root: Path) -> Iterator[str]:
    """It runs as the owner of classroom/, and may do no more than the sandbox inside needs."""
    yield from ("--cap-drop", "ALL")
    there = (root / "classroom").stat()
    user = (there.st_uid, there.st_gid) if os.name == "posix" else (1000, 1000)
    if user[0] == 0:
        for capability in ROOT_MAY:
            yield from ("--cap-add", capability)
    else:
        yield from ("--user", f"{user[0]}:{user[1]}", "--security-opt", "no-new-privileges")
    # the engine's own filters refuse namespaces and mounts; each sandbox inside sets a stricter one
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        yield from ("--security-opt", option)


def _mounts(root: Path) -> Iterator[str]:
    yield from ("--volume", f"{root}:{PLACE}:ro", "--volume", f"{root / 'classroom'}:{PLACE}/classroom")
    yield from ("--workdir", "/tmp", "--env", "HOME=/tmp", "--env", f"{INSIDE}=1")
    if holdout := os.environ.get("COURSE_HOLDOUT"):
        yield from ("--volume", f"{Path(holdout).resolve()}:/holdout:ro", "--env", "COURSE_HOLDOUT=/holdout")
    for pair in filter(None, os.environ.get(MOUNTS, "").split(os.pathsep)):
        source, _, target = pair.partition("=")
        yield from ("--volume", f"{source}:{target or source}:ro")


def _gradebook(url: str) -> tuple[dict[str, str], list[str]]:
    """Environment and options for a gradebook that is a server: then, and only then, there is a network."""
    if not url or url.startswith("sqlite"):
        return {}, ["--network", "none"]
    if sys.platform == "linux":
        return {GRADEBOOK: url}, ["--network", "host", "--env", GRADEBOOK]
    for here in ("@localhost", "@127.0.0.1"):
        url = url.replace(here, "@host.docker.internal")
    return {GRADEBOOK: url}, ["--env", GRADEBOOK]


def image(program: str, root: Path) -> str:
    """The name of the image for this version of the course; it is built when it is not there.

    Raises:
        ContainerError: it cannot be built.
    """
    recipe = root / "env_setup" / "grader" / "Dockerfile"
    if not recipe.is_file():
        raise ContainerError(f"there is no {recipe}; name an image in {IMAGE}")
    name = f"course-grader:{_version(root, recipe)}"
    if subprocess.run([program, "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return name
    print(f"building the container {name}, once; it takes some minutes", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="course-image-") as folder:  # nothing else reaches the engine
        for path in _ingredients(root, recipe):
            target = Path(folder, path.relative_to(root))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        command = [program, "build", "--tag", name, "--file", str(Path(folder, recipe.relative_to(root))), folder]
        done = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
    if done.returncode != 0:
        raise ContainerError(f"the container could not be built; its messages stand above, its recipe is {recipe}")
    return name


def _version(root: Path, recipe: Path) -> str:
    found = hashlib.sha256()
    for path in _ingredients(root, recipe):
        found.update(f"\n{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def _ingredients(root: Path, recipe: Path) -> list[Path]:
    package = [path for path in (root / "course").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    beside = ("requirements.lock", "pyproject.toml", "README.md", "LICENSE")
    extras = sorted((root / "env_setup" / "extras").glob("*.lock"))
    return [recipe, *(root / name for name in beside), *extras, *sorted(package)]


def _inside(arguments: Sequence[str]) -> NoReturn:
    """The first process in the container: starts the command, reaps, and ends when nobody listens outside any more."""
    if CACHE.is_dir() and not os.access(CACHE, os.W_OK):
        shutil.copytree(CACHE, "/tmp/course-cache")
        os.environ["COURSE_CACHE"] = "/tmp/course-cache"
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.execv(sys.executable, [sys.executable, "-m", "course.cli", *arguments])

    def listen() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os._exit(128 + signal.SIGKILL)  # the engine ends what the first process leaves

    threading.Thread(target=listen, daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    if sys.argv[1:] == ["build"]:
        if (found := engine()) is None:
            sys.exit("no container engine answers")
        print(image(found, Path.cwd()))
    else:
        _inside(sys.argv[1:])
