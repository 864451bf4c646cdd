"""How work comes in: a folder or a zip per student, copied with care to classroom/submitted/. Used by `course collect`.

What students hand in is hostile until proven otherwise: nothing is extracted outside its folder, no link or special
file is taken, and the number and size of files are bounded. A receipt is compared with what came.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from course.grading.intake import platforms
from course.labs import notebooks, source
from course.student import handing_in
from course.student.handing_in import LEFT_OUT, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Receipt

MAX_EXPORT_FILES = 20_000  # a whole class
MAX_EXPORT_BYTES = 20 * 2**30
MAX_RATIO = 200  # a file that unpacks to more than 200 times its size is no coursework
STUDENT = re.compile(r"\w([\w .'@+-]{0,62}[\w.@+-])?")  # letters of any script; nothing that a pattern of files means
CLOCKS = dt.timedelta(minutes=5)  # by how much two machines may disagree
STAMP = "timestamp.txt"


class SubmissionError(Exception):
    """A submission is refused; the message says why and what to do."""


@dataclass(frozen=True)
class Submission:
    """A submission that was taken in.

    Attributes:
        student, lab: whose, and for what.
        folder: where it is.
        kept: where the one before it was moved to, if there was one.
        missing: notebooks of the lab that it does not hold.
        receipt: the code of the receipt that came with it, if one did.
        remarks: what the instructor should know, each half a sentence.
    """

    student: str
    lab: str
    folder: Path
    kept: Path | None
    missing: tuple[str, ...]
    receipt: str | None = None
    remarks: tuple[str, ...] = ()


def submit(root: Path, work: Path, *, lab: str, student: str, at: dt.datetime | None = None) -> Submission:
    """Take in one student's work for one lab. An earlier submission is kept under classroom/earlier/.

    Args:
        root: the course's folder.
        work: a folder with the lab's notebooks in it, or a zip of one.
        lab: the lab's name or number, such as 01_python_model.
        student: the student's id: letters of any script, digits, spaces and . _ - @ + '.
        at: when it was handed in; by default what its receipt says, else now.

    Raises:
        SubmissionError: it is refused; nothing changed.
    """
    return _take_in(root, work, lab, student, at or dt.datetime.now(dt.UTC), by_receipt=at is None)


def _take_in(
    root: Path, work: Path, lab: str, student: str, at: dt.datetime, *, by_receipt: bool, newer: bool = False
) -> Submission | None:
    """Take in one student's work; None when `newer` and one that is as new is here already."""
    student = unicodedata.normalize("NFC", student)  # the same name may come in two spellings from two systems
    if not STUDENT.fullmatch(student):
        raise SubmissionError(
            f"a student's id is letters, digits, spaces and . _ - @ + ' (at most 64); got {student!r}"
        )
    lab = full_name(root, lab)
    wanted = expected_notebooks(root, lab)
    at = at.astimezone(dt.UTC)
    place = root / "classroom" / "submitted" / student / lab
    place.parent.mkdir(parents=True, exist_ok=True)
    with _gone_if_empty(place.parent), tempfile.TemporaryDirectory(dir=place.parent, prefix=".incoming-") as incoming:
        fresh = Path(incoming) / lab
        if work.is_dir():
            _copy(work, fresh)
        elif zipfile.is_zipfile(work):
            _unpack(work, Path(incoming) / "unpacked")
            _copy(Path(incoming) / "unpacked", fresh)
        elif work.exists():
            raise SubmissionError(f"{work.name} is neither a folder nor a zip file; what Hand in makes is a zip")
        else:
            raise SubmissionError(f"{work} does not exist")
        fresh = _top(fresh, wanted)
        here = {path.name for path in fresh.glob("*.ipynb")}
        if not here & set(wanted):
            raise SubmissionError(
                f"{work.name} holds none of the notebooks of {lab}, {', '.join(wanted)}; submit the lab's folder itself"
            )
        for name in sorted(here):
            try:
                notebooks.read(fresh / name)
            except notebooks.NotebookError as error:
                raise SubmissionError(f"{str(error).replace(str(fresh) + os.sep, '')}; it was not taken in") from None
        receipt, remarks = _compare(fresh, lab)
        if by_receipt and receipt and not remarks and receipt.time <= at + CLOCKS:
            at = min(at, receipt.time)
        if newer and _is_taken_in(root, student, lab, at):
            return None
        if receipt and (others := _with_receipt(root, lab, receipt.code, student)):
            remarks.append(f"its receipt is the same as that of {', '.join(others)}: one zip, handed in by several")
        (fresh / STAMP).write_text(at.strftime("%Y-%m-%d %H:%M:%S.%f UTC") + "\n")
        kept = _keep(root, place, student, lab)
        os.replace(fresh, place)
    missing = tuple(name for name in wanted if name not in here)
    return Submission(student, lab, place, kept, missing, receipt.code if receipt else None, tuple(remarks))


