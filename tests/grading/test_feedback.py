"""What students and instructors are told: pages and files made from records that are made up here."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course.grading.gradebook import database
from course.grading.pipeline import outcomes
from course.grading.pipeline.submission import AnswerCell, Cell, Notebook, SubmissionOutcome
from course.grading.reports import class_report, feedback, marks
from course.labs import source

LAB = "01_tiny"
CHECKS = [
    {"name": "a", "title": "the sum is a number", "outcome": "pass", "points": 20, "worth": 20, "hidden": False},
    {
        "name": "b",
        "title": "it is the sum of both",
        "outcome": "fail",
        "points": 0,
        "worth": 20,
        "hidden": True,
        "hint": "add <them>",
        "reason": "SECRET REASON",
        "expected": "SECRET 42",
    },
]


def outcome(student, *, score=20.0, checks=CHECKS, why=None, problem=""):
    record = {"version": 1, "title": "A sum & more", "score": score, "points": 40, "checks": checks, "text": "t"}
    first = Notebook("01_answer", notes=["the cell x was missing; it was added again"])
    first.cells = [
        Cell("01-1-sum", 40, score, "t", record, "j"),
        Cell("01-1-file", 10, 10.0, "t", {**record, "title": "A file", "points": 10, "checks": []}, "j"),
        Cell("01-1-why", 10, why, "graded by hand", None, "j", by_hand=True),
    ]
    first.answers = [AnswerCell("01-1-sum-answer", False, "j", "01-1-sum")]
    second = Notebook("02_module", problem=problem)
    second.cells = [Cell("01-2-double", 40, 0.0 if problem else 40.0, problem, None, "")]
    return SubmissionOutcome(student, LAB, "s", "t", [first, second], seconds=2.0)


@pytest.fixture
def graded_root(class_root):
    """Three students whose outcomes are kept and recorded."""
    from course.grading.pipeline import assignment
    from course.labs import release

    made = [
        outcome("ada", score=40.0, checks=[{**CHECKS[0], "title": "the sum <b>is</b> a number"}]),
        outcome("bob", problem="02_module.ipynb was not handed in"),
        outcome("cyd"),
    ]
    config = release.configuration(class_root)
    with database.Gradebook(config.CourseDirectory.db_url, "late-flights") as book:
        with book.transaction() as connection:
            cells = assignment.load(connection, class_root / "solutions" / LAB)
        book.record([(one, None) for one in made], cells, config)
    for one in made:
        outcomes.Store(class_root, LAB).keep(one, {})
    with Gradebook(f"sqlite:///{class_root}/classroom/gradebook.db", "late-flights") as book:
        book.update_or_create_student("ada", first_name="Ada Žofie", last_name="O’Hara <x>", email="ada@x.org")
        book.update_or_create_student("bob", first_name="=1+1", last_name="李小龍", lms_user_id="77")
    return class_root


class Text(HTMLParser):
    """The text of a page, and whether its tags are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.words, self.levels = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        self.words.append(data)

    def __str__(self):
        return " ".join(" ".join(self.words).split())


def pages(root):
    return {student.id: path.read_text() for student, path in feedback.write(root, LAB)}


def test_feedback_says_what_passed_what_did_not_and_why(graded_root):
    text = str(Text(pages(graded_root)["bob"]))
    assert "30 of 100 points" in text
    assert "A sum & more · 20 of 40 points" in text
    assert "✓ passed : the sum is a number (20 / 20)" in text
    assert "✗ failed : it is the sum of both (hidden) (0 / 20) hint: add <them>" in text
    assert "02_module.ipynb was not handed in" in text
    assert "the cell x was missing; it was added again" in text
    assert "1 question waits for a person" in text


def test_feedback_tells_of_a_hidden_check_that_failed_its_title_and_hint_only(graded_root):
    assert all("SECRET" not in page for page in pages(graded_root).values())


def test_no_line_of_a_hidden_test_or_solution_is_in_the_feedback(graded_root):
    from course.labs import release

    secret, given = release.secrets(graded_root / "solutions" / LAB)
    assert secret - given
    for page in pages(graded_root).values():
        text = str(Text(page))
        assert not [line for line in secret - given if line in text or line in page]


def test_feedback_shows_a_persons_score_and_comment(graded_root):
    with Gradebook(f"sqlite:///{graded_root}/classroom/gradebook.db", "late-flights") as book:
        grade = book.find_grade("01-1-why", "01_answer", LAB, "cyd")
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 8, 1, False
        book.find_comment("01-1-sum-answer", "01_answer", LAB, "cyd").manual_comment = "Mind <the> units."
        book.db.commit()
    text = str(Text(pages(graded_root)["cyd"]))
    assert "9 of 10 points, 1 of them extra" in text
    assert "A person wrote: Mind <the> units." in text
    assert "waits for a person" not in text


