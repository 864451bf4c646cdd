"""Runs the whole course as one student would: each lab starts from what the lab before shipped.

Used by `course end-to-end`. It runs the solutions, lab after lab, in a folder of its own that then holds each artifact,
from the table of flights to the manifests, and writes one page that shows each of them with its checks and times.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course.base import atomic
from course.grading.reports import pages
from course.grading.reports.pages import Table, points
from course.labs import description, notebooks, release, running, source
from course.labs.running import Graded

PAGE = "index.html"
STARTS = "This lab starts from "


@dataclass(frozen=True)
class ShippedArtifact:
    """One thing that a notebook shipped: a file, or a folder as a whole.

    Attributes:
        name: as it stands in the lab's `shipped/`.
        size: in bytes.
        digest: SHA-256 of its files with their names.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class NotebookRun:
    """One notebook that was run.

    Attributes:
        lab: the lab's folder name.
        notebook: the path of its source.
        title: its first heading.
        seconds: how long it took.
        graded: what its grade cells earned.
        artifacts: what it shipped, new or changed.
        start: the sentence that says what it started from, if it starts from something.
    """

    lab: str
    notebook: Path
    title: str
    seconds: float
    graded: list[Graded] = field(default_factory=list)
    artifacts: list[ShippedArtifact] = field(default_factory=list)
    start: str = ""

    @property
    def by_machine(self) -> list[Graded]:
        """The graded cells that checks judge; the others are read by a person."""
        return [cell for cell in self.graded if cell.judgement.result is not None]

    @property
    def score(self) -> float:
        return sum(cell.judgement.score or 0 for cell in self.by_machine)

    @property
    def worth(self) -> float:
        return sum(cell.judgement.points for cell in self.by_machine)

    @property
    def unjudged(self) -> list[Graded]:
        """Graded cells that could not be judged here, as for want of an engine."""
        return [cell for cell in self.by_machine if cell.judgement.score is None]


def run(root: Path, workplace: Path, labs: list[str] | None = None) -> Iterator[NotebookRun]:
    """Run the solutions of all labs in order, each from what the one before shipped.

    Args:
        root: the course's folder.
        workplace: an empty folder, or none yet; it keeps a folder for each lab, with its `shipped/`.
        labs: folders or numbers of labs; by default all that have notebooks.

    Yields:
        Each notebook when it has run.

    Raises:
        ReleaseError: there is no such lab.
        RunError: a notebook does not run to its end.
    """
    for lab in release.choose(root, labs):
        folder = running.clean_copy(lab, workplace / lab.name)
        before: dict[str, str] = {}
        for path in source.sources(lab):
            notebook = notebooks.read(path)
            began = time.monotonic()
            try:
                done = running.execute(notebook, folder)
            except running.RunError as error:
                raise running.RunError(f"{lab.name}/{path.name}: {error}") from None
            seconds = time.monotonic() - began
            notebooks.write(done, folder / path.name)
            after = artifacts(folder / "shipped")
            new = [one for one in after if before.get(one.name) != one.digest]
            before = {one.name: one.digest for one in after}
            graded = running.judged(done, path.name)
            yield NotebookRun(lab.name, path, _title(notebook), seconds, graded, new, start(done))


def artifacts(shipped: Path) -> list[ShippedArtifact]:
    """What lies in a folder of shipped files, a folder in it counted as one."""
    found = []
    for place in sorted(shipped.iterdir()) if shipped.is_dir() else []:
        files = sorted(
            path for path in [place, *place.rglob("*")] if path.is_file() and "__pycache__" not in path.parts
        )
        digest, size = hashlib.sha256(), 0
        for path in files:
            data = path.read_bytes()
            size += len(data)
            digest.update(f"{path.relative_to(shipped).as_posix()}\0{len(data)}\0".encode() + data)
        found.append(ShippedArtifact(place.name + "/" * place.is_dir(), size, digest.hexdigest()))
    return found


def broken(runs: list[NotebookRun]) -> list[str]:
    """What is not as it should be: points that were lost, and labs that did not start from the one before."""
    found = []
    ran = {run.lab for run in runs}
    for run in runs:
        for cell in run.by_machine:
            if cell.judgement.score is not None and cell.judgement.score < cell.judgement.points:
                earned = points(cell.judgement.score, cell.judgement.points)
                found.append(f"{run.lab}/{run.notebook.name}: {cell.grade_id} earned {earned}")
        lab = description.find(run.notebook.parent)
        origin = lab.starts_from if lab else None
        if origin is not None and origin.lab in ran and run.start and "your own work" not in run.start:
            found.append(f"{run.lab}/{run.notebook.name}: {run.start}")
    return found


def write(runs: list[NotebookRun], workplace: Path) -> Path:
    """Write the page about the run.

    Returns:
        index.html in the workplace.
    """
    rows = [
        [
            f"{run.lab} / {run.title}",
            ", ".join(artifact.name for artifact in run.artifacts),
            points(run.score, run.worth),
            len(run.unjudged),
            round(run.seconds, 1),
        ]
        for run in runs
    ]
    text = pages.render(
        "course_run.html.j2",
        "The whole course, from data to cluster",
        labs=len({run.lab for run in runs}),
        seconds=sum(run.seconds for run in runs),
        score=sum(run.score for run in runs),
        worth=sum(run.worth for run in runs),
        problems=broken(runs),
        overview=Table("Notebook by notebook", ["Notebook", "Ships", "Points", "Not graded here", "Seconds"], rows),
        runs=[_shown(run) for run in runs],
    )
    path = workplace / PAGE
    atomic.write(path, text)
    return path


def _shown(run: NotebookRun) -> dict[str, Any]:
    """What the page shows of a notebook."""
    artifacts = [(artifact.name, _size(artifact.size), artifact.digest[:16]) for artifact in run.artifacts]
    return {
        "lab": run.lab,
        "title": run.title,
        "seconds": run.seconds,
        "start": run.start,
        "artifacts": Table("What it shipped", ["Artifact", "Size", "SHA-256 begins"], artifacts),
        "questions": [_question(cell) for cell in run.by_machine],
    }


def _question(cell: Graded) -> dict[str, Any]:
    judgement, result = cell.judgement, cell.judgement.result
    return {
        "title": result.title if result else cell.grade_id,
        "earned": "not graded here" if judgement.score is None else points(judgement.score, judgement.points),
        "checks": [(check.word, check.title) for check in result.checks] if result else [],
    }


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _title(notebook: NotebookNode) -> str:
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")


def start(notebook: NotebookNode) -> str:
    """The sentence in which an executed notebook says what it starts from; empty where it says nothing."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for line in str(output.get("text", "")).splitlines():
                if line.startswith(STARTS):
                    return line
    return ""
