"""Takes in the submissions of a whole class: a folder, or the zip that a platform exports. Used by `course collect`."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from course.base import names, texts, timestamps
from course.base.errors import UserError
from course.grading.intake import archives, class_lists, people, platforms, submissions
from course.grading.intake.archives import SubmissionError
from course.grading.intake.class_lists import ClassList
from course.grading.intake.platforms import ExportedName
from course.grading.intake.submissions import Submission
from course.labs import source
from course.student import handing_in, receipts
from course.student.handing_in import LEFT_OUT

if TYPE_CHECKING:
    from course.grading.gradebook.database import Gradebook

MAX_EXPORT_FILES = 20_000  # a whole class
MAX_EXPORT_BYTES = 20 * 2**30


class OneOfManyError(UserError):
    """An export holds many submissions, and none that can be told to be this student's."""


def collect(
    root: Path,
    inbox: Path,
    *,
    lab: str,
    class_list: Path | None = None,
    column: str | None = None,
    groups: Sequence[str] = (),
) -> tuple[list[Submission], dict[str, str]]:
    """Take in submissions of many: a folder, or the zip that a learning platform exports.

    In it is one zip or folder per student, named by the student's id, or as Moodle and Canvas name them. One that is
    refused does not stop the others. The time of each is that of the list; else its receipt's, where that fits and is
    not later; else its file's.

    Args:
        root: the course's folder.
        inbox: the folder or the zip.
        lab: the lab's name or number.
        class_list: the platform's list of the class; by default the one that was given for this lab before.
        column: of Canvas's gradebook, the header of the lab's column; by default the one that is named like the lab.
        groups: names of groups that Moodle wrote before the names of people, with a hyphen.

    Returns:
        What was taken in, and the reasons for what was not, by name.

    Raises:
        SubmissionError: there is no such folder, the zip is one student's work, or the list cannot be used.
        UnknownName: there is no such lab.
    """
    lab = names.find(lab, source.labs(root)).name
    given = use_list(root, lab, class_list, column) if class_list else class_lists.kept(root, lab)
    taken: list[Submission] = []
    with _opened(inbox, submissions.expected_notebooks(root, lab)) as (folder, refused):
        entries, directory, more = _entries(root, folder, lab, given, groups)
        works, unknown = _by_student(entries, directory)
        refused |= more | unknown
        for student, (found, paths) in sorted(works.items()):
            try:
                submission = _collect_one(root, student, paths, found, lab)
            except Exception as error:  # whatever one of them hands in, the others are taken in
                refused[paths[0].name] = _why(error)
            else:
                taken += [submission] if submission else []
    refused = {texts.printable(name): texts.printable(reason) for name, reason in sorted(refused.items())}
    class_lists.keep_refused(root, lab, refused)
    return taken, refused


def collect_student(
    root: Path,
    inbox: Path,
    *,
    lab: str,
    student: str,
    class_list: Path | None = None,
    column: str | None = None,
    groups: Sequence[str] = (),
) -> Submission:
    """Take in one student's work: a folder or a zip of it, or an export in which it is. The decision is remembered.

    Raises:
        SubmissionError: it is refused; or an export holds nothing, or several things, that are this student's.
        UnknownName: there is no such lab.
    """
    lab = names.find(lab, source.labs(root)).name
    wanted = submissions.expected_notebooks(root, lab)
    given = use_list(root, lab, class_list, column) if class_list else class_lists.kept(root, lab)
    own = platforms.readings(inbox.name)
    if not own and not any((inbox / name).exists() for name in wanted):
        with contextlib.suppress(SubmissionError), _opened(inbox, wanted) as (folder, _):
            entries, directory, _ = _entries(root, folder, lab, given, groups)
            if len(entries) > 1 or any(entries.values()):
                return _one_of_many(root, entries, directory, lab, student)
    work, more = _newest(list(_zips([inbox], wanted)), lab)
    submission = submissions.submit(root, work, lab=lab, student=student)
    own = own or platforms.readings(inbox.absolute().parent.name)  # Moodle puts each person's work into a folder
    if len(own) == 1:  # else it is not known which number is the person's
        people.Decisions.of(root).remember(lab, own[0], submission.student)
    return replace(submission, remarks=(*submission.remarks, *more))


def _one_of_many(
    root: Path, entries: dict[Path, list[ExportedName]], directory: people.Directory, lab: str, student: str
) -> Submission:
    """The work of one student in an export of many."""
    works, _ = _by_student(entries, directory)
    if student not in works:
        shown = [directory.described(one) for one in sorted(works)][:20]
        raise OneOfManyError(
            f"none of the {len(works)} submissions there is that of {student!r}. Name the file itself "
            f"(course collect LAB FILE --student {student}), or choose one of: {', '.join(shown) or 'nobody known'}"
        )
    found, paths = works[student]
    work, more = _newest(list(_zips(paths, submissions.expected_notebooks(root, lab))), lab)
    at = found.person.at if found and found.person else None
    submission = submissions.submit(root, work, lab=lab, student=student, at=at)
    if found and len(found.students) == 1:
        directory.decisions.remember(lab, found.label, submission.student)
    return replace(submission, remarks=(*submission.remarks, *more))


