"""Takes in the submissions of a whole class: a folder, or the zip that a platform exports. Used by `course collect`."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from course.base import names
from course.base.errors import UserError
from course.grading.intake import archives, platforms, submissions
from course.grading.intake.archives import IntakeLimits, SubmissionError
from course.grading.intake.submissions import Submission
from course.labs import source
from course.student import handing_in, receipts
from course.student.handing_in import LEFT_OUT, MAX_FILES, MAX_TOTAL_BYTES

MAX_EXPORT_FILES = 20_000  # a whole class
MAX_EXPORT_BYTES = 20 * 2**30


def collect(root: Path, inbox: Path, *, lab: str) -> tuple[list[Submission], dict[str, str]]:
    """Take in submissions of many: a folder, or the zip that a learning platform exports.

    In it is one zip or folder per student, named by the student's id, or as Moodle and Canvas name them. One that is
    refused does not stop the others. The time of each is its receipt's, where that fits and is not later; else its
    file's.

    Returns:
        What was taken in, and the reasons for what was not, by name.

    Raises:
        SubmissionError: there is no such folder, or the zip is one student's work.
        UnknownName: there is no such lab.
    """
    lab = names.find(lab, source.labs(root)).name
    taken, refused = [], {}
    with _opened(inbox, submissions.expected_notebooks(root, lab)) as folder:
        paths = [
            path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.name not in LEFT_OUT
        ]
        labels = {path: platforms.label(path.name) for path in paths}
        twins = platforms.twins(filter(None, labels.values()))
        roster = _roster(root) if any(labels.values()) else {}
        for path, one in labels.items():
            if one and (not one.work or one.file.endswith(receipts.FILE)):
                continue
            try:
                submission = _collect_one(root, path, one, lab, roster, twins)
            except (UserError, OSError) as error:
                refused[path.name] = str(error)
            else:
                taken += [submission] if submission else []
    return taken, refused


def _collect_one(
    root: Path, path: Path, one: platforms.ExportedName | None, lab: str, roster: dict, twins: set[str]
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
    work, more = _zip_inside(path, submissions.expected_notebooks(root, lab))
    at = _time_of(work)
    if submissions.is_taken_in(root, student, lab, at):
        return None
    submission = submissions.take_in(root, work, lab, student, at, by_receipt=True, newer=True)
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
        archives.unpack(inbox, folder, IntakeLimits(MAX_EXPORT_FILES, MAX_TOTAL_BYTES, MAX_EXPORT_BYTES))
        entries = list(folder.iterdir())
        if len(entries) == 1 and entries[0].is_dir() and platforms.label(entries[0].name) is None:
            folder = entries[0]
        if any((folder / name).exists() for name in wanted):
            raise SubmissionError(f"{inbox.name} is the work of one student; say whose it is: --student ID")
        yield folder


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
    with database.Gradebook(course.db_url, course.course_id) as book:
        return book.students()
