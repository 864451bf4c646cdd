"""Solutions for students: what is in them, what is not, and who gets an error."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from course.cli import main
from course.labs import description, solved, source

REPOSITORY = Path(__file__).resolve().parents[2]
LABS = [lab.name for lab in description.of_course(REPOSITORY)]


@pytest.mark.parametrize("lab", LABS)
def test_each_lab_can_be_given_out_solved(lab):
    files = solved.contents(REPOSITORY, REPOSITORY / "solutions" / lab)
    names = {path.name for path in source.sources(REPOSITORY / "solutions" / lab)}
    assert names <= files.keys()
    assert description.FILE not in files
    for name, data in files.items():
        if name.endswith(".ipynb") or name.startswith("checks/"):
            text = data.decode()
            assert "BEGIN SOLUTION" not in text, name
            assert "HIDDEN TESTS" not in text, name
            assert "BEGIN MARK SCHEME" not in text, name


def test_the_page_names_each_question_its_hidden_checks_and_real_mistakes():
    page = solved.page(REPOSITORY, REPOSITORY / "solutions" / "01_python_model")
    for path in source.questions(REPOSITORY / "solutions" / "01_python_model"):
        assert f"[`{path.stem}`](checks/{path.name})" in page
    assert "- the late rate is right to four decimals (1, hidden). Hint: " in page
    mistake = "This person filled missing outcomes with False, so cancelled flights count as on time."
    assert f"- {mistake} This earns 2 of 3.\n" in page
    assert "### Right in other ways\n" in page


def test_a_solved_notebook_still_runs_its_answer():
    files = solved.contents(REPOSITORY, REPOSITORY / "solutions" / "01_python_model")
    book = json.loads(files["01_frame_the_problem.ipynb"])
    text = "".join("".join(cell["source"]) + "\n" for cell in book["cells"])
    assert 'answers["late_rate"] = past["late"].mean()' in text
    assert "**How it was judged**" in text


def test_the_zip_unpacks_beside_the_labs(tmp_path):
    target = tmp_path / "x.zip"
    done = CliRunner().invoke(main, ["--root", str(REPOSITORY), "solutions", "02", "--to", str(target)])
    assert done.exit_code == 0, done.output
    assert "give it out after the deadline" in done.output
    with zipfile.ZipFile(target) as archive:
        assert {name.split("/")[1] for name in archive.namelist()} == {"solved"}
        assert "course/solved/02_serialisation/README.md" in archive.namelist()


def test_a_draft_and_a_course_without_solutions_are_refused(tmp_path):
    (tmp_path / "labs" / "01_python_model").mkdir(parents=True)
    done = CliRunner().invoke(main, ["--root", str(tmp_path), "solutions", "01"])
    assert done.exit_code == 1
    assert "solutions" in done.output
    lab = tmp_path / "solutions" / "09_new"
    lab.mkdir(parents=True)
    notebook = next((REPOSITORY / "solutions" / "01_python_model").glob("*.ipynb"))
    (lab / "01_first.ipynb").write_bytes(notebook.read_bytes())
    (lab / description.FILE).write_text(
        "title: T\nshort: T\nline: T.\nships: a number\ndraft: true\n"
        "notebooks:\n  01_first: {title: F, minutes: 30, ships: a number}\n"
    )
    done = CliRunner().invoke(main, ["--root", str(tmp_path), "solutions", "09"])
    assert done.exit_code == 1
    assert "09_new is a draft: students do not have it yet" in done.output
