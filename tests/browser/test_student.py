"""A student's way through JupyterLab in a real Chromium: from `make lab` to a zip with a receipt."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
LAB = "01_python_model"
NOTEBOOK = "01_frame_the_problem"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The course as a student has it, with the environment that is here."""
    folder = tmp_path / "late-flights-course"
    left_out = shutil.ignore_patterns("shipped", "handed_over", "late-flights", ".ipynb_checkpoints", "0[2-9]_*")
    for name in ("env_setup", "labs"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=left_out)
    for name in ("Makefile", "nbgrader_config.py", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv" / "course-environment").write_text(f"{folder}\n")
    return folder


def solution(grade_id: str) -> str:
    """The source of an answer cell in the solutions."""
    notebook = json.loads((REPOSITORY / "solutions" / LAB / f"{NOTEBOOK}.ipynb").read_text())
    cells = {cell["metadata"].get("nbgrader", {}).get("grade_id"): cell for cell in notebook["cells"]}
    return "".join(cells[grade_id]["source"])


def test_from_the_map_to_a_receipt(clone, start_jupyter, new_page):
    from playwright.sync_api import expect

    page = new_page()
    page.goto(start_jupyter(["make", "lab", "ARGS=--no-browser"], clone))

    # the map, and the first notebook
    page.get_by_role("link", name="Frame the problem").click()
    notebook = page.locator(".jp-NotebookPanel")
    expect(notebook.get_by_role("heading", name="Frame the problem")).to_be_visible()
    expect(page.get_by_role("button", name="| Idle")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "student-1-notebook.png")

    # all of the blank is run: it says kindly where it stops, and what to do
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    blank = notebook.locator(".jp-CodeCell", has_text="Not solved yet: this cell is yours").first
    expect(blank).to_contain_text("Put your answer in place of the line raise NotImplementedError()")
    expect(blank).not_to_contain_text("Traceback")
    blank.locator(".cm-content").click()
    page.screenshot(path=SCREENSHOTS / "student-2-blank.png")

    # the first exercise is solved, and its check run
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(solution("01-1-look-answer"))
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    result = notebook.locator(".jp-OutputArea-output", has_text="Two numbers").first
    expect(result).to_contain_text("1 of 1 point, 2 more are decided by hidden checks")
    page.screenshot(path=SCREENSHOTS / "student-3-check.png")

    # the summary
    last = notebook.locator(".jp-CodeCell", has_text="summary()").last
    last.scroll_into_view_if_needed()
    last.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(last.locator("table")).to_contain_text("Two numbers")
    page.screenshot(path=SCREENSHOTS / "student-4-summary.png")

    # Validate saves, and says what does not pass yet
    notebook.get_by_text("Validate", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("A cell above is not solved yet", timeout=120_000)
    expect(dialog).to_contain_text("What passes already: Two numbers")
    expect(dialog).not_to_contain_text("Two numbers ·")
    page.screenshot(path=SCREENSHOTS / "student-5-validate.png")
    dialog.get_by_role("button").last.click()

    # the button above the notebook leads to the page where it is handed in
    with page.context.expect_page() as opened:
        notebook.get_by_text("Hand in", exact=True).click()
    door = opened.value
    expect(door.get_by_role("heading", name=re.compile(r"Lab 01 \(python model\): 1 of"))).to_be_visible()
    open_here = door.get_by_text(re.compile("Frame the problem: 1 of .* still open"))
    open_here.click()
    expect(door.get_by_role("listitem").filter(has_text="not checked yet; run its check").first).to_be_visible()
    door.get_by_role("button", name="Hand in Lab 01").click()
    receipt = door.get_by_role("status")
    expect(receipt).to_contain_text("is packed")
    door.screenshot(path=SCREENSHOTS / "student-6-handed-in.png")
    with door.expect_download() as download:
        receipt.get_by_role("link").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        said = json.loads(archive.read(f"{LAB}/receipt.json"))
        answers = json.loads(archive.read(f"{LAB}/shipped/answers.json"))
    expect(receipt).to_contain_text(said["code"])
    door.reload()  # which hands in nothing
    expect(door.get_by_role("heading", name="Hand in", exact=True)).to_be_visible()
    expect(receipt).to_have_count(0)
    assert said["files"].keys() >= {f"{NOTEBOOK}.ipynb", "shipped/answers.json"}
    assert "late_rate" in answers
