"""How work comes in, also from people who mean harm."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from course.base import removal
from course.base.names import UnknownName
from course.grading.intake import archives, collecting, platforms, submissions, verification
from course.grading.intake.archives import IntakeLimits, SubmissionError
from course.student import handing_in

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "course"
LAB = "01_tiny"
EARLY = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def notebook(course_root):
    return (course_root / "solutions" / LAB / "01_answer.ipynb").read_bytes()


@pytest.fixture
def hand_in(course_root, tmp_path, notebook):
    """Submit a zip with the given members beside a good notebook; returns the submission."""

    def submit(*members, **options):
        path = tmp_path / "work.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("01_answer.ipynb", notebook)
            for name, content in members:
                archive.writestr(name, content)
        return submissions.submit(course_root, path, **{"lab": LAB, "student": "ada", **options})

    return submit


def nothing_came_in(root):
    return not list((root / "classroom").rglob("*.ipynb")) and not list((root / "classroom").rglob(".incoming*"))


def test_a_zip_is_taken_in_with_the_time(hand_in):
    taken = hand_in(("shipped/answers.json", "{}"), at=EARLY)
    assert (taken.folder / "shipped" / "answers.json").read_text() == "{}"
    assert (taken.folder / "timestamp.txt").read_text() == "2026-03-01 12:00:00.000000 UTC\n"
    assert taken.missing == ("02_module.ipynb",)


def test_a_folder_is_taken_in_without_caches(course_root, tmp_path, notebook):
    work = tmp_path / "work"
    for name in ("01_answer.ipynb", ".ipynb_checkpoints/a.ipynb", ".venv/lib/x.py", "shipped/features.py"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(notebook)
    taken = submissions.submit(course_root, work, lab=LAB, student="ada")
    found = sorted(path.relative_to(taken.folder).as_posix() for path in taken.folder.rglob("*") if path.is_file())
    assert found == ["01_answer.ipynb", "shipped/features.py", "timestamp.txt"]


def test_a_folder_around_all_is_seen_through(course_root, tmp_path, notebook):
    path = tmp_path / "work.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._x", "x")
        archive.writestr("labs/01_tiny/01_answer.ipynb", notebook)
    taken = submissions.submit(course_root, path, lab=LAB, student="ada")
    assert (taken.folder / "01_answer.ipynb").exists()


def test_the_latest_counts_and_the_one_before_is_kept(hand_in, course_root):
    hand_in(("note.txt", "first"), at=EARLY)
    again = hand_in(("note.txt", "second"), at=EARLY + dt.timedelta(days=1))
    assert (again.folder / "note.txt").read_text() == "second"
    assert (again.kept / "note.txt").read_text() == "first"
    third = hand_in(("note.txt", "third"), at=EARLY)
    assert third.kept != again.kept
    assert len(list((course_root / "classroom" / "earlier" / "ada" / LAB).iterdir())) == 2


def link(name="link"):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("../outside.txt", "x"), "outside its folder"),
        (("a/../../outside.txt", "x"), "outside its folder"),
        (("/etc/outside.txt", "x"), "outside its folder"),
        (("..\\outside.txt", "x"), "outside its folder"),
        (("C:\\outside.txt", "x"), "outside its folder"),
        ((link(), "/etc/passwd"), "is a link"),
        (("zeros.bin", bytes(30 * 2**20)), "would unpack to 30 MiB"),
        (("01_answer.ipynb/x.txt", "x"), "same name"),
    ],
    ids=["up", "up inside", "absolute", "backslash", "drive", "link", "bomb", "file as folder"],
)
def test_a_harmful_zip_is_refused_and_leaves_nothing(hand_in, course_root, member, reason):
    with pytest.raises(SubmissionError, match=reason):
        hand_in(member)
    assert nothing_came_in(course_root)
    assert not list(course_root.parent.rglob("outside.txt"))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile says so when the test makes it
def test_two_members_of_one_name_are_refused(hand_in, course_root):
    with pytest.raises(SubmissionError, match="same name"):
        hand_in(("01_answer.ipynb", "{}"))
    assert nothing_came_in(course_root)


def test_sizes_that_a_zip_states_are_not_trusted(hand_in, course_root, monkeypatch):
    def limits(**most):
        monkeypatch.setattr(archives, "IntakeLimits", functools.partial(IntakeLimits, **most))

    limits(file_bytes=1000)
    with pytest.raises(SubmissionError, match="larger than"):
        hand_in(("large.txt", os.urandom(2000)))
    limits(total_bytes=3000)
    with pytest.raises(SubmissionError, match="takes more than"):
        hand_in(("a.txt", os.urandom(2000)), ("b.txt", os.urandom(2000)))
    limits(files=3)
    with pytest.raises(SubmissionError, match="more than 3 files"):
        hand_in(*((f"{number}.txt", "") for number in range(5)))
    assert nothing_came_in(course_root)


def test_a_cut_off_zip_is_refused(hand_in, course_root, tmp_path, notebook):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("01_answer.ipynb", notebook)
    damaged = bytearray(whole.getvalue())
    damaged[60:90] = bytes(30)
    (tmp_path / "bad.zip").write_bytes(damaged)
    with pytest.raises(SubmissionError, match="zip it again"):
        submissions.submit(course_root, tmp_path / "bad.zip", lab=LAB, student="ada")
    (tmp_path / "bad.zip").write_bytes(whole.getvalue()[:100])
    with pytest.raises(SubmissionError, match="neither a folder nor a zip"):
        submissions.submit(course_root, tmp_path / "bad.zip", lab=LAB, student="ada")
    assert nothing_came_in(course_root)


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_a_folder_with_links_or_pipes_is_refused(course_root, tmp_path, notebook, kind):
    work = tmp_path / "work"
    work.mkdir()
    (work / "01_answer.ipynb").write_bytes(notebook)
    if kind == "link":
        (work / "secret").symlink_to("/etc/passwd")
    elif kind == "folder link":
        (work / "secret").symlink_to("/etc")
    else:
        os.mkfifo(work / "secret")
    with pytest.raises(SubmissionError, match="secret"):
        submissions.submit(course_root, work, lab=LAB, student="ada")
    assert nothing_came_in(course_root)


def test_work_without_the_labs_notebooks_is_refused(course_root, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "other.ipynb").write_text("{}")
    with pytest.raises(SubmissionError, match=r"none of the notebooks of 01_tiny, 01_answer.ipynb"):
        submissions.submit(course_root, tmp_path / "work", lab=LAB, student="ada")
    assert not list((course_root / "classroom" / "submitted").glob("*"))


def test_a_notebook_that_is_none_costs_no_other_its_points(hand_in):
    taken = hand_in(("02_module.ipynb", "<html>"))
    assert (taken.folder / "01_answer.ipynb").exists()
    (remark,) = taken.remarks
    assert remark.startswith("02_module.ipynb is not a notebook")
    assert remark.endswith("it will earn nothing")


def test_work_of_which_no_notebook_can_be_read_is_refused(course_root, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "01_answer.ipynb").write_text("<html>")
    with pytest.raises(SubmissionError, match=r"01_answer.ipynb is not a notebook"):
        submissions.submit(course_root, tmp_path / "work", lab=LAB, student="ada")
    assert nothing_came_in(course_root)


@pytest.mark.parametrize(
    "student", ["", "../ada", "a/b", "x" * 65, ".hidden", "*", "a[b]", " ada", "ada ", "a\nb", "a\0b"]
)
def test_a_students_id_cannot_lead_elsewhere(hand_in, student):
    with pytest.raises(SubmissionError, match="student's id"):
        hand_in(student=student)


def test_an_unknown_lab_or_place_is_refused(hand_in, course_root, tmp_path):
    with pytest.raises(UnknownName, match="there are: 01_tiny"):
        hand_in(lab="09_none")
    with pytest.raises(SubmissionError, match="does not exist"):
        submissions.submit(course_root, tmp_path / "nowhere", lab=LAB, student="ada")


def test_collecting_goes_on_after_one_that_is_refused_and_takes_each_once(course_root, tmp_path, notebook):
    inbox = tmp_path / "inbox"
    (inbox / "bob").mkdir(parents=True)
    (inbox / "bob" / "01_answer.ipynb").write_bytes(notebook)
    (inbox / "cyd.zip").write_text("no zip")
    (inbox / "eve").symlink_to("/etc")
    with zipfile.ZipFile(inbox / "ada.zip", "w") as archive:
        archive.writestr("01_answer.ipynb", notebook)
    taken, refused = collecting.collect(course_root, inbox, lab=LAB)
    assert [submission.student for submission in taken] == ["ada", "bob"]
    assert list(refused) == ["cyd.zip", "eve"]
    assert collecting.collect(course_root, inbox, lab=LAB)[0] == []
    with pytest.raises(SubmissionError, match=r"ada.zip is the work of one student; say whose it is: --student"):
        collecting.collect(course_root, inbox / "ada.zip", lab=LAB)
    with pytest.raises(SubmissionError, match="is not a folder, nor a zip"):
        collecting.collect(course_root, inbox / "cyd.zip", lab=LAB)


@pytest.mark.parametrize("student", ["zoë müller", "李小龍", "Ολυμπία", "o'hara", "محمد", "a+b@x.org", "Zoe\u0308"])
def test_names_of_any_script_are_taken_in_graded_and_told(class_root, tmp_path, student):
    import unicodedata

    from course.grading.gradebook import database
    from course.grading.pipeline import assignment, outcomes
    from course.grading.pipeline.submission import Cell, Notebook, SubmissionOutcome
    from course.grading.reports import marks
    from course.labs import release

    taken = submissions.submit(class_root, class_root / "solutions" / "01_tiny", lab="01_tiny", student=student)
    assert taken.student == unicodedata.normalize("NFC", student)
    assert taken.folder.is_dir()
    config = release.configuration(class_root)
    done = SubmissionOutcome(
        taken.student, "01_tiny", "s", "t", [Notebook("02_module", cells=[Cell("01-2-double", 40, 7.0)])]
    )
    outcomes.Store(class_root, "01_tiny").keep(done, {})
    with database.Gradebook(config.CourseDirectory.db_url, "late-flights") as book:
        with book.transaction() as connection:
            cells = assignment.load(connection, class_root / "solutions" / "01_tiny")
        book.record([(done, None)], cells, config)
    _, (told,) = marks.gather(class_root, "01_tiny")
    assert (told.id, told.score) == (taken.student, 7.0)


# -- receipts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def handed_in(tmp_path):
    """What a student's `course submit` makes of the very small lab, at a time; with it comes one shipped file."""

    def make(at=EARLY, answer="{}"):
        lab = tmp_path / "student" / "labs" / LAB
        (lab / "shipped").mkdir(parents=True, exist_ok=True)
        for path in (FIXTURES / "solutions" / LAB).glob("*.ipynb"):
            (lab / path.name).write_bytes(path.read_bytes())
        (lab / "shipped" / "answers.json").write_text(answer)
        return handing_in.hand_in(lab, at=at)

    return make


