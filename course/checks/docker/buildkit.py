"""A build by BuildKit, for engines without the classic builder: `BuildKitBuild`, chosen by COURSE_BUILDER=buildkit.

BuildKit takes neither a network of the grader's choice nor a limit of memory. So its steps get no network at all, and
the packages of requirements.txt lie in a folder that each RUN sees. The command `docker` and its plugin buildx build.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from course.checks.core.expectations import not_graded_here
from course.checks.docker import engines, wheels
from course.checks.docker.built_images import Image
from course.checks.docker.contexts import IGNORE, Context
from course.checks.docker.dockerfiles import Instruction
from course.checks.docker.image_builder import ImageBuild

BUILDER = "COURSE_BUILDER"  # "classic", which is the default, or "buildkit"
_WHEELS = ".course-wheels"
_STAGE = "course-wheels"
_NUMBERED = re.compile(r"(?<![\w-])((?:--)?from=)(\d{1,3})(?=[\s,])")
_RUN = re.compile(r"(?i)^(\s*RUN\s+)")
_FROM = re.compile(r"(?i)^\s*FROM\s")
_VERTEX = re.compile(r"#(\d{1,6}) \[([^\]]{1,200})\] (.*)")
# what tells pip and uv that there is no index, and where the packages lie
_SETTINGS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/{_WHEELS}", "UV_NO_INDEX": "1", "UV_FIND_LINKS": f"/{_WHEELS}"}


def is_chosen() -> bool:
    """Whether the instructor chose BuildKit."""
    return os.environ.get(BUILDER, "").strip().lower() == "buildkit"


@functools.cache
def is_here() -> bool:
    """Whether the command `docker` has the plugin buildx."""
    if (program := shutil.which("docker")) is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, "buildx", "version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
        return done.returncode == 0
    return False


def files(context: Context, dockerfile: str) -> dict[str, bytes]:
    """What the context needs besides, for a build without a network: wheels, and a Dockerfile whose steps see them.

    Args:
        context: what is built.
        dockerfile: its translation for the classic builder, which BuildKit reads as well.

    Raises:
        CheckFailed: its requirements name packages that there are not.
        NotGradedHere: buildx is not here, or the wheels cannot be had.
    """
    if not is_here():
        not_graded_here("the command docker has no buildx, with which BuildKit builds")
    made: dict[str, bytes] = {f"{_WHEELS}/none": b""}
    if "requirements.txt" in context.sent:
        text = context.read("requirements.txt", most=1 << 20).decode("utf-8", "replace")
        found = wheels.collect(text, python=_python(context))
        made |= {f"{_WHEELS}/{name}": data for name, data in found.items()}
    lines: list[str] = []
    for line in dockerfile.splitlines():
        line = _NUMBERED.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", line)  # the wheels are a stage before all
        if _FROM.match(line):
            if not any(map(_FROM.match, lines)):
                lines += [f"FROM scratch AS {_STAGE}", f"COPY {_WHEELS}/ /"]
            lines += [line, *(f"ARG {name}={value}" for name, value in _SETTINGS.items())]
        else:
            lines.append(_RUN.sub(rf"\1--mount=type=bind,from={_STAGE},target=/{_WHEELS} ", line))
    made["Dockerfile"] = "\n".join(lines).encode() + b"\n"
    if IGNORE in context.sent:
        made[IGNORE] = context.read(IGNORE) + f"\n!{_WHEELS}\n!.course-here\n".encode()
    return made


def _python(context: Context) -> str:
    stages = [stage.base for stage in context.parsed.stages]
    found = (re.search(r"(?:^|/)python:(3\.\d{1,2})", base) for base in stages)
    return next((match[1] for match in found if match), "3.11")


class BuildKitBuild(ImageBuild):
    """One build by BuildKit; see :class:`ImageBuild`, whose limits of time, output and size hold here, too."""

    def build(self, archive: Any, arguments: dict[str, str], *, network: bool, fresh: bool) -> Image:
        """Build, and return the image; `network` is ignored, as there is none."""
        with tempfile.TemporaryDirectory() as folder:
            name = Path(folder, "image")
            command = [
                "docker",
                "buildx",
                "build",
                "--progress=plain",
                "--network=none",
                "--load",
                "--provenance=false",
            ]
            command += ["--iidfile", str(name), "--shm-size=16m", "--ulimit=core=0", "--ulimit=nofile=4096"]
            command += [f"--ulimit=fsize={self.limits.layer_mb * 10**6}", *(["--no-cache"] if fresh else [])]
            command += [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
            started = time.monotonic()
            code = self._run([*command, "-"], archive, started + self.limits.seconds)
            seconds = time.monotonic() - started
            if code or not name.is_file():
                raise self._broken()
            image = Image(self.engine, name.read_text().strip(), self.context, self.base, seconds, "".join(self.output))
        image.bound = (*self.translated.bound, f"/{_WHEELS}")
        image.made_lines = frozenset(one.line for text in self._made() if (one := self._named(text)))
        if image.reported > self.limits.image_mb * 10**6:
            raise self._unmet(
                f"it is larger than {self.limits.image_mb} MB above its base", f"{image.reported / 1e6:.0f} MB"
            )
        return image

    def _run(self, command: list[str], archive: Any, deadline: float) -> int:
        archive.rollover()  # a file with a number, which the command can read
        environment = os.environ | {"DOCKER_HOST": engines.address() or ""}
        with subprocess.Popen(
            command, stdin=archive, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        ) as process:
            lines: queue.Queue[bytes] = queue.Queue(maxsize=200)
            stream = process.stderr
            assert stream is not None
            over = threading.Event()
            reader = threading.Thread(target=_read, args=(stream, lines, over), daemon=True)
            reader.start()
            try:
                while process.poll() is None or reader.is_alive() or not lines.empty():
                    with contextlib.suppress(queue.Empty):
                        self._keep(lines.get(timeout=0.2).decode("utf-8", "replace"))
                    if time.monotonic() > deadline:
                        raise self._unmet(
                            f"it was not done after {self.limits.seconds:g} seconds",
                            hint="does a step wait for something that never comes?",
                        )
            finally:
                over.set()
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                reader.join()
        return process.returncode

    def _vertices(self) -> dict[str, str]:
        """The steps that BuildKit reported: number → what it calls them."""
        found = (_VERTEX.match(line) for line in self.output)
        return {match[1]: match[3] for match in found if match and _is_step(match[2])}

    def _made(self) -> list[str]:
        """The steps that it did not take from its cache."""
        cached = {match[1] for line in self.output if (match := re.match(r"#(\d+) CACHED", line))}
        return [text for number, text in self._vertices().items() if number not in cached]

    def _named(self, text: str) -> Instruction | None:
        """The instruction of a step, by its text."""
        plain = " ".join(re.sub(r"--mount=\S+ ?", "", text).split())
        for one in self.context.parsed.instructions:
            if one.name == plain.partition(" ")[0].upper() and plain.partition(" ")[2][:60] in " ".join(
                one.rest.split()
            ):
                return one
        return None

    def _broken(self) -> Exception:
        """What went wrong, in words."""
        vertices = self._vertices()
        failed = [match for line in self.output if (match := re.match(r"#(\d+) ERROR: (.*)", line))]
        if not failed and not vertices:
            not_graded_here("BuildKit could not be used: " + "".join(self.output[-3:])[:300])
        one = self._named(vertices.get(failed[-1][1], "")) if failed else None
        reason = failed[-1][2] if failed else "".join(self.output[-3:])
        if match := re.search(r"exit code: (\d+)", reason):
            reason = f"the step ended with exit status {match[1]}"
        number = failed[-1][1] if failed else ""
        said = [line.split(" ", 2)[-1] for line in self.output if re.match(rf"#{number} \d+\.\d+ ", line)]
        where = f"line {one.line} ({one.shown}): " if one else ""
        problem = self._unmet(" ".join(reason.split())[:300], "".join(said[-5:])[:1000] or None)
        problem.reason = f"{where}{problem.reason}"
        return problem


def _is_step(name: str) -> bool:
    """Whether what stands in brackets names a step of a student's stage, such as "packages 2/5"."""
    number, slash, count = name.split()[-1].partition("/") if name.split() else ("", "", "")
    return bool(slash) and number.isdigit() and count.isdigit() and not name.startswith(_STAGE)


def _read(stream: IO[bytes], lines: queue.Queue[bytes], over: threading.Event) -> None:
    """Put the lines of a stream into a queue, until it ends or nobody reads any more."""
    for line in iter(lambda: stream.readline(1 << 16), b""):
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                lines.put(line, timeout=0.2)
                break
