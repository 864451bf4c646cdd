"""An instructor's way in a real Chromium and a terminal: release, collect, grade, judge by hand, give back."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from course.student import handing_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
LAB = "01_tiny"
REMARK = "You named the common factor: well argued."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course with a very small lab that was never released."""
    folder = tmp_path / "course"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions", folder / "solutions")
    shutil.copytree(REPOSITORY / "env_setup" / "jupyterlab", folder / "env_setup" / "jupyterlab")
    shutil.copyfile(REPOSITORY / "nbgrader_config.py", folder / "nbgrader_config.py")
    (folder / "labs").mkdir()
    return folder


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """What Moodle exports when two students have handed in what `course submit` makes; the second did half of it."""
    path = tmp_path / "late flights-lab 1-42.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, person in enumerate(("Ada Lovelace", "Grace Hopper")):
            lab = tmp_path / f"student-{number}" / "labs" / LAB
            shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions" / LAB, lab)
            if number:
                (lab / "02_module.ipynb").unlink()
            done = handing_in.hand_in(lab)
            archive.write(done.zip, f"{person}_{100 + number}_assignsubmission_file_/{done.zip.name}")
    return path


@pytest.fixture
def course(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The `course` command in that course."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        program = Path(sysconfig.get_path("scripts"), "course")
        return subprocess.run([program, *words], cwd=root, capture_output=True, text=True, timeout=300)

    return run


def test_from_release_to_grades(root, export, course, start_jupyter, new_page):
    from playwright.sync_api import expect

    command = ["jupyter", "lab", "--config=env_setup/jupyterlab/config.py", "--no-browser"]
    address, _, token = start_jupyter(command, root).partition("?")
    page = new_page()

    # release, in the formgrader
    page.goto(f"{address}formgrader?{token}")
    row = page.get_by_role("row", name=LAB)
    row.locator("td.assign a").click()
    expect(page.get_by_text(f"Successfully created the student version of '{LAB}'")).to_be_visible(timeout=120_000)
    page.screenshot(path=SCREENSHOTS / "instructor-1-released.png")
    released = (root / "labs" / LAB / "01_answer.ipynb").read_text()
    assert "YOUR CODE HERE" in released
    assert "common factor" not in released

    # what the platform exports is taken in and graded, in the terminal
    taken = course("collect", "01", str(export))
    assert "took in 01_tiny of Ada Lovelace, receipt" in taken.stdout, taken.stderr
    assert "2 taken in, 0 refused" in taken.stdout
    graded = course("grade", "01")
    assert graded.returncode == 3, graded.stderr  # a person is needed
    assert "2 of 2 students" in graded.stderr
    assert "Ada Lovelace: 90 of 100 points; 1 cell to be looked at by a person" in graded.stdout

    # the queue of what waits for a person, one of it judged with the mark scheme in sight
    page.goto(f"{address}formgrader/gradebook/{LAB}/01_answer")
    links = page.locator("table tbody").get_by_role("link", name="Submission #")
    expect(links).to_have_count(2)
    page.screenshot(path=SCREENSHOTS / "instructor-2-queue.png")
    links.first.click()
    score = page.locator('input.score[id="01-1-why"]')
    expect(page.get_by_text("10 points for naming the common factor of two.")).to_be_visible()
    expect(score).to_have_class(re.compile("needs_manual_grade"))  # its points have come
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        score.fill("10")
        score.press("Tab")
    comment = page.locator('textarea[id="01-1-why-comment"]')
    with page.expect_response(lambda answer: "/api/comment/" in answer.url and answer.request.method == "PUT"):
        comment.fill(REMARK)
        comment.press("Tab")
    comment.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "instructor-3-judged.png")

    # the student reads it
    given = course("feedback", "01")
    assert given.returncode == 0, given.stderr
    pages = list((root / "classroom" / "feedback").glob(f"*/{LAB}/feedback.html"))
    (judged,) = [one for one in pages if REMARK in one.read_text()]
    page.goto(judged.as_uri())
    expect(page.get_by_text(REMARK)).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "instructor-4-feedback.png", full_page=True)

    # and the grades leave
    assert course("export").returncode == 0
    with (root / "classroom" / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: row["score"] for row in csv.DictReader(file)}
    everything = {"Ada Lovelace": "100", "Grace Hopper": "60"}
    done = judged.parent.parent.name
    assert scores == {student: everything[student] if student == done else "" for student in everything}