def full_name(root: Path, lab: str) -> str:
    """The name of a lab from its name or number.

    Raises:
        UnknownName: there is no such lab.
    """
    return names.find(lab, source.labs(root)).name


def missing(root: Path, lab: str) -> list[people.Described]:
    """Who is on the list of a lab, or in the gradebook where there is no list, and has handed in nothing for it.

    Raises:
        UnknownName: there is no such lab.
        ListError: the list that was kept cannot be read.
    """
    lab = names.find(lab, source.labs(root)).name
    return [who for who in roster(root, lab) if not who.at]


def roster(root: Path, lab: str) -> list[people.Described]:
    """Everybody who is on the list of a lab, in the gradebook, or has handed in something for it, by id.

    Raises:
        UnknownName: there is no such lab.
        ListError: the list that was kept cannot be read.
    """
    lab = names.find(lab, source.labs(root)).name
    known, given = _roster(root), class_lists.kept(root, lab)
    top = root / "classroom" / "submitted"
    times = {path.parent.parent.name: path.read_text().strip() for path in top.glob(f"[!.]*/{lab}/{timestamps.FILE}")}
    listed = {given.students[person.number]: person for person in given.people} if given else {}
    found = []
    for student in sorted({*times, *(listed or known)}):
        who, person = known.get(student, {}), listed.get(student)
        name = f"{who.get('first_name') or ''} {who.get('last_name') or ''}".strip()
        found.append(
            people.Described(
                student,
                name or (person.name if person else ""),
                who.get("email") or "",
                who.get("lms_user_id") or (person.number if person else ""),
                times.get(student, ""),
                bool(person) or not given,
            )
        )
    return found


def known(root: Path, student: str) -> tuple[bool, list[str]]:
    """Whether the gradebook knows a student, or knows nobody yet; and whom it knows with an id or a name like that."""
    there = _roster(root)
    return student in there or not any(who["first_name"] or who["last_name"] for who in there.values()), [
        people.described(one, there) for one in people.like(student, there)
    ]


def use_list(root: Path, lab: str, path: Path, column: str | None = None) -> ClassList:
    """Read a platform's list, settle who is who, tell the gradebook of them, and keep the list for this lab.

    Raises:
        ListError: it cannot be used; nothing changed.
    """
    found = class_lists.read(path)
    found.column = class_lists.choose_column(found, lab, column)
    who = people.settle(found, _roster(root), people.Decisions.of(root), lab)
    with _gradebook(root) as book:
        book.add_students(who)
    class_lists.keep(root, lab, found)
    return found


def _entries(
    root: Path, folder: Path, lab: str, given: ClassList | None, groups: Sequence[str]
) -> tuple[dict[Path, list[ExportedName]], people.Directory, dict[str, str]]:
    """What lies in an export, with the ways in which each name can be read, and who is who; and what is refused."""
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name not in LEFT_OUT]
    platform = platforms.platform_of(path.name for path in paths)
    if given is not None and platform and platform != given.platform:
        raise SubmissionError(f"the list is {given.platform}'s, and the export {platform}'s; take both from one course")
    entries, refused = {}, {}
    for path in paths:
        readings = platforms.readings(path.name, platform) if platform else []
        if platform and not readings:
            refused[path.name] = f"it is not named as {platform} names what was handed in; take it in with --student"
        elif not readings or (readings[0].work and not readings[0].file.endswith(receipts.FILE)):
            entries[path] = readings
    roster = _roster(root) if platform or given else {}
    labels = [readings[0] for readings in entries.values() if readings]
    directory = people.Directory(lab, roster, people.Decisions.of(root), given, groups, labels)
    return entries, directory, refused


def _by_student(
    entries: dict[Path, list[ExportedName]], directory: people.Directory
) -> tuple[dict[str, tuple[people.Found | None, list[Path]]], dict[str, str]]:
    """What is whose; and the reasons why it cannot be told, by name."""
    works: dict[str, tuple[people.Found | None, list[Path]]] = {}
    refused = {}
    for path, readings in entries.items():
        try:
            if path.is_symlink():
                raise SubmissionError("it is a link; put the file itself here")
            found = directory.whose(readings) if readings else None
            for student in found.students if found else [_named_by_id(path)]:
                works.setdefault(student, (found, []))[1].append(path)
        except Exception as error:
            refused[path.name] = _why(error)
    return works, refused


def _why(error: Exception) -> str:
    """Why something was not taken in; of a fault of the course's own, where it is."""
    if isinstance(error, UserError | OSError):
        return str(error)
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name}, line {last.lineno}"
    return f"a fault of the course's program stopped it, please report it: {type(error).__name__}: {error} ({place})"