@contextlib.contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder in the end when nothing was put into it, as when a submission is refused."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def collect(root: Path, inbox: Path, *, lab: str) -> tuple[list[Submission], dict[str, str]]:
    """Take in submissions of many: a folder, or the zip that a learning platform exports.

    In it is one zip or folder per student, named by the student's id, or as Moodle and Canvas name them. One that is
    refused does not stop the others. The time of each is its receipt's, where that fits and is not later; else its
    file's.

    Returns:
        What was taken in, and the reasons for what was not, by name.

    Raises:
        SubmissionError: there is no such folder or lab, or the zip is one student's work.
    """
    lab = full_name(root, lab)
    taken, refused = [], {}
    with _opened(inbox, expected_notebooks(root, lab)) as folder:
        paths = [
            path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name not in LEFT_OUT
        ]
        labels = {path: platforms.label(path.name) for path in paths}
        twins = platforms.twins(filter(None, labels.values()))
        roster = _roster(root) if any(labels.values()) else {}
        for path, one in labels.items():
            if one and (not one.work or one.file.endswith(handing_in.RECEIPT)):
                continue
            try:
                submission = _collect_one(root, path, one, lab, roster, twins)
            except (SubmissionError, platforms.UnknownPerson, OSError) as error:
                refused[path.name] = str(error)
            else:
                taken += [submission] if submission else []
    return taken, refused


def _collect_one(
    root: Path, path: Path, one: platforms.Label | None, lab: str, roster: dict, twins: set[str]
) -> Submission | None:
    if path.is_symlink():
        raise SubmissionError("it is a link; put the file itself here")
    if one is None:
        student = unicodedata.normalize("NFC", path.name.removesuffix(".zip"))
        if handing_in.is_our_name(student):
            raise SubmissionError("its name does not say whose it is; rename it to the student's id, such as ada.zip")
    elif one.person in twins:
        raise SubmissionError(
            f"two people are called {one.person!r}; take in each: course collect LAB FILE --student ID"
        )
    else:
        student = platforms.whose(one, roster)
    work, more = _zip_inside(path, expected_notebooks(root, lab))
    at = _time_of(work)
    if _is_taken_in(root, student, lab, at):
        return None
    submission = _take_in(root, work, lab, student, at, by_receipt=True, newer=True)
    if submission is None:
        return None
    if one and roster and student not in roster:
        more.append(f"{one.platform} calls this person {one.person!r}, whom the gradebook does not know")
    if one and one.late:
        more.append("Canvas marks it as late")
    return replace(submission, remarks=(*submission.remarks, *more))


def _zip_inside(path: Path, wanted: list[str]) -> tuple[Path, list[str]]:
    """The zip in a student's folder, as platforms export it, where the notebooks themselves are not there."""
    if not path.is_dir() or any((path / name).exists() for name in wanted):
        return path, []
    inner = sorted(file for file in path.glob("*.zip") if file.is_file() and not file.is_symlink())
    if not inner:
        return path, []
    return inner[-1], [f"of {len(inner)} zips, {inner[-1].name} was taken"] if len(inner) > 1 else []


def _time_of(work: Path) -> dt.datetime:
    """A file's time; a folder's is that of its newest file."""
    times = [
        os.lstat(os.path.join(folder, name)).st_mtime
        for folder, _, names in os.walk(work)
        for name in names[:MAX_FILES]
    ]
    return dt.datetime.fromtimestamp(max(times, default=work.stat().st_mtime), dt.UTC)


@contextlib.contextmanager
def _opened(inbox: Path, wanted: list[str]) -> Iterator[Path]:
    """The folder of submissions, unpacked where it is a zip."""
    if inbox.is_dir():
        yield inbox
        return
    if not zipfile.is_zipfile(inbox):
        raise SubmissionError(
            f"{inbox} is not a folder, nor a zip; put one zip or folder per student in it, named by the student's id"
        )
    with tempfile.TemporaryDirectory(prefix="course-collect-") as place:
        folder = Path(place, "export")
        _unpack(inbox, folder, _Budget(MAX_EXPORT_FILES, MAX_TOTAL_BYTES, MAX_EXPORT_BYTES))
        entries = list(folder.iterdir())
        if len(entries) == 1 and entries[0].is_dir() and platforms.label(entries[0].name) is None:
            folder = entries[0]
        if any((folder / name).exists() for name in wanted):
            raise SubmissionError(f"{inbox.name} is the work of one student; say whose it is: --student ID")
        yield folder


