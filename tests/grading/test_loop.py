"""The whole loop over a very small lab: submit, grade, feedback, export."""

from __future__ import annotations

import csv
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbgrader.api import Gradebook

from course.grading.intake import submissions
from course.grading.pipeline import classroom, outcomes
from course.labs import description, notebooks, release, running, source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # many kernels start
    # nbgrader's way of reading rows, on a newer SQLAlchemy: nbgrader's to mend
    pytest.mark.filterwarnings("ignore:The Result.tuples:DeprecationWarning"),
]
LAB = "01_tiny"
IN_THE_SAMPLE = (
    "02_serialisation"  # of the real labs; lab 01 takes minutes, for it runs students' tests on many variants
)
REPOSITORY = Path(__file__).resolve().parents[2]


def hand_in(root, student, answers=None, *, blank=()):
    """Submit the solution, with some answers replaced and some notebooks left blank."""
    work = root / "work" / student
    work.mkdir(parents=True)
    for path in sorted((root / "solutions" / LAB).glob("*.ipynb")):
        if path.stem in blank:
            shutil.copyfile(root / "labs" / LAB / path.name, work / path.name)
        else:
            original = notebooks.read(path)
            mine = {key: text for key, text in (answers or {}).items() if key in path.read_text()}
            notebooks.write(running.with_answers(original, mine), work / path.name)
    submissions.submit(root, work, lab=LAB, student=student)


def gradebook(root):
    return Gradebook(f"sqlite:///{root}/classroom/gradebook.db")


@pytest.fixture
def autograde(one_worker):
    """Grade everybody; one entry per student, by name."""

    def of(root, lab=LAB):
        summary = classroom.grade(root, lab, one_worker, classroom.Options(quiet=True))
        assert not summary.trouble
        return [SimpleNamespace(student=student, **row) for student, row in summary.scores.items()]

    return of


def test_a_class_of_three_goes_through_the_loop(released_root, run_course):
    hand_in(released_root, "ada")
    hand_in(released_root, "bob", {"01-1-sum-answer": "answers['sum'] = 41"}, blank=["02_module"])
    hand_in(released_root, "cyd", blank=["01_answer", "02_module"])
    graded = run_course(released_root, "grade", LAB)
    assert graded.exit_code == 3, graded.output  # a person is needed
    waiting = "; 1 cell to be looked at by a person"  # the written task
    assert graded.stdout.splitlines() == [
        LAB,
        f"  ada: 90 of 100 points{waiting}",
        f"  bob: 30 of 100 points{waiting}",
        f"  cyd: 0 of 100 points{waiting}",
    ]
    assert run_course(released_root, "feedback").exit_code == 0
    page = (released_root / "classroom" / "feedback" / "bob" / LAB / "feedback.html").read_text()
    assert "add the two numbers, do not multiply them" in page
    assert "it is the sum of both numbers" in page
    assert not list((released_root / "classroom" / "feedback").rglob("*.json"))
    exported = run_course(released_root, "export", "--to", str(released_root / "grades.csv"))
    assert exported.exit_code == 0, exported.output
    rows = list(csv.DictReader((released_root / "grades.csv").read_text().splitlines()))
    finals = [(row["student_id"], row["score"], row["waiting"]) for row in rows]
    assert finals == [("ada", "", "1"), ("bob", "", "1"), ("cyd", "", "1")]  # blank until the written task is judged


def test_a_warning_costs_nothing_and_a_syntax_error_takes_only_its_own_cell(released_root, autograde):
    noisy = "import sys, warnings\nwarnings.warn('old')\nprint('x', file=sys.stderr)\nanswers['sum'] = 42"
    hand_in(released_root, "ada", {"01-1-sum-answer": noisy, "01-1-file-answer": "%%ship project.yaml\nname: ada"})
    hand_in(released_root, "bob", {"01-1-sum-answer": "answers['sum' = 42"})
    scores = {outcome.student: outcome.score for outcome in autograde(released_root, LAB)}
    assert scores == {"ada": 90, "bob": 10}


