"""A Dockerfile translated for the classic builder: `translate(dockerfile, labels)` → ClassicDockerfile.

An engine's API takes limits and a network only for the classic builder, which supports neither here-documents nor the
options that came with BuildKit. They are translated into instructions that it supports, with the same effect.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NoReturn

from course.checks.core.expectations import Unmet
from course.checks.docker import dockerfiles
from course.checks.docker.dockerfiles import Dockerfile, Instruction, expand
from course.checks.docker.dockerignore import matching

_SHELL = ("/bin/sh", "-c")
_PLATFORMS = ("BUILDPLATFORM", "TARGETPLATFORM")


@dataclass
class ClassicDockerfile:
    """A translation.

    Attributes:
        text: the Dockerfile.
        files: further files that the context needs, by path.
        steps: for each step of the build, in order, the line of the Dockerfile that it belongs to.
        bound: where a RUN saw files for its own time; here they are copied there, and stay.
    """

    text: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    bound: list[str] = field(default_factory=list)


def translate(dockerfile: Dockerfile, labels: dict[str, str], sent: Collection[str] = ()) -> ClassicDockerfile:
    """Translate a Dockerfile, and give each stage labels.

    Args:
        dockerfile: as it was read.
        labels: for each stage.
        sent: the paths of the files in the context, which patterns and folders of COPY --chmod are compared with.

    Raises:
        Unmet: it uses an option that no translation has.
    """
    made, out = ClassicDockerfile(), []
    if "escape" in dockerfile.directives:
        out.append(f"# escape={dockerfile.directives['escape']}")
    state, stages = _State(), iter(dockerfile.stages)
    for one in dockerfile.instructions:
        if one.name == "FROM":
            state = _State(variables=dockerfile.variables(next(stages)))
        elif one.name == "USER":
            state.user = one.value
        elif one.name == "SHELL" and one.words:
            state.shell = one.words
        for text in _words(one, state, made, sent):
            out += text.split("\n")
            made.steps.append(one.line)
        if one.name == "FROM":
            out += [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
            made.steps += [one.line] * len(labels)
    made.text = "\n".join(out) + "\n"
    return made


@dataclass
class _State:
    user: str = "0"
    shell: tuple[str, ...] = _SHELL
    variables: Mapping[str, str | None] = field(default_factory=dict)


def _words(one: Instruction, state: _State, made: ClassicDockerfile, sent: Collection[str]) -> Iterator[str]:
    if one.name == "FROM" and any(name in (one.flag("platform") or "") for name in _PLATFORMS):
        yield f"FROM {one.rest}"
    elif one.name == "RUN" and (one.heredocs or one.flags):
        yield from _run(one, state, made)
    elif one.name in ("COPY", "ADD") and (one.heredocs or set(_names(one)) - {"from", "chown"} or _into_dot(one)):
        yield from _copy(one, state, made, sent)
    elif one.name == "HEALTHCHECK" and "start-interval" in _names(one):  # newer than this builder
        known = [flag for flag in one.flags if not flag.startswith("--start-interval")]
        yield " ".join(["HEALTHCHECK", *known, one.rest])
    else:
        yield one.raw


def _into_dot(one: Instruction) -> bool:
    """Whether several files are copied into ".", which this builder takes only as "./"."""
    named, target = one.paths
    return len(named) > 1 and target in (".", "..")


def _names(one: Instruction) -> list[str]:
    return [flag.removeprefix("--").partition("=")[0] for flag in one.flags]


def _refuse(one: Instruction, what: str, hint: str) -> NoReturn:
    reason = f"line {one.line} ({one.shown}): a rule of this course is that images are built without {what}"
    raise Unmet("the image is built", reason, hint=hint)


def _run(one: Instruction, state: _State, made: ClassicDockerfile) -> Iterator[str]:
    for mount in dockerfiles.mounts(one):
        kind, target = mount["type"], mount.get("target") or mount.get("dst") or mount.get("destination")
        if kind == "bind" and target:
            source = mount.get("source") or mount.get("src") or "."
            origin = f"--from={mount['from']} " if mount.get("from") else ""
            made.bound.append(posixpath.normpath(posixpath.join("/", target)))
            yield f"COPY {origin}{json.dumps([source, target])}"
        elif kind in ("secret", "ssh") and mount.get("required", "false").lower() not in ("false", "0"):
            _refuse(one, f"a mount of type {kind} that is required", "no secret is given while grading; leave it out")
        elif kind not in ("cache", "tmpfs", "secret", "ssh"):  # the last two are empty, as nobody gives them
            _refuse(one, f"--mount=type={kind}", "copy what the step needs")
    if others := set(_names(one)) - {"mount", "network", "security"}:
        _refuse(one, f"RUN --{sorted(others)[0]}", "leave the option out")
    if not one.heredocs:
        yield f"RUN {one.rest}"
        return
    document = one.heredocs[0]
    is_bare = dockerfiles.is_heredoc(one.rest)
    if is_bare and document.body.startswith("#!"):
        interpreter = document.body[2:].split("\n")[0].split()
        words = " ".join(interpreter)
        script = f"cat > /tmp/.s <<'COURSE_END'\n{document.body}COURSE_END\n{words} /tmp/.s && rm /tmp/.s"
    elif is_bare:
        script = document.body
    else:
        ends = (f"{document.body}{document.name}\n" for document in one.heredocs)
        script = f"{one.rest.replace('<<-', '<<')}\n{''.join(ends)}"
    yield f"RUN {json.dumps([*state.shell, script])}"


def _copy(one: Instruction, state: _State, made: ClassicDockerfile, sent: Collection[str]) -> Iterator[str]:
    if extra := set(_names(one)) - {"from", "chown", "chmod", "link"}:
        _refuse(one, f"{one.name} --{sorted(extra)[0]}", "name what is to be copied, one COPY for each folder")
    named, target = one.paths
    sources = list(named)
    target += "/" * _into_dot(one)
    options = " ".join(flag for flag in one.flags if flag.split("=")[0] in ("--from", "--chown"))
    for place, document in enumerate(one.heredocs):
        body = document.body if document.quoted else expand_all(document.body, state.variables)
        name = posixpath.basename(document.name if target.endswith("/") or len(one.heredocs) > 1 else target)
        path = f".course-here/{one.line}-{place}/{name}"
        made.files[path] = body.encode()
        sources.append(path)
    yield f"{one.name} {options} {json.dumps([*sources, target])}"
    if mode := one.flag("chmod"):
        known = () if one.flag("from") else (*sent, *made.files)
        names = [name for source in sources for name in _arriving(source, known)]
        is_folder = len(names) > 1 or posixpath.basename(target) in ("", ".", "..")
        copied = [posixpath.join(target, name) for name in names] if is_folder else [target]
        yield "USER 0"
        yield f"RUN {json.dumps(['chmod', mode, *copied] if known else ['chmod', '-R', mode, *copied])}"
        yield f"USER {state.user}"


def expand_all(text: str, known: Mapping[str, str | None]) -> str:
    """Text with its variables replaced; what has no value becomes nothing, as in a here-document of COPY."""
    names = set(re.findall(r"\$\{?(\w+)", text))
    return expand(text, {name: known.get(name) or "" for name in names}) or ""


def _arriving(source: str, paths: Collection[str]) -> list[str]:
    """The names under which what a source of COPY stands for arrives: that of a file, or all that a folder holds."""
    names: dict[str, None] = {}
    whole = posixpath.normpath(source.lstrip("/") or ".") == "."
    for path in map(PurePosixPath, matching(source, paths)):
        above = [PurePosixPath(".")] if whole else list(reversed(path.parents[:-1]))
        folder = next((top for top in above if whole or matching(source, [str(top)])), None)
        inner = PurePosixPath(path.name) if folder is None else path.relative_to(folder)
        names |= dict.fromkeys(str(one) for one in reversed([inner, *inner.parents[:-1]]))
    return list(names) or [posixpath.basename(source)]