def full_name(root: Path, lab: str) -> str:
    """A lab's full name, of its name or number.

    Raises:
        SubmissionError: there is no such lab.
    """
    known = [folder.name for folder in source.labs(root)]
    found = [name for name in known if lab == name or lab.zfill(2) == name[:2]]
    if not found:
        raise SubmissionError(f"there is no lab {lab!r}; there are: {', '.join(known) or 'none'}")
    return found[0]


@dataclass(frozen=True)
class Verdict:
    """Whether work is what its receipt says.

    Attributes:
        name: whose, or the file's name.
        receipt: the receipt, if there is one that can be read.
        problems: what does not fit, each half a sentence.
    """

    name: str
    receipt: Receipt | None
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether there is a receipt and all is as it says."""
        return self.receipt is not None and not self.problems


def verify(root: Path, what: str, *, student: str | None = None) -> list[Verdict]:
    """Compare work with its receipt.

    Args:
        root: the course's folder.
        what: a zip or folder that a student handed in; or a lab, for all that was taken in.
        student: of a lab, only this student's.

    Raises:
        SubmissionError: there is no such work.
    """
    path = Path(what)
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="course-verify-") as place:
            folder = Path(place, "work")
            _unpack(path, folder)
            return [_verdict(path.name, folder)]
    if path.is_dir() and not (root / "solutions" / path.name).is_dir():
        return [_verdict(path.name, path)]
    lab = full_name(root, path.name)
    found = sorted((root / "classroom" / "submitted").glob(f"[!.]*/{lab}"))
    chosen = [folder for folder in found if student in (None, folder.parent.name)]
    if not chosen:
        raise SubmissionError(
            f"nothing of {student or 'anybody'} was taken in for {lab}; first: course collect {lab} FOLDER"
        )
    return [_verdict(folder.parent.name, folder) for folder in chosen]


def _verdict(name: str, folder: Path) -> Verdict:
    top = next((path.parent for path in sorted(folder.rglob(handing_in.RECEIPT))), folder)
    receipt, problems = _compare(top, None)
    return Verdict(name, receipt, tuple(problems) if receipt or problems else ("there is no receipt in it",))


def _compare(folder: Path, lab: str | None) -> tuple[Receipt | None, list[str]]:
    """The receipt that came with work, and how the work differs from it."""
    try:
        with os.fdopen(_open(folder / handing_in.RECEIPT, Path(handing_in.RECEIPT)), "rb") as file:
            receipt = handing_in.read_receipt(file.read(handing_in.MAX_RECEIPT_BYTES + 1))
    except SubmissionError:
        return None, []
    except handing_in.HandingInError as error:
        return None, [str(error)]
    if lab and receipt.lab != lab:
        return receipt, [f"its receipt is for {receipt.lab}"]
    changed = handing_in.differences(folder, receipt, (STAMP,))
    shown = ", ".join(changed[:3]) + (f", and {len(changed) - 3} more" if len(changed) > 3 else "")
    return receipt, [f"not as its receipt says: {shown}"] if changed else []


def _with_receipt(root: Path, lab: str, code: str, student: str) -> list[str]:
    """Who else handed in the very same receipt."""
    found = []
    for path in sorted((root / "classroom" / "submitted").glob(f"[!.]*/{lab}/{handing_in.RECEIPT}")):
        with contextlib.suppress(OSError, handing_in.HandingInError):
            same = handing_in.read_receipt(path.read_bytes()).code == code
            if same and path.parent.parent.name != student:
                found.append(path.parent.parent.name)
    return found


def _roster(root: Path) -> dict[str, dict[str, str]]:
    """Everybody in the gradebook by id; empty where there is none yet."""
    from course.grading.gradebook import database
    from course.labs import release  # they take seconds, and few calls need them

    course = release.configuration(root).CourseDirectory
    if (
        course.db_url == f"sqlite:///{root / 'classroom' / 'gradebook.db'}"
        and not (root / "classroom" / "gradebook.db").is_file()
    ):
        return {}
    with database.Ledger(course.db_url, course.course_id) as book:
        return book.students()


def expected_notebooks(root: Path, lab: str) -> list[str]:
    """The names of a lab's notebooks.

    Raises:
        SubmissionError: there is no such lab.
    """
    known = {folder.name: folder for folder in source.labs(root)}
    if lab not in known:
        raise SubmissionError(f"there is no lab {lab!r}; there are: {', '.join(known) or 'none'}")
    return [path.name for path in source.sources(known[lab])]


def _is_taken_in(root: Path, student: str, lab: str, at: dt.datetime) -> bool:
    stamp = root / "classroom" / "submitted" / student / lab / STAMP
    if not STUDENT.fullmatch(student) or not stamp.is_file():
        return False
    before = dt.datetime.strptime(stamp.read_text().strip(), "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=dt.UTC)
    return before >= at


def _keep(root: Path, place: Path, student: str, lab: str) -> Path | None:
    """Move the submission before this one out of the way, under the time at which it came."""
    if not place.exists():
        return None
    stamp = place / STAMP
    name = re.sub(r"[^0-9]", "", stamp.read_text())[:20] if stamp.is_file() else "undated"
    target = root / "classroom" / "earlier" / student / lab / name
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{name}-{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(place, target)
    return target


def _top(folder: Path, wanted: list[str]) -> Path:
    """The folder that holds the notebooks: a zip often has one folder around all."""
    for _ in range(4):
        if any((folder / name).exists() for name in wanted):
            break
        inner = [path for path in folder.iterdir() if path.is_dir()]
        if len(inner) != 1:
            break
        folder = inner[0]
    return folder


class _Budget:
    """Counts files and bytes while they come in."""

    def __init__(self, files: int | None = None, of_file: int | None = None, in_all: int | None = None) -> None:
        self.files = self.bytes = 0
        self.most = (files or MAX_FILES, of_file or MAX_FILE_BYTES, in_all or MAX_TOTAL_BYTES)

    def file(self, name: str) -> None:
        self.files += 1
        if self.files > self.most[0]:
            raise SubmissionError(f"it holds more than {self.most[0]} files; leave out environments and data")

    def add(self, name: str, size: int, of_file: int) -> None:
        self.bytes += size
        if of_file > self.most[1]:
            raise SubmissionError(f"{name} is larger than {self.most[1] >> 20} MiB")
        if self.bytes > self.most[2]:
            raise SubmissionError(f"it takes more than {self.most[2] >> 20} MiB; leave out environments and data")


def _copy(work: Path, target: Path) -> None:
    """Copy ordinary files; links and special files are refused."""
    budget = _Budget()
    target.mkdir(parents=True)
    for folder, folders, files in os.walk(work, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in folders:
            if Path(folder, name).is_symlink():
                raise SubmissionError(f"{Path(folder, name).relative_to(work)} is a link; submit the files themselves")
            (target / Path(folder, name).relative_to(work)).mkdir()
        for name in sorted(files):
            path = Path(folder, name)
            place = path.relative_to(work)
            if name in LEFT_OUT or name.endswith(".pyc"):
                continue
            descriptor = _open(path, place)
            with os.fdopen(descriptor, "rb") as file, (target / place).open("wb") as copy:
                budget.file(place.as_posix())
                _pour(file, copy, place.as_posix(), budget)


def _open(path: Path, place: Path) -> int:
    """Open an ordinary file without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        raise SubmissionError(f"{place} is a link or cannot be read; submit ordinary files") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SubmissionError(f"{place} is not an ordinary file")
    return descriptor