def test_what_cannot_be_judged_goes_to_a_person_with_what_could(released_root, autograde):
    path = released_root / "solutions" / LAB / "checks" / "01-2-double.py"
    breaks = "    raise OSError('the disk')\n    expect(doubling.double(-4)"
    path.write_text(path.read_text().replace("    expect(doubling.double(-4)", breaks))
    hand_in(released_root, "ada")
    (outcome,) = autograde(released_root, LAB)
    assert (outcome.score, outcome.waiting) == (70, 2)  # the points of the other check are kept
    with gradebook(released_root) as book:
        grade = book.find_grade("01-2-double", "02_module", LAB, "ada")
        assert (grade.auto_score, grade.needs_manual_grade) == (20, True)
        assert "20 of 40 points" in book.find_comment("01-2-double-answer", "02_module", LAB, "ada").comment


def test_a_check_that_breaks_on_what_one_student_shipped_fails_and_costs_its_own_points_only(released_root, autograde):
    path = released_root / "solutions" / LAB / "checks" / "01-1-sum.py"
    path.write_text(
        path.read_text().replace('expect(answer("sum"), "the sum").equals(42)', 'assert 42 / answer("sum") == 1')
    )
    hand_in(released_root, "ada", {"01-1-sum-answer": "from course.shipping import answers\nanswers['sum'] = 0"})
    hand_in(released_root, "bob")
    ada, bob = autograde(released_root)
    assert (ada.waiting, bob.waiting) == (1, 1)  # the question that a person always grades
    assert bob.score == 90
    kept = outcomes.Store(released_root, LAB).read("ada")
    (cell,) = [cell for cell in kept.notebooks[0].cells if cell.grade_id == "01-1-sum"]
    assert [check["outcome"] for check in cell.result["checks"]] == ["pass", "fail"]
    assert cell.score == 20
    assert "add the two numbers, do not multiply them" in cell.text
    assert [note for note in kept.notebooks[0].notes if "the solution passes here" in note]


def test_one_bad_submission_does_not_stop_the_others(released_root, autograde):
    hand_in(released_root, "ada")
    hand_in(released_root, "bob")
    broken = released_root / "classroom" / "submitted" / "ada" / LAB / "02_module.ipynb"
    broken.write_text("{")
    ada, bob = autograde(released_root, LAB)
    assert ada.score == 50  # what the other notebook is worth to a machine
    assert bob.score == 90


def test_a_solution_that_was_run_in_place_is_not_given_to_students(released_root, autograde):
    shipped = released_root / "solutions" / LAB / "shipped"
    shipped.mkdir()
    (shipped / "answers.json").write_text('{"sum": 42}')
    (shipped / "doubling.py").write_text("def double(x):\n    return 2 * x\n")
    hand_in(released_root, "cyd", blank=["01_answer", "02_module"])
    (outcome,) = autograde(released_root, LAB)
    assert outcome.score == 0


def test_a_grade_cell_that_was_changed_or_deleted_counts_as_it_was(released_root, autograde):
    hand_in(released_root, "eve", blank=["01_answer", "02_module"])
    folder = released_root / "classroom" / "submitted" / "eve" / LAB
    notebook = notebooks.read(folder / "02_module.ipynb")
    for cell in notebook.cells:
        if notebooks.is_graded(cell):
            cell.source = "40"
    notebooks.write(notebook, folder / "02_module.ipynb")
    notebook = notebooks.read(folder / "01_answer.ipynb")
    notebook.cells = [cell for cell in notebook.cells if notebooks.grade_id(cell) != "01-1-sum"]
    notebooks.write(notebook, folder / "01_answer.ipynb")
    (outcome,) = autograde(released_root, LAB)
    assert (outcome.score, outcome.points) == (0, 100)


def test_an_answer_that_does_not_run_is_told_with_its_error(released_root, run_course, autograde):
    hand_in(released_root, "ada", {"01-1-sum-answer": "answers['sum'] = sum([20, 22]"})
    hand_in(released_root, "bob", blank=["01_answer", "02_module"])
    autograde(released_root, LAB)
    assert run_course(released_root, "feedback").exit_code == 0
    feedback = released_root / "classroom" / "feedback"
    ada, bob = (html.unescape((feedback / who / LAB / "feedback.html").read_text()) for who in ("ada", "bob"))
    assert re.search(r"A sum: its cell ended with SyntaxError: .{1,40} \(line 1\)<", ada)
    assert "its cell ended" not in bob  # a blank stops at its own stub


