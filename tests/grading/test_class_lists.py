"""A class from the platform's export to the platform's own file: nobody's work under another name, exact grades.

The forms are those of Moodle 4.5 and 5 (mod/assign: gradingtable.php, downloader.php, importziplib.php) and of Canvas
(gradebook_exporter.rb, gradebook_importer.rb, content_zipper.rb).
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course.grading.gradebook import database
from course.grading.intake import class_lists, collecting, people, platforms
from course.grading.intake.archives import SubmissionError
from course.grading.pipeline import classroom, submission, worker_pool
from course.grading.pipeline.submission import Cell, Notebook, SubmissionOutcome
from course.grading.reports import class_report, csv_files, feedback, grades_csv
from course.student import handing_in

LAB = "01_tiny"
EARLY = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
MOODLE = (
    *("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum grade", "Grade can be changed"),
    *("Last modified (submission)", "Last modified (grade)", "Feedback comments"),
)
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Intro quiz (801)", "01 tiny (802)", "Final Score")

NAMES = (
    *("Pat O'Brien", "Jean-Luc Martin", "Luc Martin", "John Smith", "John Smith", "Zoë Müller", "李 小龍"),
    *("Anna_Maria Rossi", '=HYPERLINK("http://x.org","me")', "Nora Nobody", "Ada Lovelace", "Grace Hopper"),
)
"""Twelve people, of whom Nora hands in nothing."""
POINTS = {f"s{number:02}@x.org": 40 + 5 * number for number in range(12)}


def judge(work):
    """As many points as the shipped file states; ten of them for the answer in words, which waits where it says so."""
    outcome = SubmissionOutcome(work.student, LAB, submission.fingerprint(work.files), work.assignment.fingerprint)
    earned, _, wait = work.files["shipped/points"].decode().partition(" ")
    left = float(earned) - (0 if wait else 10)
    first = Notebook("01_answer", executed='{"cells": []}')
    for name, points in (("01-1-sum", 40), ("01-1-file", 10)):
        first.cells.append(Cell(name, points, min(float(points), left), "", None, name))
        left -= min(points, left)
    first.cells.append(Cell("01-1-why", 10, None if wait else 10.0, "", None, "w", by_hand=True))
    second = Notebook("02_module", executed='{"cells": []}')
    second.cells = [Cell("01-2-double", 40, left, "", None, "d")]
    outcome.notebooks = [first, second]
    return outcome


def grade(root):
    with worker_pool.WorkerPool(1, grade=judge, warm=False) as workers:
        return classroom.grade(root, LAB, workers, classroom.Options(quiet=True))


@pytest.fixture(scope="module")
def template(tmp_path_factory, class_template):
    """A course that knows its very small lab, and nobody yet."""
    root = tmp_path_factory.mktemp("empty") / "course"
    shutil.copytree(class_template, root, ignore=shutil.ignore_patterns("submitted"))
    return root


@pytest.fixture
def root(template, tmp_path):
    shutil.copytree(template, tmp_path / "course")
    return tmp_path / "course"


@pytest.fixture(scope="module")
def hand_in(tmp_path_factory):
    """What `course submit` makes of the lab with a file that says how many points it shall earn; the zip's bytes."""

    def make(said: str, at: dt.datetime = EARLY) -> bytes:
        lab = tmp_path_factory.mktemp("student") / "labs" / LAB
        fixtures = Path(__file__).resolve().parents[1] / "fixtures" / "course" / "solutions" / LAB
        shutil.copytree(fixtures, lab, ignore=shutil.ignore_patterns("checks"))
        (lab / "shipped").mkdir()
        (lab / "shipped" / "points").write_text(said)
        return handing_in.hand_in(lab, at=at).zip.read_bytes()

    return make


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def table(path: Path, header, rows, **options) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", **options).writerows([header, *rows])
    path.write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    return path


def moodle_file(name: str) -> str:
    """A person's name as Moodle writes it into the names of files."""
    return re.sub(r"[\x00-\x1f&<>\"`|':\\/]", "", name.replace("_", " "))