def _pour(file, copy, name: str, budget: _Budget) -> None:
    size = 0
    while block := file.read(2**20):
        size += len(block)
        budget.add(name, len(block), size)
        copy.write(block)


def _unpack(path: Path, target: Path, budget: _Budget | None = None) -> None:
    """Extract a zip file member by member, trusting neither its names nor the sizes that it states."""
    budget = budget or _Budget()
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = _member_place(member)
                if place is None:
                    continue
                budget.file(member.filename)
                if member.file_size > MAX_RATIO * max(member.compress_size, 1000):
                    raise SubmissionError(f"{member.filename} would unpack to {member.file_size / 2**20:.0f} MiB")
                (target / place).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as file, (target / place).open("xb") as copy:
                    _pour(file, copy, member.filename, budget)
                with contextlib.suppress(ValueError, OverflowError):  # its time may be no time
                    when = dt.datetime(*member.date_time).timestamp()
                    os.utime(target / place, (when, when))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SubmissionError(f"{path.name} is not a zip file that can be opened ({error}); zip it again") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise SubmissionError(f"{path.name} holds two things of the same name; zip it again") from None
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be unpacked: {error.strerror}") from None


def _member_place(member: zipfile.ZipInfo) -> Path | None:
    """Where a member goes, below the folder; None for folders and for what is left out."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise SubmissionError(f"the zip file names a place outside its folder: {name!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SubmissionError(f"{name} is a link or a special file; zip ordinary files")
    if member.is_dir() or any(part in LEFT_OUT for part in parts):
        return None
    return Path(*parts)
