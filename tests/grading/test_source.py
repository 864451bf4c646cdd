"""What release refuses in source notebooks."""

from __future__ import annotations

import pytest

from course.labs import notebooks, source

QUESTION = """from course.checks import Question

question = Question("Sum", points=4)
### BEGIN HIDDEN TESTS
### END HIDDEN TESTS
"""
CHECKS = source.grade_cell("01-1-sum")
GOOD = {"01-1-sum": QUESTION}
ANSWER = ("py", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", {"grade_id": "01-1-sum-answer", "solution": True})
GRADE = ("py", CHECKS, {"grade_id": "01-1-sum", "grade": True, "points": 4})


@pytest.fixture
def problems(tmp_path, make_notebook):
    def find(*cells, name="01_sum", questions=GOOD):
        lab = tmp_path / "solutions" / "01_lab"
        lab.mkdir(parents=True, exist_ok=True)
        notebooks.write(make_notebook(*cells), lab / f"{name}.ipynb")
        (lab / "checks").mkdir(exist_ok=True)
        for name, text in questions.items():
            (lab / "checks" / f"{name}.py").write_text(text)
        return "\n".join(map(str, source.problems(lab)))

    return find


def test_a_sound_lab_has_no_problem(problems):
    assert problems(ANSWER, GRADE) == ""


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("py", "### BEGIN SOLUTION\nx = 1", ANSWER[2]), "'END SOLUTION' is missing"),
        (("py", "x = 1\n### END SOLUTION", ANSWER[2]), "without 'BEGIN SOLUTION'"),
        (("py", "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", ANSWER[2]), "inside a region"),
        (("py", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), "do not call a solution cell"),
        (("py", "### BEGIN HIDDEN TESTS\nx\n### END HIDDEN TESTS"), "do not call a question's module"),
        (("md", "=== BEGIN MARK SCHEME ===\nx\n=== END MARK SCHEME ==="), "do not call a task cell"),
        (("py", "x = 1", {"solution": True}), "no grade_id"),
        (("py", "x = 1", {"solution": True, "grade_id": "sum"}), "looks like 01-1-words; got 'sum'"),
        (("py", CHECKS, {"grade": True, "grade_id": "01-1-sum"}), "has no points"),
        (
            ("py", CHECKS, {"grade": True, "grade_id": "01-1-sum", "points": 5}),
            "worth 4 points, nbgrader's metadata say 5",
        ),
        (("py", CHECKS + "\nprint()", GRADE[2]), "a grade cell holds nothing but"),
        (("py", "1 +", GRADE[2]), "a grade cell holds nothing but"),
        (ANSWER, "no notebook has a grade cell with the id '01-1-sum'"),
        (("py", CHECKS, {**GRADE[2], "grade_id": "01-1-other"}), "checks/01-1-other.py: is missing"),
    ],
)
def test_a_fault_in_a_cell_is_named(problems, cell, message):
    assert message in problems(cell)


def test_a_lab_of_more_than_100_points_is_refused(problems):
    questions = {"01-1-sum": QUESTION.replace("4", "101")}
    assert "101 points together" in problems(("py", CHECKS, {**GRADE[2], "points": 101}), questions=questions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question = 1 +", "cannot be used: invalid syntax"),
        ("question = 1", "calls Question(..., points=...) once"),
        (QUESTION + QUESTION, "calls Question(..., points=...) once"),
        (QUESTION.replace("### END HIDDEN TESTS", ""), "'END HIDDEN TESTS' is missing"),
    ],
)
def test_a_fault_in_a_question_is_named(problems, text, message):
    assert message in problems(ANSWER, GRADE, questions={"01-1-sum": text})


def test_metadata_take_the_points_of_their_question(problems, tmp_path):
    problems(ANSWER, (*GRADE[:2], {**GRADE[2], "points": 3}))
    path = tmp_path / "solutions" / "01_lab" / "01_sum.ipynb"
    cell = source.with_points(notebooks.read(path), path.parent).cells[1]
    assert (cell.metadata.nbgrader.points, cell.source) == (4, CHECKS)


def test_a_grade_id_used_in_two_notebooks_is_found(problems):
    problems(GRADE)
    assert "'01-1-sum' is used twice" in problems(GRADE, name="02_sum")


def test_a_notebook_that_is_not_in_normal_form_is_found(problems, tmp_path):
    problems(GRADE)
    path = tmp_path / "solutions" / "01_lab" / "01_sum.ipynb"
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 3'))
    assert "course normalise" in "\n".join(map(str, source.problems(path.parent)))


def test_a_given_file_with_a_solution_is_found(problems, tmp_path):
    problems(GRADE)
    (tmp_path / "solutions" / "01_lab" / "help.py").write_text("### BEGIN SOLUTION\n### END SOLUTION\n")
    assert "goes to students" in "\n".join(map(str, source.problems(tmp_path / "solutions" / "01_lab")))


def test_what_running_leaves_behind_is_not_given(tmp_path):
    for name in ("data.csv", "shipped/answers.json", "__pycache__/a.pyc", "own/.git/HEAD", "own/code.py", "given/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in source.given_files(tmp_path)] == [
        "data.csv",
        "given/a.py",
    ]
