"""Makes what a lab starts from when a student has nothing of their own: `given/reference/`. For `course reference`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from course.labs import description, notebooks, release, running, source, trials
from course.labs.description import DescriptionError, Origin


def make(root: Path, labs: list[str] | None = None) -> list[Path]:
    """Run the solutions of the lab before each lab in a clean folder, and copy what they hand over.

    Args:
        root: the course's folder.
        labs: folders or numbers of labs in `solutions/`; by default all that start from another.

    Returns:
        The folders written.

    Raises:
        UnknownName: there is no such lab.
        DescriptionError: it starts from no other, or inherits a file that is no longer shipped.
        RunError: a solution does not run to its end.
        NotUsable: what came out is not what the lab takes; the one that was there stays.
    """
    made = []
    for lab, origin in _chosen(root, labs):
        with tempfile.TemporaryDirectory(prefix="course-reference-") as workplace:
            folder = ship(root / "solutions" / origin.lab, Path(workplace))
            fresh = Path(workplace) / "reference"
            fresh.mkdir()
            trials.collect(folder / "shipped", fresh, origin.reference)
            _take_out_marks(fresh)
            trials.trial(fresh, origin)
            made.append(store(fresh, lab))
    return made


def store(fresh: Path, lab: Path) -> Path:
    """Put a reference in the place of the lab's old one, without the files that are equal to those that it inherits.

    Args:
        fresh: the whole reference.
        lab: a folder of `solutions/`.

    Returns:
        The folder written.

    Raises:
        DescriptionError: the lab inherits a file that is not in the reference.
    """
    files = {path.relative_to(fresh).as_posix(): path for path in sorted(fresh.rglob("*")) if path.is_file()}
    inherited = description.inherited(lab)
    if gone := sorted(inherited.keys() - files.keys()):
        raise DescriptionError(
            f"{lab.name}/{description.FILE}: starts_from.inherits: it takes {gone[0]} from an earlier lab's reference, "
            "and the solutions ship no such file; name the files and folders that are still the same"
        )
    target = lab / description.REFERENCE
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, path in files.items():
        if name in inherited and inherited[name].read_bytes() == path.read_bytes():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
    return target


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


def _chosen(root: Path, labs: list[str] | None) -> Iterator[tuple[Path, Origin]]:
    for lab in release.choose(root, labs):
        found = description.find(lab)
        if found is not None and found.starts_from is not None:
            yield lab, found.starts_from
        elif labs:
            raise DescriptionError(f"the lab {lab.name!r} starts from no other lab, so it has no reference to make")
