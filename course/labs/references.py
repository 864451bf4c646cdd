"""Makes what a lab starts from when a student has nothing of their own: `given/reference/`. For `course reference`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from course import handover
from course.base.names import find
from course.labs import notebooks, release, running, source


def make(root: Path, labs: list[str] | None = None) -> list[Path]:
    """Run the solutions of the lab before each lab in a clean folder, and copy what they hand over.

    Args:
        root: the course's folder.
        labs: folders or numbers of labs in `solutions/`; by default all that start from another and have notebooks.

    Returns:
        The folders written.

    Raises:
        UnknownName: there is no such lab.
        HandoverError: it starts from no other.
        RunError: a solution does not run to its end.
        NotUsable: what came out is not what the lab takes; the one that was there stays.
    """
    made = []
    for name in _chosen(root, labs):
        rule = handover.rule(name)
        with tempfile.TemporaryDirectory(prefix="course-reference-") as workplace:
            folder = ship(root / "solutions" / rule.before, Path(workplace))
            target = root / "solutions" / name / handover.REFERENCE
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(workplace) / "reference"
            fresh.mkdir()
            handover.collect(folder / "shipped", fresh, rule.reference)
            _take_out_marks(fresh)
            handover.trial(fresh, rule)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(fresh, target)
        made.append(target)
    return made


def ship(lab: Path, workplace: Path) -> Path:
    """Run a lab's solutions in a clean copy of its folder.

    Returns:
        That copy, with `shipped/`.

    Raises:
        RunError: one does not run to its end.
    """
    folder = running.clean_copy(lab, workplace / lab.name)
    for path in source.sources(lab):
        try:
            running.execute(notebooks.read(path), folder)
        except running.RunError as error:
            raise running.RunError(f"{path}: {error}") from None
    return folder


def _take_out_marks(folder: Path) -> None:
    """Take the marks of solution regions out of shipped text; what they enclose stays."""
    for path in (path for path in folder.rglob("*") if path.suffix in (".py", ".md", ".yaml", ".html")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not any(mark in line for region in source.REGIONS for mark in region)]
        path.write_text("".join(kept), encoding="utf-8")


def _chosen(root: Path, labs: list[str] | None) -> list[str]:
    if labs:
        known = {*handover.HANDOVERS, *(lab.name for lab in source.labs(root))}  # it may have no notebooks yet
        return [find(lab, map(Path, sorted(known))).name for lab in labs]
    return [lab.name for lab in release.choose(root, None) if lab.name in handover.HANDOVERS]
