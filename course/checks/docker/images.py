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

from course.checks.core.expectations import Unmet, not_graded_here
from course.checks.core.sessions import SESSION_LABEL
from course.checks.docker import classic_builder, dockerfiles, engines
from course.checks.docker.built_images import Image
from course.checks.docker.context_policy import WHEELS
from course.checks.docker.contexts import Context
from course.checks.docker.engines import EngineSession
from course.checks.docker.image_builder import TITLE, BuildLimits, ImageBuild

BASES = "COURSE_BASE_IMAGES"  # repositories from which a missing base image may be fetched, with commas between
DEFAULT_BASES = "python,debian,ubuntu,alpine"


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
        context: what :func:`contexts.context` returned.
        limits: what the build may use.
        network: whether the proxy to package indexes is there.
        wheels: files for the folder wheels/ of the context, by name, for Dockerfiles that install without an index; see
            :func:`wheels.collect`. Others do not get them.
        arguments: values for the Dockerfile's ARGs, by name.
        again: build it once more, without the cache.

    Raises:
        NotGradedHere: no engine answers, a base image cannot be pulled, or only BuildKit could build it.
        Unmet: it cannot be built, or exceeds a limit; the message names the line.
    """
    limits = limits or BuildLimits()
    dockerfile = context.parsed
    engine = engines.engine()
    translated = classic_builder.translate(dockerfile, engine.labels, context.sent)
    more = {"Dockerfile": translated.text.encode(), **translated.files}
    if takes_wheels(context):
        more |= {f"{WHEELS}/{name}": data for name, data in (wheels or {}).items()}
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
            attempt = ImageBuild(engine, context, translated, limits, base)
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


_built: dict[tuple[Any, ...], Image | Unmet] = {}


def _bases(engine: EngineSession, dockerfile: dockerfiles.Dockerfile) -> dict[str, Any] | None:
    """Pull the base images that are missing; the engine's details of the last stage's, None for scratch."""
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


__all__ = ["BuildLimits", "Image", "build", "takes_wheels"]