def _named_by_id(path: Path) -> str:
    student = unicodedata.normalize("NFC", path.name.removesuffix(".zip"))
    if handing_in.is_our_name(student):
        raise SubmissionError("its name does not say whose it is; rename it to the student's id, such as ada.zip")
    return student


def _collect_one(
    root: Path, student: str, paths: list[Path], found: people.Found | None, lab: str
) -> Submission | None:
    work, more = _newest(list(_zips(paths, submissions.expected_notebooks(root, lab))), lab)
    listed = found.person.at if found and found.person else None
    at = listed or archives.newest_time(work)
    if submissions.is_taken_in(root, student, lab, at):
        return None
    submission = submissions.take_in(root, work, lab, student, at, by_receipt=listed is None, newer=True)
    if submission is None:
        return None
    if found and not found.known:
        more.append(
            f"{found.label.platform} calls this person {found.label.person!r}, whom the gradebook does not know"
        )
    if found and found.label.late:
        more.append("Canvas marks it as late")
    return replace(submission, remarks=(*submission.remarks, *more))


def _zips(paths: list[Path], wanted: list[str]) -> Iterator[Path]:
    """What one student handed in: zips, those in folders that hold no notebooks themselves, else the folder or file."""
    found = []
    for path in paths:
        own = path.is_dir() and not any((path / name).exists() for name in wanted)
        inner = [file for file in path.glob("*.zip") if file.is_file() and not file.is_symlink()] if own else []
        found += sorted(inner) or [path]
    zips = [path for path in found if path.is_dir() or zipfile.is_zipfile(path)]
    yield from zips or found


def _newest(works: list[Path], lab: str) -> tuple[Path, list[str]]:
    """Of several things that one student handed in, the one with the newest receipt of this lab, and what to say of it.

    Raises:
        SubmissionError: their receipts do not tell.
    """
    if len(works) == 1:
        return works[0], []
    times = {work: receipt.time for work in works if (receipt := _receipt_in(work)) and receipt.lab == lab}
    newest = [work for work, time in times.items() if time == max(times.values())]
    if len(newest) != 1:
        raise SubmissionError(
            f"there are {len(works)} of them ({', '.join(path.name for path in works[:4])}), and their receipts do not "
            "say which is the newest; take in the right one: course collect LAB FILE --student ID"
        )
    return newest[0], [f"of {len(works)}, {newest[0].name} was taken, whose receipt is the newest"]


def _receipt_in(work: Path) -> receipts.Receipt | None:
    """The receipt in a zip, if it has one that can be read."""
    try:
        with archives.opened(work) as archive:
            member = next(one for one in archive.infolist() if PurePosixPath(one.filename).name == receipts.FILE)
            with archives.open_member(archive, member) as file:
                return receipts.read(file.read(receipts.MAX_BYTES + 1))
    except (StopIteration, OSError, receipts.ReceiptError, SubmissionError, *archives.DAMAGED):
        return None


@contextlib.contextmanager
def _opened(inbox: Path, wanted: list[str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder of submissions, unpacked where it is a zip; and why some of it was left out, by name."""
    if inbox.is_dir():
        yield inbox, {}
        return
    if not zipfile.is_zipfile(inbox):
        raise SubmissionError(
            f"{inbox} is not a folder, nor a zip; put one zip or folder per student in it, named by the student's id"
        )
    with tempfile.TemporaryDirectory(prefix="course-collect-") as place:
        folder = Path(place, "export")
        refused = archives.unpack_export(inbox, folder, _owner, files=MAX_EXPORT_FILES, total_bytes=MAX_EXPORT_BYTES)
        entries = list(folder.iterdir())
        if len(entries) == 1 and entries[0].is_dir() and not platforms.readings(entries[0].name):
            folder = entries[0]
        if any((folder / name).exists() for name in wanted):
            raise SubmissionError(f"{inbox.name} is the work of one student; say whose it is: --student ID")
        yield folder, refused


def _owner(places: Sequence[Path]) -> Callable[[Path], str]:
    """Whose something in an export is: the name at its top, or below the one folder that an archive has around all."""
    tops = {place.parts[0] for place in places}
    around = len(tops) == 1 and all(len(place.parts) > 1 for place in places)
    level = int(around and not platforms.readings(next(iter(tops))))
    return lambda place: place.parts[level]


def _roster(root: Path) -> people.Roster:
    """Everybody in the gradebook by id; empty where there is none yet."""
    from course.labs import release  # it takes seconds, and few calls need it

    course = release.configuration(root).CourseDirectory
    own = root / "classroom" / "gradebook.db"
    if course.db_url == f"sqlite:///{own}" and not own.is_file():
        return {}
    with _gradebook(root) as book:
        return book.students()


@contextlib.contextmanager
def _gradebook(root: Path) -> Iterator[Gradebook]:
    from course.grading.gradebook import database
    from course.labs import release  # they take seconds, and few calls need them

    course = release.configuration(root).CourseDirectory
    with database.Gradebook(course.db_url, course.course_id) as book:
        yield book
