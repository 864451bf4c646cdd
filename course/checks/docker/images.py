"""Images built from what students ship: `build(context("image"))` → Image; the same context is built once.

The Dockerfile is hostile: its steps run as root in containers of the engine. So memory, processor time, processes,
output and size are limited, and on the build's network there is nothing but a proxy to package indexes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from docker.errors import APIError, NotFound

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet, not_graded_here
from course.checks.core.sessions import SESSION_LABEL
from course.checks.docker import buildkit, classic_builder, dockerfiles, engines, simple_commands
from course.checks.docker.built_images import Image
from course.checks.docker.context_policy import WHEELS
from course.checks.docker.contexts import Context
from course.checks.docker.engines import EngineSession
from course.checks.docker.image_builder import TITLE, BuildLimits, ImageBuild

BASES = "COURSE_BASE_IMAGES"  # repositories whose images a build may use, with commas between
DEFAULT_BASES = "python,debian,ubuntu,alpine"


def build(
    context: Context,
    *,
    limits: BuildLimits | None = None,
    network: bool = True,
    wheels: Mapping[str, bytes] | None = None,
    arguments: Mapping[str, str] | None = None,
    changed: Mapping[str, bytes] | None = None,
    again: bool = False,
) -> Image:
    """Build an image of a context. The same context is built once, unless `again` asks for a second, whole build.

    Args:
        context: what :func:`contexts.context` returned.
        limits: what the build may use.
        network: whether the proxy to package indexes is there.
        wheels: files for the folder wheels/ of the context, by name, for Dockerfiles that install without an index; see
            :func:`wheels.collect`. Others do not get them.
        arguments: values for the Dockerfile's ARGs, by name.
        changed: files of the context with other contents than the shipped ones.
        again: build it once more, without the cache.

    Raises:
        NotGradedHere: no engine answers, or a base image cannot be pulled.
        Unmet: it cannot be built, exceeds a limit, or is made from an image that is not allowed; the message names the
            line.
    """
    limits = limits or BuildLimits()
    dockerfile = context.parsed
    engine = engines.engine()
    translated = classic_builder.translate(dockerfile, engine.labels, context.sent)
    more = {**(changed or {}), "Dockerfile": translated.text.encode(), **translated.files}
    if takes_wheels(context):
        more |= {f"{WHEELS}/{name}": data for name, data in (wheels or {}).items()}
    if by_buildkit := buildkit.is_chosen():
        more |= buildkit.files(context, translated.text)
    with context.tar(more) as archive:
        given = tuple(sorted((arguments or {}).items()))
        key = (engine.id, network, given, hashlib.file_digest(archive, "sha256").hexdigest())
        if not again and (known := _built.get(key)) is not None:
            if isinstance(known, Unmet):
                raise known
            return known
        archive.seek(0)
        with engines.not_graded_on_trouble():
            base = _bases(engine, dockerfile)
            kind = buildkit.BuildKitBuild if by_buildkit else ImageBuild
            attempt = kind(engine, context, translated, limits, base)
            try:
                image = attempt.build(archive, dict(given), network=network, fresh=again)
            except Unmet as failure:
                if not again:
                    _built[key] = failure
                raise
    if not again:
        _built[key] = image
    return image


def built(context: Context, **options: Any) -> Image | None:
    """As :func:`build`, for a check that can do without an engine: None where none answers, or no image comes of it."""
    try:
        return build(context, **options)
    except (NotGradedHere, CheckFailed):
        return None


def expect_cached(context: Context, **options: Any) -> None:
    """Fail the check when the engine installs packages again after a change of the code.

    Every module is given one more line, and the image is built again, with the engine's cache. Nothing is judged where
    no engine answers, where no image comes of the context, or where the engine keeps no cache for a grader (Podman).

    Args:
        context: what is built.
        options: those of :func:`build`.
    """
    first = built(context, **options)
    if first is None or first.engine.is_podman:
        return
    code = [path for path in context.sent if path.endswith(".py") and path != "setup.py"]
    changed = {path: context.read(path) + b"\n# one more line\n" for path in code}
    second = built(context, **options, changed=changed)
    if second is None:
        return
    for one in context.parsed.instructions:
        if one.line in second.made_lines and any(not made.is_local for made in simple_commands.installs(one)):
            raise CheckFailed(
                f"line {one.line} ({one.shown}): it ran again after one more line in the code",
                expected="the engine takes that step from its cache",
                hint="copy requirements.txt alone, install, then copy the code",
            )


def takes_wheels(context: Context) -> bool:
    """Whether the Dockerfile takes wheels from the folder wheels/ of its context."""
    named = re.compile(rf"(?:\./)?{WHEELS}(?:/|$)")
    for one in context.parsed.instructions:
        sources = list(one.paths[0]) if one.name in ("COPY", "ADD") and one.flag("from") is None else []
        sources += [m.get("source", m.get("src", "")) for m in dockerfiles.mounts(one) if not m.get("from")]
        if any(named.match(source.lstrip("/")) for source in sources):
            return True
    return False


_built: dict[tuple[Any, ...], Image | Unmet] = {}


def _bases(engine: EngineSession, dockerfile: dockerfiles.Dockerfile) -> dict[str, Any] | None:
    """Pull the base images that are missing; the engine's details of the last stage's, None for scratch.

    Only images of the allowed repositories are used, whether they are here or not: another image of this engine may
    hold what nobody should read.
    """
    allowed = allowed_bases()
    for one, name in dockerfiles.foreign_images(dockerfile):
        where = f"line {one.line} ({one.shown})"
        if "$" in name:
            raise Unmet(TITLE, f"{where}: no value says which image that is", hint="give the ARG a default")
        if _repository(name) not in allowed:
            raise Unmet(
                TITLE,
                f"{where}: {name!r} is not among the images that this course builds from",
                expected=f"an image of {', '.join(sorted(allowed))}",
                hint="a rule of this course: grading uses these images of Docker Hub and no others",
            )
        try:
            found = engine.api.inspect_image(name)
        except (NotFound, APIError):
            try:
                tag = name.partition("@")[2] or name.partition(":")[2] or "latest"
                engine.api.pull(re.split(r"[:@]", name)[0], tag=tag)
                found = engine.api.inspect_image(name)
            except NotFound as error:
                if "manifest" in str(error):  # the registry answered, and has no such tag
                    raise Unmet(TITLE, f"{where}: Docker Hub has no image {name!r}", hint="is the tag right?") from None
                not_graded_here(f"the base image {name} is not here and cannot be fetched")
            except engines.TROUBLE:
                not_graded_here(f"the base image {name} is not here and cannot be fetched")
        if SESSION_LABEL in ((found.get("Config") or {}).get("Labels") or {}):
            raise Unmet(TITLE, f"{where}: that is not a public image")
    stage = dockerfile.final
    while stage.parent:
        stage = stage.parent
    return None if stage.base == "scratch" else engine.api.inspect_image(stage.base)


def allowed_bases() -> set[str]:
    """The repositories whose images may be used in a build."""
    return {name.strip() for name in os.environ.get(BASES, DEFAULT_BASES).split(",") if name.strip()}


def _repository(name: str) -> str:
    """The repository of an image's name, in the short form that Docker Hub's own images have: "python"."""
    for prefix in ("docker.io/", "index.docker.io/", "registry-1.docker.io/"):
        name = name.removeprefix(prefix)
    name = name.removeprefix("library/").partition("@")[0]
    above, slash, last = name.rpartition("/")
    return f"{above}{slash}{last.partition(':')[0]}"


__all__ = ["BuildLimits", "Image", "build", "built", "expect_cached", "takes_wheels"]