def test_a_second_run_grades_only_what_is_new(released_root, autograde):
    hand_in(released_root, "ada")
    assert [outcome.score for outcome in autograde(released_root, LAB)] == [90]
    stamp = released_root / "classroom" / "autograded" / "ada" / LAB / "01_answer.ipynb"
    before = stamp.stat().st_mtime_ns
    assert [outcome.score for outcome in autograde(released_root, LAB)] == [90]
    assert stamp.stat().st_mtime_ns == before
    shutil.rmtree(released_root / "work")
    hand_in(released_root, "ada", {"01-1-sum-answer": "answers['sum'] = 1"})
    assert [outcome.score for outcome in autograde(released_root, LAB)] == [30]


def test_each_step_says_what_comes_before_it(released_root, run_course):
    for step, message in (("grade", "course collect"), ("feedback", "course grade"), ("export", "course grade")):
        result = run_course(released_root, step)
        assert result.exit_code == 1
        assert message in result.output
    hand_in(released_root, "ada")
    unknown = run_course(released_root, "grade", LAB, "--student", "zoe")
    assert unknown.exit_code == 1
    assert "these have: ada" in unknown.output


def test_nbgraders_own_commands_do_the_same(released_root):
    hand_in(released_root, "bob", {"01-1-sum-answer": "answers['sum'] = 41"})
    release.register(released_root)
    for command in (["autograde", LAB], ["generate_feedback", LAB], ["export"]):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=released_root,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert "waits for a person, and their score is blank" in done.stderr
    rows = list(csv.DictReader((released_root / "grades.csv").read_text().splitlines()))
    assert [(row["student_id"], row["score"], row["waiting"]) for row in rows] == [("bob", "", "1")]
    with gradebook(released_root) as book:
        assert book.find_submission(LAB, "bob").score == 30


def test_the_validate_button_is_content_when_all_visible_checks_pass(released_root):
    hand_in(released_root, "ada")
    folder = released_root / "classroom" / "submitted" / "ada" / LAB
    for path in folder.glob("*.ipynb"):
        blank = notebooks.read(released_root / "labs" / LAB / path.name)
        checks = {notebooks.grade_id(cell): cell for cell in blank.cells if notebooks.is_graded(cell)}
        mine = notebooks.read(path)
        mine.cells = [checks.get(notebooks.grade_id(cell), cell) for cell in mine.cells]
        notebooks.write(mine, path)
    shutil.copytree(released_root / "labs" / LAB / "checks", folder / "checks")
    (folder / "wrong.ipynb").write_text((folder / "01_answer.ipynb").read_text().replace("sum([20, 22])", "'42'"))
    right, wrong = (_validate(folder / name) for name in ("01_answer.ipynb", "wrong.ipynb"))
    assert "Success! Your notebook passes all the tests." in right
    assert "VALIDATION FAILED ON 1 CELL" in wrong


def _validate(path):
    command = [sys.executable, "-m", "nbgrader", "validate", path.name]
    done = subprocess.run(command, cwd=path.parent, env=dict(os.environ), capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def _real_labs():
    """All labs that are released, first the one of the sample; some need more than this machine may have."""
    labs = sorted(description.of_course(REPOSITORY), key=lambda lab: lab.name != IN_THE_SAMPLE)
    return [pytest.param(lab.name, marks=[getattr(pytest.mark, needed) for needed in lab.needs]) for lab in labs]


@pytest.mark.sampled
@pytest.mark.timeout(1800)  # students take a whole lab
@pytest.mark.parametrize("lab", _real_labs())
def test_a_class_takes_a_real_lab(course_root, lab, autograde):
    """The solution earns all that no person grades. Blanks are tried question by question, in tests/labs."""
    shutil.rmtree(course_root / "solutions")
    left_out = shutil.ignore_patterns(*source.GENERATED)
    shutil.copytree(REPOSITORY / "solutions", course_root / "solutions", ignore=left_out)  # a lab starts from another
    release.release(course_root, [lab])
    names = [path.name for path in source.sources(course_root / "solutions" / lab)]
    work = shutil.copytree(course_root / "labs" / lab, course_root / "work" / "ada")
    for name in names:
        shutil.copyfile(course_root / "solutions" / lab / name, work / name)
    submissions.submit(course_root, work, lab=lab, student="ada")
    (outcome,) = autograde(course_root, lab)
    by_machine = sum(
        cell.metadata.nbgrader.points
        for name in names
        for cell in notebooks.read(course_root / "solutions" / lab / name).cells
        if notebooks.is_graded(cell)
    )
    assert outcome.score == by_machine