def canvas_file(name: str) -> str:
    first, _, last = name.rpartition(" ")
    return re.sub(r"\W", "", f"{last}, {first}".lower())


def worksheet(path: Path, grade_max="100.00", names=NAMES, modified="Sunday, 1 March 2026, 2:30 PM") -> Path:
    rows = [
        [
            *(f"Participant {700 + number}", name, f"s{number:02}@x.org"),
            "No submission" if name == "Nora Nobody" else "Submitted for grading",
            *("", grade_max, "Yes", "-" if name == "Nora Nobody" else modified, "-", ""),
        ]
        for number, name in enumerate(names)
    ]
    return table(path, MOODLE, rows)


def moodle_export(path: Path, hand_in, names=NAMES, extra=None) -> Path:
    members = {
        f"{moodle_file(name)}_{700 + number}_assignsubmission_file/work.zip": hand_in(f"{40 + 5 * number}")
        for number, name in enumerate(names)
        if name != "Nora Nobody"
    }
    return zipped(path, members | (extra or {}))


def rows_of(path: Path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


# -- a class of twelve, in Moodle --------------------------------------------------------------------------------------


def test_a_class_of_moodle_goes_from_export_to_worksheet_with_exact_grades(root, tmp_path, hand_in, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    __import__("time").tzset()
    export, listed = moodle_export(tmp_path / "export.zip", hand_in), worksheet(tmp_path / "grades.csv")
    taken, refused = collecting.collect(root, export, lab=LAB, class_list=listed)
    assert refused == {}
    assert sorted(one.student for one in taken) == sorted(set(POINTS) - {"s09@x.org"})
    stamp = root / "classroom" / "submitted" / "s01@x.org" / LAB / "timestamp.txt"
    assert stamp.read_text().startswith("2026-03-01 14:30:00")  # the platform's time, not the receipt's
    assert [who.student for who in collecting.missing(root, LAB)] == ["s09@x.org"]
    assert collecting.collect(root, export, lab=LAB) == ([], {})  # the list is remembered, and each came in already

    (root / "classroom" / "submitted" / "s10@x.org" / LAB / "shipped" / "points").write_text("80 wait")
    scores = grade(root).scores
    expected = {student: float(points) for student, points in POINTS.items() if student != "s09@x.org"}
    expected["s10@x.org"] = 80.0  # ten points wait
    assert {student: row["score"] for student, row in scores.items()} == expected

    _, warned = class_report.write_and_warn(root, LAB)
    filled = rows_of(root / "classroom" / "reports" / LAB / "moodle.csv")
    assert list(filled[0]) == list(MOODLE)
    grades = {row["Identifier"]: row["Grade"] for row in filled}
    assert grades == {
        f"Participant {700 + number}": "" if number in (9, 10) else f"{40 + 5 * number}" for number in range(12)
    }
    assert filled[8]["Full name"] == "'" + NAMES[8]  # no formula reaches a spreadsheet
    assert any("waits for a person" in text for text in warned)
    assert any("1 handed in nothing, and get no grade, not even 0: s09@x.org" in text for text in warned)

    list(feedback.write(root, LAB))
    archive = feedback.for_moodle(root, LAB)
    with zipfile.ZipFile(archive) as pages:
        names = pages.namelist()
        assert "Pat O Brien_700_assignfeedback_file_feedback.html" in names
        assert b"75 of 100 points" in pages.read("Anna Maria Rossi_707_assignfeedback_file_feedback.html")
    for name in names:  # as Moodle reads them: name_number_plugintype_pluginname_file
        _, number, kind, plugin, file = name.split("_", 4)
        assert (kind, plugin, file) == ("assignfeedback", "file", "feedback.html")
        assert number.isdigit()

    rows, _ = grades_csv.export(root, tmp_path / "all.csv")
    assert rows == 12
    lines = {row["student_id"]: row for row in rows_of(tmp_path / "all.csv")}
    assert (lines["s09@x.org"]["score"], lines["s09@x.org"]["remark"]) == ("", "handed in nothing")
    assert (lines["s10@x.org"]["score"], lines["s10@x.org"]["waiting"]) == ("", "1")
    assert lines["s08@x.org"]["first_name"] == "'" + NAMES[8]
    assert lines["s07@x.org"]["score"] == "75"


def test_grades_are_converted_and_said_where_moodle_has_the_lab_worth_something_else(root, tmp_path, hand_in):
    export = moodle_export(tmp_path / "export.zip", hand_in)
    collecting.collect(root, export, lab=LAB, class_list=worksheet(tmp_path / "grades.csv", "10,00"))
    grade(root)
    _, warned = class_report.write_and_warn(root, LAB)
    assert rows_of(root / "classroom" / "reports" / LAB / "moodle.csv")[1]["Grade"] == "4,5"
    assert any("Moodle has the lab worth 10 points, the lab itself 100: grades were converted" in one for one in warned)


def test_blind_marking_works_with_nothing_but_numbers(root, tmp_path, hand_in):
    header = tuple(name for name in MOODLE if name not in ("Full name", "Email address"))
    rows = [[f"Participant {number}", "", "", "100.00", "Yes", "-", "-", ""] for number in (5, 6)]
    listed = table(tmp_path / "grades.csv", header, rows)
    members = {f"Participant_{number}_assignsubmission_file/w.zip": hand_in(f"{number}0") for number in (5, 6)}
    taken, refused = collecting.collect(root, zipped(tmp_path / "e.zip", members), lab=LAB, class_list=listed)
    assert ([one.student for one in taken], refused) == (["participant-5", "participant-6"], {})


def test_a_group_hands_in_for_each_of_its_members(root, tmp_path, hand_in):
    header = (*MOODLE[:4], "Group", *MOODLE[4:])
    rows = [
        [f"Participant {number}", name, f"{name[0]}@x.org", "", group, "", "100", "Yes", "-", "-", ""]
        for number, (name, group) in enumerate((("Ada A", "Red: 1"), ("Bob B", "Red: 1"), ("Cyd C", "Blue")), 1)
    ]
    listed = table(tmp_path / "grades.csv", header, rows)
    members = {"Red 1_3_assignsubmission_file/w.zip": hand_in("50")}  # 3 is the group's number, and Cyd's
    taken, refused = collecting.collect(root, zipped(tmp_path / "e.zip", members), lab=LAB, class_list=listed)
    assert ([one.student for one in taken], refused) == (["A@x.org", "B@x.org"], {})


# -- a class of twelve, in Canvas --------------------------------------------------------------------------------------


def canvas_list(path: Path, names=NAMES, **options) -> Path:
    rows = [
        ["", "", "", "", "", "", "Manual Posting", ""],
        ["    Points Possible", "", "", "", "", "5", "100", "(read only)"],
    ]
    for number, name in enumerate(names):
        first, _, last = name.rpartition(" ")
        shown = f"{last}, {first}"
        shown = f'="{shown}"' if shown.startswith("=") else shown
        rows.append([shown, str(4000 + number), f"sis{number}", f"login{number}", "All", "3", "", "60"])
    rows.append(["Student, Test", "4999", "", "0a1b2c", "All", "", "", ""])
    return table(path, CANVAS, rows, **options)


def test_a_class_of_canvas_goes_from_export_to_gradebook_with_exact_grades(root, tmp_path, hand_in):
    members = {}
    for number, name in enumerate(NAMES):
        late = "_LATE" * (number == 1)
        if name != "Nora Nobody":
            file = f"{canvas_file(name)}{late}_{4000 + number}_{90 + number}_{LAB}-20260301-120000.zip"
            members[file] = hand_in(f"{40 + 5 * number}")
    export = zipped(tmp_path / "submissions.zip", members)
    taken, refused = collecting.collect(
        root, export, lab=LAB, class_list=canvas_list(tmp_path / "g.csv", delimiter=";")
    )
    assert refused == {}
    assert {one.student for one in taken} == {f"login{number}" for number in range(12)} - {"login9"}
    assert next(one for one in taken if one.student == "login1").remarks == ("Canvas marks it as late",)
    assert [who.student for who in collecting.missing(root, LAB)] == ["login9"]
    (root / "classroom" / "submitted" / "login10" / LAB / "shipped" / "points").write_text("80 wait")
    grade(root)
    class_report.write(root, LAB)
    with (root / "classroom" / "reports" / LAB / "canvas.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "01 tiny (802)"]
    assert rows[1][-1] == "Manual Posting"
    assert rows[2][0].strip() == "Points Possible"
    graded = {row[1]: row[-1] for row in rows[3:]}
    expected = {str(4000 + number): f"{40 + 5 * number}" for number in range(12)}
    assert graded == expected | {"4009": "", "4010": "", "4999": ""}
    assert {row[2] for row in rows[3:] if row[1] == "4003"} == {"sis3"}  # Canvas's number is in the column ID


# -- who is who, without a list ----------------------------------------------------------------------------------------


def know(root, **who):
    with Gradebook(f"sqlite:///{root}/classroom/gradebook.db") as book:
        for student, values in who.items():
            book.update_or_create_student(student, **values)


def test_half_a_name_is_nobodys_name(root, tmp_path, hand_in):
    know(root, luc={"first_name": "Luc", "last_name": "Martin"})
    export = zipped(
        tmp_path / "e.zip",
        {
            "Jean-Luc Martin_1_assignsubmission_file/w.zip": hand_in("10"),
            "Luc Martin_2_assignsubmission_file/w.zip": hand_in("20"),
        },
    )
    taken, _ = collecting.collect(root, export, lab=LAB)
    assert {one.student for one in taken} == {"Jean-Luc Martin", "luc"}
    assert (root / "classroom/submitted/luc" / LAB / "shipped/points").read_text() == "20"


def test_a_group_before_a_name_counts_when_it_is_named(root, tmp_path, hand_in):
    know(root, luc={"first_name": "Luc", "last_name": "Martin"})
    export = zipped(tmp_path / "e.zip", {"Group B-Luc Martin_2_assignsubmission_file/w.zip": hand_in("20")})
    taken, _ = collecting.collect(root, export, lab=LAB, groups=("Group B",))
    assert [one.student for one in taken] == ["luc"]


def test_apostrophes_that_moodle_drops_make_no_ghost(root, tmp_path, hand_in):
    know(root, pat={"first_name": "Pat", "last_name": "O'Brien"})
    export = zipped(tmp_path / "e.zip", {"Pat OBrien_2_assignsubmission_file/w.zip": hand_in("20")})
    assert [one.student for one in collecting.collect(root, export, lab=LAB)[0]] == ["pat"]


def test_a_name_that_is_somebodys_id_is_refused(root, tmp_path, hand_in):
    know(root, ada={"first_name": "Ada", "last_name": "Lovelace"})
    export = zipped(tmp_path / "e.zip", {"ada_2_assignsubmission_file/w.zip": hand_in("20")})
    taken, refused = collecting.collect(root, export, lab=LAB)
    assert taken == []
    assert "'ada' is the id of somebody else, ada (Ada Lovelace)" in next(iter(refused.values()))


def whose_newer_work(root, tmp_path, hand_in):
    """Whose work a newer hand-in of John Smith is taken for, in the next export."""
    name = "John Smith_31_assignsubmission_file/w.zip"
    newer = zipped(tmp_path / "e2.zip", {name: hand_in("30", EARLY + dt.timedelta(days=1))})
    return [one.student for one in collecting.collect(root, newer, lab=LAB)[0]]


def test_a_decision_is_remembered(root, tmp_path, hand_in):
    know(
        root,
        js1={"first_name": "John", "last_name": "Smith", "email": "j1@x.org"},
        js2={"first_name": "John", "last_name": "Smith"},
    )
    export = zipped(tmp_path / "e.zip", {"John Smith_31_assignsubmission_file/w.zip": hand_in("20")})
    _, refused = collecting.collect(root, export, lab=LAB)
    assert "js1 (John Smith, j1@x.org), js2 (John Smith) are all called 'John Smith'" in next(iter(refused.values()))
    alone = tmp_path / "John Smith_31_assignsubmission_file_w.zip"
    alone.write_bytes(hand_in("20"))
    assert collecting.collect_student(root, alone, lab=LAB, student="js2").student == "js2"
    assert whose_newer_work(root, tmp_path, hand_in) == ["js2"]


def test_a_decision_about_a_file_inside_moodles_folder_is_remembered(root, tmp_path, hand_in):
    know(root, js1={"first_name": "John", "last_name": "Smith"}, js2={"first_name": "John", "last_name": "Smith"})
    alone = tmp_path / "John Smith_31_assignsubmission_file" / "w.zip"
    alone.parent.mkdir()
    alone.write_bytes(hand_in("20"))
    assert collecting.collect_student(root, alone, lab=LAB, student="js2").student == "js2"
    assert whose_newer_work(root, tmp_path, hand_in) == ["js2"]


def test_a_decision_about_one_student_of_an_export_is_remembered(root, tmp_path, hand_in):
    know(root, ada={"first_name": "Ada", "last_name": "Lovelace"})
    export = moodle_export(tmp_path / "e.zip", hand_in)
    collecting.collect_student(root, export, lab=LAB, student="ada")
    know(root, ada2={"first_name": "Ada", "last_name": "Lovelace"})  # a namesake comes later
    later = moodle_export(tmp_path / "later.zip", hand_in)
    assert collecting.collect_student(root, later, lab=LAB, student="ada").student == "ada"


def test_one_student_is_found_inside_an_export(root, tmp_path, hand_in):
    know(root, ada={"first_name": "Ada", "last_name": "Lovelace"})
    export = moodle_export(tmp_path / "e.zip", hand_in)
    taken = collecting.collect_student(root, export, lab=LAB, student="ada")
    assert (taken.folder / "shipped" / "points").read_text() == "90"
    with pytest.raises(collecting.OneOfManyError, match=r"none of the .* is that of 'eve'.*ada \(Ada Lovelace\)"):
        collecting.collect_student(root, export, lab=LAB, student="eve")


# -- names that students choose ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["x-Ada_Lovelace_77_assignsubmission_file_w.zip", "Ada Lovelace_77_assignsubmission_file_w.zip"]
)
def test_what_a_student_called_a_file_makes_nobody_elses_work_of_it(root, tmp_path, hand_in, file):
    know(root, ada={"first_name": "Ada", "last_name": "Lovelace"}, eve={"lms_user_id": "66"})
    export = zipped(tmp_path / "e.zip", {f"mallory_66_901_{file}": hand_in("20")})
    assert [one.student for one in collecting.collect(root, export, lab=LAB)[0]] == ["eve"]


def test_a_name_in_canvas_that_ends_like_a_number_is_refused_without_a_list(root, tmp_path, hand_in):
    know(root, ada={"first_name": "Ada", "last_name": "Lovelace", "lms_user_id": "4711"}, eve={"lms_user_id": "66"})
    export = zipped(tmp_path / "e.zip", {"lovelaceada_4711_66_901_w.zip": hand_in("20")})  # Eve renamed herself
    taken, refused = collecting.collect(root, export, lab=LAB)
    assert taken == []
    assert "can be read in 2 ways (as number 4711, 66)" in next(iter(refused.values()))


def test_two_platforms_in_one_export_are_refused(root, tmp_path, hand_in):
    export = zipped(
        tmp_path / "e.zip",
        {"Ada L_1_assignsubmission_file/w.zip": hand_in("1"), "ada_1_2_w.zip": hand_in("1")},
    )
    with pytest.raises(SubmissionError, match="some names are Moodle's"):
        collecting.collect(root, export, lab=LAB)


def test_a_list_of_another_assignment_is_noticed(root, tmp_path, hand_in):
    export = zipped(tmp_path / "e.zip", {"Grace Hopper_700_assignsubmission_file/w.zip": hand_in("1")})
    taken, refused = collecting.collect(root, export, lab=LAB, class_list=worksheet(tmp_path / "g.csv"))
    assert taken == []
    assert "the list calls number 700 \"Pat O'Brien\", and the export 'Grace Hopper'" in next(iter(refused.values()))


def test_of_several_zips_the_one_with_the_newest_receipt_counts(root, tmp_path, hand_in):
    later = EARLY + dt.timedelta(days=1)
    members = {
        "Ada L_1_assignsubmission_file/a.zip": hand_in("30", later),
        "Ada L_1_assignsubmission_file/b.zip": hand_in("20"),
        "Bob B_2_assignsubmission_file/a.zip": b"PK\x05\x06" + bytes(18),
        "Bob B_2_assignsubmission_file/b.zip": b"PK\x05\x06" + bytes(18),
    }
    taken, refused = collecting.collect(root, zipped(tmp_path / "e.zip", members), lab=LAB)
    (one,) = taken
    assert (one.folder / "shipped" / "points").read_text() == "30"
    assert one.remarks == ("of 2, a.zip was taken, whose receipt is the newest",)
    assert "their receipts do not say which is the newest" in next(iter(refused.values()))


# -- a class of three hundred ------------------------------------------------------------------------------------------

ODD = (
    *("Pat O'Brien", "Renée D'Arcy", "Jean-Luc Martin", "Luc Martin", "John Smith", "John Smith", "Zoë Müller"),
    *(
        "Zoe\u0308 Mu\u0308ller-Lu\u0308",
        "李 小龍",
        "محمد علي",
        "Ολυμπία Δουκάκη",
        "Anna_Maria Rossi",
        "van_der_Berg Jan",
    ),
    *("=1+1 X", "@cmd Y", "-2 Z", "+3 W", "Ann <b>B</b>", 'Bo "Q" C', "A|B C", "Back`tick D", "Co:lon E", "Sla/sh F"),
    *("Back\\slash G", "Tab\tH I", "A & B J", "  Space  K ", "ada", "X_5 Y", "Participant 7", "\u202eevil Name"),
)


def test_three_hundred_people_with_thirty_oddities_are_all_told_apart(root, tmp_path, hand_in):
    names = [*ODD, *(f"Given{number} Family{number}" for number in range(300 - len(ODD)))]
    members = {}
    for number, name in enumerate(names):
        folder = f"{moodle_file(name).strip()}_{700 + number}_assignsubmission_file"
        members[f"{folder}/01_answer.ipynb"] = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        members[f"{folder}/shipped/points"] = str(number).encode()
    export, listed = zipped(tmp_path / "e.zip", members), worksheet(tmp_path / "g.csv", names=names)
    taken, refused = collecting.collect(root, export, lab=LAB, class_list=listed)
    assert refused == {}
    whose = {one.student: (one.folder / "shipped" / "points").read_text() for one in taken}
    assert whose == {f"s{number:02}@x.org": str(number) for number in range(300)}


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "neither Moodle's grading worksheet"),
        (b"Identifier;Full name\n", "neither Moodle's grading worksheet"),
        (b"\xff\x00\x81", "not text in UTF-8"),
        (b"Identifier,Grade\nParticipant 1,\nParticipant 1,\n", "has the number 1 twice"),
        (b"Identifier,Grade\n,\n", "names nobody"),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(text, reason):
    with pytest.raises(class_lists.ListError, match=reason):
        class_lists.parse(text, "grades.csv")


def test_a_list_says_names_times_and_numbers():
    listed = class_lists.parse(
        "Identifier,Full name,Grade,Last modified (submission)\n"
        'Participant 12,Ada Lovelace,,"Tuesday, 3 March 2026, 2:05\u202fPM"\n'.encode(),
        "grades.csv",
    )
    (ada,) = listed.people
    assert (ada.number, ada.name) == ("12", "Ada Lovelace")
    assert ada.at == dt.datetime(2026, 3, 3, 14, 5).astimezone(dt.UTC)


def test_two_lines_that_would_be_one_student_are_refused(tmp_path):
    listed = class_lists.parse(b"Identifier,Full name,Grade,Username\nP 1,A B,,x\nP 2,C D,,x\n", "g.csv")
    roster = {"x": {"first_name": "", "last_name": "", "email": "", "lms_user_id": ""}}
    with pytest.raises(class_lists.ListError, match="numbers 1 and 2 are both 'x'"):
        people.settle(listed, roster, people.Decisions(tmp_path / "d.json"), LAB)


def test_the_column_of_canvas_is_the_one_that_is_named(tmp_path):
    listed = class_lists.read(canvas_list(tmp_path / "g.csv"))
    assert class_lists.choose_column(listed, LAB, None) == "01 tiny (802)"
    assert class_lists.choose_column(listed, LAB, "Intro quiz") == "Intro quiz (801)"
    with pytest.raises(class_lists.ListError, match="no columns 'x'; there are: Intro quiz"):
        class_lists.choose_column(listed, LAB, "x")


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@x", "\t=1", " =1", "|calc", "%x", "=HYPERLINK(1)"])
def test_no_cell_is_a_formula(text):
    ((cell,),) = csv.reader(io.StringIO(csv_files.text([text], [])))
    assert cell.startswith("'")


def test_numbers_stay_numbers_and_codes_are_shown():
    assert csv_files.text(["a"], [["-3.5"], ["\x1b[31mred"]]) == "a\n-3.5\n\\u{1b}[31mred\n"


# -- late work ---------------------------------------------------------------------------------------------------------


def test_what_lateness_costs_follows_due_date_extension_policy_and_marks(root, tmp_path, hand_in):
    export = zipped(tmp_path / "e.zip", {"ada.zip": hand_in("50 wait")})
    collecting.collect(root, export, lab=LAB)
    stamp = root / "classroom" / "submitted" / "ada" / LAB / "timestamp.txt"
    stamp.write_text("2026-01-02 12:00:00.000000 UTC\n")
    assert grade(root).scores["ada"]["penalty"] == 0

    def told():
        (student,) = class_report.marks.gather(root, LAB)[1]
        rows_of_all = grades_csv.export(root, tmp_path / "all.csv")[0]
        assert rows_of_all == 1
        with database.Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
            kept = sum({row["notebook"]: row["penalty"] or 0.0 for row in book.scores(LAB)}.values())
        assert kept == student.penalty == grade(root).scores["ada"]["penalty"]  # what the formgrader reads, too
        assert float(rows_of(tmp_path / "all.csv")[0]["late_submission_penalty"]) == round(student.penalty, 2)
        return student.penalty, student.score

    with (root / "nbgrader_config.py").open("a") as file:
        file.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    assert told() == (0, 50)
    with Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        book.update_or_create_assignment(LAB, duedate="2026-01-01 12:00:00 UTC")
    assert told() == (50, 0)  # a due date
    with Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        cell = book.find_grade("01-1-why", "01_answer", LAB, "ada")
        cell.manual_score, cell.needs_manual_grade = 7.0, False
        book.db.commit()
    assert told() == (57, 0)  # points that a person gave later
    with Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        book.grant_extension(LAB, "ada", days=2)
    assert told() == (0, 57)  # an extension


def test_a_plugin_that_is_not_there_is_named(root):
    with (root / "nbgrader_config.py").open("a") as file:
        file.write('\nc.AssignLatePenalties.plugin_class = "nowhere.Plugin"\n')
    with pytest.raises(database.GradebookError, match=r"the plugin for late work 'nowhere.Plugin' cannot be used"):
        grades_csv.export(root, root / "grades.csv")


def test_a_platform_is_told_from_all_names_at_once():
    assert platforms.platform_of(["a.zip", "adalovelace_1_2_w.zip"]) == "Canvas"
    assert platforms.platform_of(["Ada L_1_assignsubmission_file"]) == "Moodle"
    assert platforms.platform_of(["ada.zip"]) == ""