def test_feedback_is_a_page_of_its_own_for_phones_and_paper(graded_root):
    page = pages(graded_root)["ada"]
    assert '<meta name="viewport"' in page
    assert "@media print" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    levels = Text(page).levels
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_what_students_wrote_is_text_in_a_page_never_markup(graded_root):
    page = pages(graded_root)["ada"]
    assert "<b>is</b>" not in page
    assert "the sum <b>is</b> a number" in str(Text(page))
    assert "Ada Žofie O’Hara <x>" in str(Text(page))


def test_feedback_replaces_what_was_there_before(graded_root):
    old = graded_root / "classroom" / "feedback" / "ada" / LAB / "01_answer.html"
    old.parent.mkdir(parents=True)
    old.write_text("with hidden tests")
    pages(graded_root)
    assert not old.exists()


def test_without_graded_work_it_says_what_comes_first(class_root):
    with pytest.raises(marks.MarksError, match=r"nothing of 01_tiny is graded yet; first: course grade 01_tiny"):
        list(feedback.write(class_root, LAB))


def test_an_unknown_student_is_named(graded_root):
    with pytest.raises(marks.MarksError, match=r"'eve'.*ada, bob, cyd"):
        list(feedback.write(graded_root, LAB, ("eve",)))


# -- the class ---------------------------------------------------------------------------------------------------------


def reports(root):
    return {path.name: path.read_text() for path in class_report.write(root, LAB)}


def test_the_report_shows_distribution_questions_failures_and_what_waits(graded_root):
    text = str(Text(reports(graded_root)["report.html"]))
    assert "3 students. Mean 63.3, median 70.0 of 100 points. 3 questions wait for a person" in text
    assert "1 with 30 to 40 %" in text
    assert "A sum & more it is the sum of both 2" in text  # failed by two
    assert "graded by hand" in text
    assert "6 s in all" in text


def test_the_hardest_question_comes_first(graded_root):
    html = reports(graded_root)["report.html"]
    hardest = html[html.index("How the class did") :]
    assert hardest.index("A sum &amp; more") < hardest.index("A file")


def test_the_csv_has_a_line_for_each_student_and_a_column_for_each_question(graded_root):
    rows = list(csv.DictReader(io.StringIO(reports(graded_root)["grades.csv"])))
    assert [(row["student"], row["so_far"], row["01-1-sum"]) for row in rows] == [
        ("ada", "90", "40"),
        ("bob", "30", "20"),
        ("cyd", "70", "20"),
    ]
    assert {row["score"] for row in rows} == {""}  # a question of each waits


def test_a_name_that_a_spreadsheet_would_take_for_a_formula_is_text(graded_root):
    made = reports(graded_root)
    assert all(",=1+1" not in made[name] and "\n=1+1" not in made[name] for name in ("grades.csv", "moodle.csv"))
    assert "'=1+1" in made["grades.csv"]


def test_canvas_gets_its_columns_and_the_points_possible(graded_root):
    rows = list(csv.reader(io.StringIO(reports(graded_root)["canvas.csv"])))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", LAB]
    assert rows[1] == ["    Points Possible", "", "", "", "", "100"]
    assert rows[2:] == [["李小龍, =1+1", "77", "", "", "", ""]]  # the others have no number of Canvas


def test_moodle_gets_names_that_it_can_map(graded_root):
    rows = list(csv.DictReader(io.StringIO(reports(graded_root)["moodle.csv"])))
    assert (rows[1]["Username"], rows[1]["Surname"], rows[1][LAB]) == ("bob", "李小龍", "")


def test_the_json_says_the_same_as_the_pages(graded_root):
    data = json.loads(reports(graded_root)["grades.json"])
    assert data["version"] == 1
    assert {student["student"]: student["score"] for student in data["students"]} == {"ada": 90, "bob": 30, "cyd": 70}
    assert data["students"][0]["questions"][0]["title"] == "A sum & more"


def test_the_fixture_has_hidden_tests_to_look_for(graded_root):
    questions = source.questions(graded_root / "solutions" / LAB)
    assert any("BEGIN HIDDEN TESTS" in path.read_text() for path in questions)


def test_a_question_for_a_person_is_called_by_its_heading():
    from course.grading.reports import marks

    titles = marks.headings(Path(__file__).resolve().parents[1] / "fixtures" / "course" / "solutions" / "01_tiny")
    assert titles["01_answer", "01-1-why"] == "In your words"
    assert titles["01_answer", "01-1-sum"] == "A sum"
    cell = marks.Cell("01-1-why", 10.0, None)
    assert marks._question("01_answer", cell, {}, "", titles).title == "In your words"
    assert marks._question("01_answer", cell, {}, "", {}).title == "01-1-why"
