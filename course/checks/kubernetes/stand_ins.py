"""Images that stand in for a student's, so that manifests are judged without building it: `stand_in("2")`.

Each is a small server (programs/small_flights.py) on the image of the course's own programs, built once for a registry
and kept in it. Used by grade cells with `clusters.deploy(…, images={"late-flights": stand_in("1")})`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import tarfile
from pathlib import Path

from course.checks.core.expectations import not_graded_here
from course.checks.docker import engines, registries
from course.sandboxed import programs

REPOSITORY = "course-stand-in"
PROGRAM = Path(programs.__file__).with_name("small_flights.py")
DOCKERFILE = """
FROM {base}
COPY small_flights.py /srv/small_flights.py
RUN printf '#!/bin/sh\\nexec python -B -u /srv/small_flights.py "$@"\\n' > /usr/local/bin/gunicorn \\
    && chmod 755 /usr/local/bin/gunicorn \\
    && cp /srv/small_flights.py "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/gunicorn.py"
WORKDIR /srv
ENV STAND_IN_VERSION={version} STAND_IN_MIB={mebibytes} STAND_IN_BUSY={busy}
USER 10001
EXPOSE 8000
CMD ["gunicorn"]
"""


@functools.cache
def stand_in(version: str = "1", *, mebibytes: int = 0, busy: bool = False) -> str:
    """An image in the registry of the course that answers like the service of lab 03, and tells its version.

    Args:
        version: what `GET /model` says.
        mebibytes: how much memory it takes besides its own 20 or so.
        busy: whether it uses all the processor time that it gets.

    Returns:
        Its name, pinned to its digest.

    Raises:
        NotGradedHere: it is not in the registry yet, and there is no engine that could build it.
    """
    source = PROGRAM.read_bytes()
    settings = {"version": version, "mebibytes": mebibytes, "busy": "1" if busy else '""'}
    mark = hashlib.sha256(source + DOCKERFILE.encode() + repr(settings).encode()).hexdigest()[:16]
    name = f"{registries.address()}/{REPOSITORY}:{mark}"
    if known := registries.digest(name):
        return f"{name.rpartition(':')[0]}@{known}"
    engine = engines.engine()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        dockerfile = DOCKERFILE.format(base=engine.tools_image(), **settings).lstrip().encode()
        for path, content in (("Dockerfile", dockerfile), (PROGRAM.name, source)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    try:
        built = list(engine.api.build(fileobj=context, custom_context=True, rm=True, forcerm=True, decode=True))
    except engines.TROUBLE as error:
        not_graded_here(f"the stand-in for the image cannot be built: {engines.plain_message(error)}")
    image = next((line["aux"]["ID"] for line in built if "ID" in line.get("aux", {})), None)
    if image is None:
        said = next((line["error"] for line in built if "error" in line), "the engine names no image")
        not_graded_here(f"the stand-in for the image cannot be built: {said[:200]}")
    try:
        return registries.push(engine.api, image, name)
    finally:
        with contextlib.suppress(*engines.TROUBLE):
            engine.api.remove_image(image)
