"""A Dockerfile translated for the classic builder: `translate(dockerfile, labels)` → ClassicDockerfile.

An engine's API takes limits and a network only for the classic builder, which supports neither here-documents nor the
options that came with BuildKit. They are translated into instructions that it supports, with the same effect.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from course.checks.core.expectations import not_graded_here
from course.checks.docker import dockerfiles
from course.checks.docker.dockerfiles import Dockerfile, Instruction
from course.checks.docker.dockerignore import matching

_SHELL = ("/bin/sh", "-c")
_PLATFORMS = ("BUILDPLATFORM", "TARGETPLATFORM")


@dataclass
class ClassicDockerfile:
    """A translation.

    Attributes:
        text: the Dockerfile.
        files: further files that the context needs, by path.
        lines: for each line of the text, counted from 1, the line of the Dockerfile that it came from.
        bound: where a RUN saw files for its own time; here they are copied there, and stay.
    """

    text: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    bound: list[str] = field(default_factory=list)


def translate(dockerfile: Dockerfile, labels: dict[str, str], sent: Collection[str] = ()) -> ClassicDockerfile:
    """Translate a Dockerfile, and give each stage labels.

    Args:
        dockerfile: as it was read.
        labels: for each stage.
        sent: the paths of the files in the context, which patterns and folders of COPY --chmod are compared with.

    Raises:
        NotGradedHere: it needs something that only BuildKit can do.
    """
    made, out = ClassicDockerfile(), []
    if "escape" in dockerfile.directives:
        out.append(f"# escape={dockerfile.directives['escape']}")
    state = _State()
    for one in dockerfile.instructions:
        if one.name == "FROM":
            state = _State()
        elif one.name == "USER":
            state.user = one.value
        elif one.name == "SHELL" and one.words:
            state.shell = one.words
        for text in _words(one, state, made, sent):
            for line in text.split("\n"):
                out.append(line)
                made.lines[len(out)] = one.line
        if one.name == "FROM":
            out += [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
    made.text = "\n".join(out) + "\n"
    return made


@dataclass
class _State:
    user: str = "0"
    shell: tuple[str, ...] = _SHELL


def _words(one: Instruction, state: _State, made: ClassicDockerfile, sent: Collection[str]) -> Iterator[str]:
    if one.name == "FROM" and any(name in (one.flag("platform") or "") for name in _PLATFORMS):
        yield f"FROM {one.rest}"
    elif one.name == "RUN" and (one.heredocs or one.flags):
        yield from _run(one, state, made)
    elif one.name in ("COPY", "ADD") and (one.heredocs or set(_names(one)) - {"from", "chown"}):
        yield from _copy(one, state, made, sent)
    else:
        yield one.raw


def _names(one: Instruction) -> list[str]:
    return [flag.removeprefix("--").partition("=")[0] for flag in one.flags]


def _only_buildkit(one: Instruction, what: str) -> None:
    not_graded_here(f"line {one.line} uses {what}, which this engine's builder does not offer to a grader")


def _run(one: Instruction, state: _State, made: ClassicDockerfile) -> Iterator[str]:
    for mount in dockerfiles.mounts(one):
        kind, target = mount["type"], mount.get("target") or mount.get("dst") or mount.get("destination")
        if kind == "bind" and target:
            source = mount.get("source") or mount.get("src") or "."
            origin = f"--from={mount['from']} " if mount.get("from") else ""
            made.bound.append(posixpath.normpath(posixpath.join("/", target)))
            yield f"COPY {origin}{json.dumps([source, target])}"
        elif kind not in ("cache", "tmpfs"):
            _only_buildkit(one, f"--mount=type={kind}")
    if set(_names(one)) - {"mount", "network"}:
        _only_buildkit(one, one.flags[0])
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
        _only_buildkit(one, f"{one.name} --{sorted(extra)[0]}")
    named, target = one.paths
    sources = list(named)
    options = " ".join(flag for flag in one.flags if flag.split("=")[0] in ("--from", "--chown"))
    for place, document in enumerate(one.heredocs):
        if "$" in document.body and not document.quoted:
            _only_buildkit(one, "variables in a here-document of COPY")
        name = posixpath.basename(document.name if target.endswith("/") or len(one.heredocs) > 1 else target)
        path = f".course-here/{one.line}-{place}/{name}"
        made.files[path] = document.body.encode()
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
