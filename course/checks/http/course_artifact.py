"""The course's own artifact, swapped in where a service is judged: `course_artifact()`, `service_with(artifact)`.

A student's artifact cannot be what their service is measured by: a constant model would agree with a service that
returns a constant. This one has the form, files and features of lab 03's reference, and another model, threshold and
digest. `course.labs.course_artifact` makes the archive.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course.checks.core import processes
from course.checks.core.expectations import Unmet
from course.checks.http.contracts import ArtifactModel, Model
from course.checks.http.services import Service, service
from course.checks.model.labelled import Labelled, labelled

ARCHIVE = Path(__file__).with_name("course_artifact.zip")
THRESHOLD = 0.2716
VARIABLE = "LATE_FLIGHTS_ARTIFACT"  # where wsgi.py and production.py look for the artifact's folder


def course_artifact(threshold: float = THRESHOLD) -> CourseArtifact:
    """The course's artifact, perhaps with another threshold in its metrics.json.

    Args:
        threshold: the probability from which a service warns.
    """
    files = dict(_files())
    metrics = json.loads(files["metrics.json"]) | {"threshold": threshold}
    files["metrics.json"] = json.dumps(metrics, indent=2).encode() + b"\n"
    return CourseArtifact(files, threshold)


def measure(name: str = "artifact") -> Model:
    """The artifact by which a service is judged: the shipped one if its model ranks flights, else the course's.

    So who ships a model that knows nothing gains nothing by it, and loses no more than what is about that model.

    Args:
        name: the shipped artifact, below the folder of shipped files.
    """
    shipped = ArtifactModel(name)
    try:
        shipped.must_rank(unseen_flights())
    except Unmet:
        return course_artifact()
    return shipped


@functools.cache
def unseen_flights() -> Labelled:
    """Flights of November, which arrived, and by which no model of the course is fitted."""
    return labelled("2013-11-01", "2013-12-01").sample(2000, seed=11)


def service_with(
    artifact: Model,
    app: str = "wsgi:app",
    *,
    env: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    **options: Any,
) -> Service:
    """A shipped service, started with an artifact: the course's takes the place of the shipped one.

    Args:
        artifact: of :func:`course_artifact`, or a shipped one, with which the service starts anyway.
        app, env, files, options: as for :func:`service`.
    """
    if not isinstance(artifact, CourseArtifact):
        return service(app, env=env, files=files, **options)
    more = {**artifact.under("course_artifact"), **(files or {})}
    return service(app, env={VARIABLE: "{scratch}/course_artifact", **(env or {})}, files=more, **options)


class CourseArtifact(Model):
    """The course's artifact; :meth:`probabilities` and :meth:`json` are as those of a shipped one.

    Attributes:
        files: its files, name → content; SHA256SUMS fits them.
        threshold: what its metrics.json holds.
    """

    def __init__(self, files: Mapping[str, bytes], threshold: float) -> None:
        super().__init__("the course's artifact")
        others = {name: content for name, content in files.items() if name != "SHA256SUMS"}
        self.files = {**others, "SHA256SUMS": sums(others)}
        self.threshold = threshold
        self._written: Path | None = None

    @property
    def folder(self) -> Path:
        """A folder of this machine that holds its files, until nobody uses it any more."""
        if self._written is None:
            folder = Path(tempfile.mkdtemp(prefix="course-artifact-"))
            weakref.finalize(self, processes.remove, folder)
            folder.chmod(0o755)  # a sandboxed process has another user
            for name, content in self.files.items():
                (folder / name).write_bytes(content)
                (folder / name).chmod(0o644)
            self._written = folder
        return self._written

    def under(self, name: str) -> dict[str, str | bytes]:
        """Its files in a folder of some name, as :func:`service` takes files."""
        return {f"{name}/{file}": content for file, content in self.files.items()}

    def read(self, name: str) -> bytes:
        """The content of one of its files."""
        return self.files[name]

    def json(self, name: str) -> Any:
        """One of its JSON files, as plain data."""
        return json.loads(self.read(name))


def sums(files: Mapping[str, bytes]) -> bytes:
    """What SHA256SUMS says of files, as the program sha256sum reads it."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    return "".join(lines).encode()


@functools.cache
def _files() -> dict[str, bytes]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
