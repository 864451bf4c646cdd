"""Kept submissions: what real people hand in, each with its exact points and the messages that it should show.

To add one, copy a file in `wrong/` or `right/` of a lab; docs/authoring.md describes its form.
"""

from __future__ import annotations

import pytest

from course import shipping
from course.labs import description, notebooks, runner, running

from . import answers
from .conftest import LIVE

WRONG_PER_LAB = 6
RIGHT_PER_LAB = 3


@pytest.mark.slow
@pytest.mark.timeout(2700)  # the first to ask runs the notebooks before it, too
def test_a_kept_submission_earns_exactly_its_points(kept, stages, examiner, tmp_path, monkeypatch):
    """A kernel runs only where an answer is made by a cell; an answer that is a file is written where it belongs.

    As when grading, the notebook's own cells have no cluster; questions have.
    """
    monkeypatch.setenv(LIVE, "off")
    case, original = kept.case, notebooks.read(kept.chapter.path)
    submitted, questions = answers.what_it_reaches(running.with_answers(original, case["cells"]), case)
    files = answers.as_files(original, submitted, case)
    folder = stages.copy(kept.lab, kept.chapter.place + (files is not None), tmp_path)
    if files is None:
        with runner.local_manager() as manager:
            runner.run(submitted, folder, runner.Policy(manager, runner.environment()))
    else:
        monkeypatch.setenv("COURSE_SHIPPED", str(folder / "shipped"))
        for line, body in files:
            shipping.ship_cell(line, body)
    with examiner(folder) as asked:
        judged = running.judged(running.examined(questions, asked))
    assert judged
    report = "\n".join(cell.judgement.text for cell in judged)
    expected = {cell.grade_id: cell.judgement.points for cell in judged} | case["grades"]
    assert {cell.grade_id: cell.judgement.score for cell in judged} == expected, report
    missing = [text for text in case["messages"] if _plain(text) not in _plain(report)]
    assert missing == [], report


def test_a_kept_submission_names_cells_that_exist_and_says_what_it_is_about(kept):
    case, original = kept.case, notebooks.read(kept.chapter.path)
    there = {notebooks.grade_id(cell) for cell in original.cells if notebooks.is_a(cell, "solution")}
    worth = {notebooks.grade_id(c): c.metadata.nbgrader.points for c in original.cells if notebooks.is_graded(c)}
    assert set(case["cells"]) <= there
    assert set(case["grades"]) <= set(worth)
    assert len(str(case["says"]).split()) >= 3
    if kept.path.parent.name == "right":
        assert case["grades"] == {}, "a right answer earns all points"
    else:
        assert any(case["grades"][name] < worth[name] for name in case["grades"]), "a wrong answer loses some points"
        assert case["messages"], "a wrong answer shows a message"


def test_a_lab_keeps_enough_wrong_and_right_submissions(lab):
    if "fixtures" in lab.submissions.parts or description.is_draft(lab.folder):
        wrong, right = 1, 1  # the very small lab, and one that is being written
    else:
        wrong, right = WRONG_PER_LAB, RIGHT_PER_LAB
    assert len(list(lab.submissions.glob("wrong/*.yaml"))) >= wrong
    assert len(list(lab.submissions.glob("right/*.yaml"))) >= right


def _plain(text: str) -> str:
    return " ".join(str(text).split())
