"""From `solutions/` to `labs/` with nbgrader's generate step, in normal form. Used by `course release`."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.converters import GenerateAssignment, NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ComputeChecksums,
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    NbGraderPreprocessor,
    SaveCells,
)
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader
from traitlets.log import get_logger

from course.base import atomic
from course.base.errors import UserError
from course.base.names import LAB, find
from course.checks.core.loading import FOLDER
from course.labs import description, notebooks, source
from course.labs.stubs import ClearShippedSolutions


class ReleaseError(UserError):
    """A lab cannot be released; the message says what to mend."""


class NormalForm(NbGraderPreprocessor):
    """Bring a notebook into normal form, so that nbgrader's own command writes the same bytes as ours."""

    def preprocess(self, nb: NotebookNode, resources):
        """Normalise one notebook."""
        return notebooks.normalise(nb), resources


class ReleaseQuestions(NbGraderPreprocessor):
    """Write the questions of a notebook to the released lab, without their hidden checks.

    nbgrader copies no folder `checks/` itself: CourseDirectory.ignore names it, for hidden checks must not travel.
    """

    def preprocess(self, nb: NotebookNode, resources):
        """Write the questions of one notebook; it is not changed."""
        directory = CourseDirectory(config=self.config)
        lab = resources["nbgrader"]["assignment"]
        here, there = (
            Path(directory.format_path(folder, ".", lab), FOLDER)
            for folder in (directory.source_directory, directory.release_directory)
        )
        for cell in nb.cells:
            if notebooks.is_graded(cell):
                there.mkdir(parents=True, exist_ok=True)
                name = f"{notebooks.grade_id(cell)}.py"
                text = (here / name).read_text(encoding="utf-8")
                (there / name).write_text(source.released_question(text), encoding="utf-8", newline="\n")
        return nb, resources


# Checksums are taken of what students get: so the normal form comes before each of them.
PREPROCESSORS = [
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    ClearShippedSolutions,
    ClearOutput,
    CheckCellMetadata,
    NormalForm,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    NormalForm,
    ComputeChecksums,
    CheckCellMetadata,
    ReleaseQuestions,
]


@dataclass(frozen=True)
class Change:
    """One file in which `labs/` differs from what its source gives."""

    path: str
    kind: str
    diff: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: labs/{self.path}" + (f"\n{self.diff}" if self.diff else "")


def release(root: Path, labs: list[str] | None = None, *, check: bool = False) -> list[Change]:
    """Write `labs/` from `solutions/`, or only say what would change. Drafts are not released.

    Args:
        root: the course's folder.
        labs: names of labs; all by default, then also the files beside them such as index.md.
        check: change nothing.

    Returns:
        The files that changed, or would.

    Raises:
        ReleaseError: there is no `solutions/`, as in the students' zip.
        UnknownName: there is no such lab.
        ReleaseError: there is no solutions/, a lab that was named is a draft, or notebooks have problems, all named.
        DescriptionError: its lab.yaml is not as it should be.
    """
    if not (root / "solutions").is_dir():  # else all of labs/ would have no source, and would be removed
        raise ReleaseError(f"releasing is for instructors, who have the folder solutions/; there is none in {root}")
    chosen = choose(root, labs)
    drafts = [lab for lab in chosen if description.is_draft(lab)]
    if labs and drafts:
        raise ReleaseError(f"{drafts[0].name} is a draft; when it is ready, take `draft: true` out of its lab.yaml")
    chosen = [lab for lab in chosen if lab not in drafts]
    found = [f"{lab.name}/{problem}" for lab in chosen for problem in source.problems(lab)]
    if found:
        raise ReleaseError("not released, because of\n" + "\n".join(f"  {line}" for line in found))
    with tempfile.TemporaryDirectory(prefix="course-release-") as folder:
        fresh = Path(folder)
        for lab in chosen:
            generate(root, lab.name, fresh)
            leaks = survivors(lab, fresh / lab.name)
            if leaks:
                raise ReleaseError(
                    f"{lab.name}: not released, for these lines would reach students\n" + "\n".join(leaks)
                )
        if labs is None or not labs:
            _copy_beside(root / "solutions", fresh)
        changes = compare(fresh, root / "labs", None if not labs else [lab.name for lab in chosen])
        if not check:
            _apply(changes, fresh, root / "labs")
    return changes


def choose(root: Path, names: list[str] | None) -> list[Path]:
    """The folders of labs in `solutions/`, by name or by number; all by default.

    Raises:
        ReleaseError: there is no `solutions/`, as in the students' zip.
        UnknownName: there is no such lab.
    """
    if not (root / "solutions").is_dir():
        raise ReleaseError(f"this is a command for instructors: it needs solutions/, which {root} has not")
    known = source.labs(root)
    if not names:
        return known
    return [find(name, known) for name in names]


def generate(root: Path, lab: str, target: Path, *, gradebook: bool = False) -> None:
    """Run nbgrader's generate step for one lab.

    Args:
        root: the course's folder.
        lab: the name of a folder of `solutions/`.
        target: where the released folder appears.
        gradebook: also record the cells in the gradebook, which autograding needs.

    Raises:
        ReleaseError: nbgrader refused; its reason.
    """
    config = configuration(root)
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.release_directory = str(target)
    config.CourseDirectory.assignment_id = lab
    config.GenerateAssignment.no_database = not gradebook
    config.SaveCells.enabled = gradebook
    with messages() as lines:
        try:
            directory = CourseDirectory(config=config)
            GenerateAssignment(coursedir=directory, config=config, force=True).start()
        except (NbGraderException, SystemExit) as error:
            raise ReleaseError(f"{lab}: nbgrader could not release it\n" + ("\n".join(lines) or str(error))) from None