def repacked(path, target, changes):
    """A copy of a zip in which some members hold something else."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, old.read(name)))
    return target


def test_a_receipt_that_fits_gives_the_time_and_the_code_that_the_student_keeps(course_root, handed_in):
    made = handed_in()
    taken = submissions.submit(course_root, made.zip, lab="1", student="ada")
    assert (taken.receipt, taken.remarks) == (made.receipt.code, ())
    assert (taken.folder / "timestamp.txt").read_text().startswith("2026-03-01 12:00:00")
    (verdict,) = verification.verify(course_root, LAB)
    assert (verdict.name, verdict.fits, verdict.receipt.code) == ("ada", True, made.receipt.code)
    assert verification.verify(course_root, str(made.zip))[0].fits


def test_work_that_was_changed_after_the_receipt_is_taken_in_and_said(course_root, handed_in, tmp_path):
    made = handed_in()
    other = repacked(made.zip, tmp_path / "other.zip", {f"{LAB}/shipped/answers.json": b'{"sum": 42}'})
    taken = submissions.submit(course_root, other, lab=LAB, student="ada")
    assert taken.remarks == ("not as its receipt says: shipped/answers.json was changed",)
    assert not (taken.folder / "timestamp.txt").read_text().startswith("2026-03-01")
    (verdict,) = verification.verify(course_root, "1", student="ada")
    assert not verdict.fits


def test_a_receipt_from_the_future_gives_no_time(course_root, handed_in):
    taken = submissions.submit(
        course_root, handed_in(dt.datetime(2999, 1, 1, tzinfo=dt.UTC)).zip, lab=LAB, student="ada"
    )
    assert not (taken.folder / "timestamp.txt").read_text().startswith("2999")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "lab": 1}', "[" * 100_000, "x" * (2**20 + 1)])
def test_a_receipt_that_is_none_is_said_and_harms_nothing(course_root, handed_in, tmp_path, text):
    other = repacked(handed_in().zip, tmp_path / "other.zip", {f"{LAB}/receipt.json": text.encode()})
    taken = submissions.submit(course_root, other, lab=LAB, student="ada")
    assert taken.receipt is None
    assert "receipt cannot be read" in taken.remarks[0]


def test_one_zip_from_two_students_is_noticed(course_root, handed_in):
    made = handed_in()
    submissions.submit(course_root, made.zip, lab=LAB, student="ada")
    taken = submissions.submit(course_root, made.zip, lab=LAB, student="bob")
    assert "the same as that of ada" in taken.remarks[0]


def test_work_without_a_receipt_cannot_be_verified(hand_in, course_root):
    hand_in()
    assert verification.verify(course_root, LAB)[0].problems == ("there is no receipt in it",)
    with pytest.raises(SubmissionError, match="nothing of eve was taken in"):
        verification.verify(course_root, LAB, student="eve")


def test_names_cannot_steer_the_terminal_in_which_work_is_verified(course_root, handed_in, tmp_path, run_course):
    folder = tmp_path / "ev\x1b[2Je"
    with zipfile.ZipFile(handed_in().zip) as archive:
        archive.extractall(folder)
    added = folder / LAB / "shipped" / "a\x1b[31m\u202eb"
    added.parent.mkdir(exist_ok=True)
    added.write_text("")
    run = run_course(course_root, "verify", str(folder))
    assert r"ev\u{1b}[2Je: not as its receipt says: shipped/a\u{1b}[31m\u{202e}b is new" in run.output


# -- what platforms export ---------------------------------------------------------------------------------------------


@pytest.fixture
def export(tmp_path):
    """A zip as a platform exports it, of names and what they hold."""

    def make(**members):
        path = tmp_path / "export.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


def test_an_export_of_moodle_is_taken_in_by_name_with_or_without_folders(course_root, handed_in, export):
    first, second = handed_in(), handed_in(EARLY + dt.timedelta(days=1), '{"sum": 1}')
    work, other = first.zip.read_bytes(), second.zip.read_bytes()
    members = {
        f"Ada Lovelace_101_assignsubmission_file_/{first.zip.name}": work,
        "Ada Lovelace_101_assignsubmission_onlinetext_/onlinetext.html": "<p>Hello</p>",
        f"Zoë Müller_102_assignsubmission_file_{second.zip.name}": other,
        f"Zoë Müller_102_assignsubmission_file_{second.kept.name}": second.receipt.to_json(),
    }
    taken, refused = collecting.collect(course_root, export(**members), lab=LAB)
    assert refused == {}
    assert {one.student: one.receipt for one in taken} == {
        "Ada Lovelace": first.receipt.code,
        "Zoë Müller": second.receipt.code,
    }
    assert collecting.collect(course_root, export(**members), lab=LAB) == ([], {})


def test_an_export_of_canvas_is_taken_in_by_number_and_late_work_is_said(course_root, handed_in, export):
    made = handed_in()
    members = {
        f"lovelaceada_LATE_4711_991_{made.zip.name}": made.zip.read_bytes(),
        "babbagecharles_4712_992_text.html": "<p>I have nothing</p>",
        "hoppergrace_4713_993_work.docx": "words",
    }
    taken, refused = collecting.collect(course_root, export(**members), lab=LAB)
    assert [(one.student, one.remarks) for one in taken] == [("lovelaceada-4711", ("Canvas marks it as late",))]
    assert list(refused) == ["hoppergrace_4713_993_work.docx"]


def test_a_folder_around_an_export_is_seen_through(course_root, handed_in, export):
    made = handed_in()
    members = {f"lab one/Ada Lovelace_101_assignsubmission_file_{made.zip.name}": made.zip.read_bytes()}
    taken, _ = collecting.collect(course_root, export(**members), lab=LAB)
    assert [one.student for one in taken] == ["Ada Lovelace"]


def test_the_gradebook_gives_platforms_people_their_ids(class_root, handed_in, export):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{class_root}/classroom/gradebook.db") as book:
        book.update_or_create_student("al01", first_name="Ada", last_name="Lovelace")
        book.update_or_create_student("cb02", lms_user_id="4712")
        book.update_or_create_student("mm03", first_name="Maria", last_name="Mayer")
        book.update_or_create_student("mm04", first_name="Maria", last_name="Mayer")
    work = {number: handed_in(answer=f'{{"sum": {number}}}').zip.read_bytes() for number in range(4)}
    members = {
        "Ada Lovelace_101_assignsubmission_file_work.zip": work[0],
        "Maria Mayer_103_assignsubmission_file_work.zip": work[2],
        "Nobody Known_104_assignsubmission_file_work.zip": work[3],
    }
    taken, refused = collecting.collect(class_root, export(**members), lab=LAB)
    assert {one.student for one in taken} == {"al01", "Nobody Known"}
    assert "whom the gradebook does not know" in next(one for one in taken if one.student == "Nobody Known").remarks[0]
    assert (
        "mm03 (Maria Mayer), mm04 (Maria Mayer) are all called 'Maria Mayer'"
        in refused["Maria Mayer_103_assignsubmission_file_work.zip"]
    )


def test_two_people_of_one_name_in_an_export_are_not_mixed_up(course_root, handed_in, export):
    made = handed_in()
    members = {f"Jo Li_{number}_assignsubmission_file_work.zip": made.zip.read_bytes() for number in (1, 2)}
    taken, refused = collecting.collect(course_root, export(**members), lab=LAB)
    assert taken == []
    assert all("two people are called 'Jo Li'" in reason for reason in refused.values())


def test_a_name_that_says_nothing_of_the_student_is_refused(course_root, handed_in):
    made = handed_in()
    _, refused = collecting.collect(course_root, made.zip.parent, lab=LAB)
    assert "rename it to the student's id" in refused[made.zip.name]


@pytest.mark.parametrize(
    ("name", "person", "number"),
    [
        ("Ada Lovelace_657737_assignsubmission_file", "Ada Lovelace", "657737"),
        ("Jean Luc Picard_3_assignsubmission_file_a_b.zip", "Jean Luc Picard", "3"),
        ("van_der_bergjan_7_8_01_work.zip", "van_der_bergjan", "7"),
        ("LATE_anon_AbC12_678_work.zip", "anon", "AbC12"),
        ("müllerzoë_5_6_a_b.zip", "müllerzoë", "5"),
        ("anon_AbC12_678_work.zip", "anon", "AbC12"),
        ("anon_LATE_AbC12_678_work.zip", "anon", "AbC12"),
    ],
)
def test_names_of_platforms_are_read(name, person, number):
    (found,) = platforms.readings(name)
    assert (found.person, found.number) == (person, number)


@pytest.mark.parametrize(
    "name", ["ada", "ada.zip", "o'hara", "a_b.zip", "01_tiny-20260301-120000.zip", "zoë müller.zip"]
)
def test_other_names_are_ids(name):
    assert platforms.readings(name) == []


# -- whatever one of them hands in, the others are taken in -----------------------------------------------------------


def zipped(path: Path, *members, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.fixture
def inbox(tmp_path, notebook):
    """A folder with the good work of the first and the last of a class."""
    for student in ("ada", "zoe"):
        (tmp_path / "inbox" / student).mkdir(parents=True)
        (tmp_path / "inbox" / student / "01_answer.ipynb").write_bytes(notebook)
    return tmp_path / "inbox"


def collected(root, inbox) -> dict[str, str]:
    """Why what was refused was; all of it is that of cyd or dan, and nothing of it stays."""
    taken, refused = collecting.collect(root, inbox, lab=LAB)
    assert [submission.student for submission in taken] == ["ada", "zoe"]
    assert {path.name for path in (root / "classroom" / "submitted").iterdir()} == {"ada", "zoe"}
    return refused


DEEP = "/".join("d" * 1000)
HOSTILE_ZIPS = {
    "a thousand folders in each other": ([(f"{DEEP}/a.txt", "x")], "more than 40 deep"),
    "tens of thousands of folders": (
        [("/".join(f"{n}-{depth}" for depth in range(30)) + "/a", "") for n in range(100)],
        "more than 2000 folders",
    ),
    "a list that is longer than all files": ([(f"{n}{'d' * 50_000}/", "") for n in range(200)], "far more files"),
    "a notebook of 100,000 cells": (
        [("01_answer.ipynb", '{"cells": [' + ",".join(['{"cell_type": "raw"}'] * 100_000) + '], "nbformat": 4}')],
        "more than 2000 cells",
    ),
    "a notebook of millions of lists": ([("01_answer.ipynb", "[" + "[]," * 6_000_000 + "0]")], "5,000,000 values"),
    "a notebook nested without end": ([("01_answer.ipynb", "[" * 100_000)], "is not a notebook"),
    "a folder in place of the notebook": ([("01_answer.ipynb/x", "")], "01_answer.ipynb"),
    "no UTF-8 in a name": ([("01_answer.ipynb\udcff", "")], ""),
}


@pytest.mark.parametrize("kind", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_and_the_others_are_taken_in(course_root, inbox, kind):
    members, reason = HOSTILE_ZIPS[kind]
    with contextlib.suppress(UnicodeEncodeError):  # what zipfile does not write is not there
        zipped(inbox / "cyd.zip", *members, method=zipfile.ZIP_STORED)
    refused = collected(course_root, inbox)
    assert list(refused) == ["cyd.zip"]
    assert reason in refused["cyd.zip"]
    assert "fault of the course" not in refused["cyd.zip"]


def test_a_zip_that_python_would_unpack_in_one_go_is_refused(course_root, inbox):
    """A kibibyte of bzip2 stands for a gibibyte, and its zip states that it is small."""
    zipped(inbox / "cyd.zip", ("01_answer.ipynb", bytes(2**22)), method=zipfile.ZIP_BZIP2)
    zipped(inbox / "dan.zip", ("01_answer.ipynb", bytes(2**16)), method=zipfile.ZIP_LZMA)
    assert all("unusual way" in reason or "would unpack" in reason for reason in collected(course_root, inbox).values())


def test_a_hostile_folder_is_refused_and_the_others_are_taken_in(course_root, inbox, notebook):
    place = os.open(inbox, os.O_RDONLY)
    for name in ["cyd", *["d"] * 1200]:
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    (inbox / "cyd" / "01_answer.ipynb").write_bytes(notebook)
    (inbox / "dan").mkdir()
    (inbox / "dan" / "01_answer.ipynb").write_bytes(notebook)
    (Path(os.fsdecode(os.fsencode(inbox / "dan") + b"/bad\xff"))).write_text("x")
    try:
        refused = collected(course_root, inbox)
        assert "more than 40 deep" in refused["cyd"]
        assert r"'bad\udcff' cannot be read as UTF-8" in refused["dan"]
    finally:
        removal.remove(inbox / "cyd")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_receipt_of_a_year_without_a_course_gives_no_time(course_root, handed_in, tmp_path, time):
    made = handed_in()
    with zipfile.ZipFile(made.zip) as archive:
        receipt = archive.read(f"{LAB}/receipt.json").decode()
    odd = receipt.replace(EARLY.strftime("%Y-%m-%dT%H:%M:%SZ"), time)
    assert odd != receipt
    (tmp_path / "inbox").mkdir()
    repacked(made.zip, tmp_path / "inbox" / "ada.zip", {f"{LAB}/receipt.json": odd.encode()})
    (taken,), refused = collecting.collect(course_root, tmp_path / "inbox", lab=LAB)
    assert not refused
    assert (taken.folder / "timestamp.txt").read_text().startswith(f"{dt.datetime.now(dt.UTC):%Y-}")


@pytest.mark.parametrize("seconds", [-(10**12), 10**12])
def test_a_file_of_a_time_that_no_calendar_has_is_taken_in(course_root, inbox, seconds):
    with contextlib.suppress(OSError, OverflowError):  # the disk may not know such a time either
        os.utime(inbox / "ada" / "01_answer.ipynb", (seconds, seconds))
    assert collected(course_root, inbox) == {}


def test_half_a_character_in_a_receipt_is_no_receipt(course_root, handed_in, tmp_path):
    made = handed_in()
    with zipfile.ZipFile(made.zip) as archive:
        receipt = archive.read(f"{LAB}/receipt.json").decode()
    odd = receipt.replace("shipped/answers.json", "shipped/\\ud800.json")
    other = repacked(made.zip, tmp_path / "other.zip", {f"{LAB}/receipt.json": odd.encode()})
    taken = submissions.submit(course_root, other, lab=LAB, student="ada")
    assert "receipt cannot be read" in taken.remarks[0]
    "".join(taken.remarks).encode()


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), KeyError("x"), UnicodeError("\ud800")])
def test_a_fault_of_the_program_at_one_student_does_not_stop_the_others(course_root, inbox, monkeypatch, error):
    zipped(inbox / "cyd.zip", ("01_answer.ipynb", "{}"))
    real = submissions.take_in

    def take_in(root, work, lab, student, *args, **options):
        if student == "cyd":
            raise error
        return real(root, work, lab, student, *args, **options)

    monkeypatch.setattr(submissions, "take_in", take_in)
    refused = collected(course_root, inbox)
    assert type(error).__name__ in refused["cyd.zip"]
    assert "fault of the course's program" in refused["cyd.zip"]
    refused["cyd.zip"].encode()


def test_in_an_export_only_the_student_who_handed_in_a_bomb_is_refused(course_root, handed_in, tmp_path):
    work = handed_in().zip.read_bytes()
    path = zipped(
        tmp_path / "export.zip",
        ("Ada Lovelace_101_assignsubmission_file_/work.zip", work),
        ("Cyd Charisse_102_assignsubmission_file_/bomb.bin", bytes(2**24)),
        ("Cyd Charisse_102_assignsubmission_file_/work.zip", work),
        ("Dan Dare_103_assignsubmission_file_/" + DEEP, "x"),
        ("Zoe Zeta_104_assignsubmission_file_/work.zip", work),
    )
    taken, refused = collecting.collect(course_root, path, lab=LAB)
    assert [submission.student for submission in taken] == ["Ada Lovelace", "Zoe Zeta"]
    assert "would unpack to 16 MiB" in refused["Cyd Charisse_102_assignsubmission_file_"]
    assert len(refused) == 2