def register(root: Path, labs: list[str] | None = None) -> None:
    """Record the cells of labs, with their hidden tests, in the gradebook. Needed before autograding.

    Raises:
        ReleaseError: submissions are graded already and cells were added or removed since.
    """
    (root / "classroom").mkdir(exist_ok=True)
    for lab in choose(root, labs):
        with tempfile.TemporaryDirectory(prefix="course-release-") as folder:
            generate(root, lab.name, Path(folder), gradebook=True)


def configuration(root: Path) -> Config:
    """nbgrader's settings for a course: its nbgrader_config.py.

    Raises:
        ReleaseError: there is none.
    """
    path = root / "nbgrader_config.py"
    if not path.is_file():
        raise ReleaseError(f"there is no nbgrader_config.py in {root}; is this the course's folder?")
    config = PyFileConfigLoader(path.name, path=str(root)).load_config()
    if url := os.environ.get("COURSE_GRADEBOOK"):  # what a container is told, where it may look different from inside
        config.CourseDirectory.db_url = url
    return config


@contextlib.contextmanager
def messages() -> Iterator[list[str]]:
    """Keep nbgrader's log and warnings from the terminal; yield the lines of its warnings and errors."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = get_logger()
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers[:], logger.propagate = [Keep(logging.WARNING)], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbgrader's use of SQLAlchemy; nothing that an instructor can mend
            yield lines
    finally:
        logger.handlers[:], logger.propagate = before[0], before[1]


def survivors(lab: Path, released: Path) -> list[str]:
    """Lines of solutions, hidden tests and mark schemes that are also in the release, and are not given elsewhere.

    Args:
        lab: a folder of `solutions/`.
        released: the folder that students get.
    """
    secret, given = secrets(lab)
    found = []
    for path in sorted(released.rglob("*")):
        if not path.is_file() or source.is_generated(path, released):
            continue
        if path.suffix == ".ipynb":
            lines = [line for cell in notebooks.read(path).cells for line in cell.source.splitlines()]
        else:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        hits = {line.strip() for line in lines} & (secret - given)
        found += [f"  {path.name}: {line}" for line in sorted(hits)]
        found += [f"  {path.name}: {line}" for line in lines for r in source.REGIONS if r[0] in line or r[1] in line]
    return found


def secrets(lab: Path) -> tuple[set[str], set[str]]:
    """The lines of a lab that students must not get, and those that they do, both stripped."""
    secret: set[str] = set()
    given: set[str] = set()
    for path in source.sources(lab):
        for cell in notebooks.read(path).cells:
            inside, outside = source.regions(cell.source)
            if notebooks.is_a(cell, "solution") and not inside:
                magic = outside[:1] if notebooks.shipped_name(cell.source) else []
                inside, outside = outside[len(magic) :], magic
            secret.update(line.strip() for line in inside if len(line.strip()) >= 12)
            given.update(line.strip() for line in outside)
    for path in source.questions(lab):
        inside, outside = source.regions(path.read_text(encoding="utf-8"), (source.HIDDEN,))
        secret.update(line.strip() for line in inside if len(line.strip()) >= 12)
        given.update(line.strip() for line in outside)
    given |= {
        line.strip() for path in source.given_files(lab) for line in path.read_text(errors="replace").splitlines()
    }
    return secret, given


def compare(fresh: Path, there: Path, labs: list[str] | None) -> list[Change]:
    """What differs between a fresh release and the released folder; generated files are passed over."""
    new = _files(fresh, labs)
    old = _files(there, labs)
    changes = []
    for name in sorted(new.keys() | old.keys()):
        if name not in old:
            changes.append(Change(name, "missing"))
        elif name not in new:
            changes.append(Change(name, "has no source"))
        elif new[name].read_bytes() != old[name].read_bytes():
            changes.append(Change(name, "differs", _diff(old[name], new[name])))
    return changes


def _files(top: Path, labs: list[str] | None) -> dict[str, Path]:
    folders = [top] if labs is None else [top / lab for lab in labs]
    found = {}
    for folder in folders:
        for path in folder.rglob("*") if folder.is_dir() else []:
            if path.is_file() and not source.is_generated(path, top):
                found[path.relative_to(top).as_posix()] = path
    return found


def _diff(old: Path, new: Path) -> str:
    try:
        before, after = (path.read_text(encoding="utf-8").splitlines() for path in (old, new))
    except UnicodeDecodeError:
        return "  (not text)"
    lines = list(difflib.unified_diff(before, after, "as it is", "from its source", lineterm="", n=1))
    more = [f"  … {len(lines) - 20} more lines"] if len(lines) > 20 else []
    return "\n".join([*(f"  {line}" for line in lines[:20]), *more])


def _copy_beside(solutions: Path, target: Path) -> None:
    """Copy what stands in `solutions/` beside the labs: the index, pictures."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(solutions.rglob("*")) if solutions.is_dir() else []:
        place = path.relative_to(solutions)
        if path.is_file() and not LAB.fullmatch(place.parts[0]) and not source.is_generated(path, solutions):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".ipynb":
                notebooks.write(notebooks.read(path), target / place)
            else:
                shutil.copyfile(path, target / place)


def _apply(changes: list[Change], fresh: Path, there: Path) -> None:
    for change in changes:
        target = there / change.path
        if change.kind == "has no source":
            target.unlink()
            with contextlib.suppress(OSError):
                target.parent.rmdir()
            continue
        with atomic.replacing(target) as temporary:
            shutil.copyfile(fresh / change.path, temporary)
