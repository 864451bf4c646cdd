"""Of every graded cell: the solution earns all, the blank nothing, and run alone it says the same."""

from __future__ import annotations

import pytest

from course.labs import notebooks, running

from .conftest import CHAPTERS, TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]  # the first to ask runs the notebooks before it, too


def test_the_solution_earns_all_points(graded, stages):
    chapter, name = graded
    judgement = next(cell.judgement for cell in running.judged(stages.ran(chapter)) if cell.grade_id == name)
    assert judgement.score == judgement.points, judgement.text


def test_the_blank_earns_nothing(graded, blank_scores):
    chapter, name = graded
    blank = blank_scores(chapter.lab)[name]
    assert blank["score"] == 0, blank["text"]


def test_a_blank_fails_kindly(graded, blank_scores):
    chapter, name = graded
    text = blank_scores(chapter.lab)[name]["text"]
    assert "✗" in text
    assert "Traceback" not in text


def test_questions_asked_in_a_process_of_their_own_give_the_same(stages, examiner, tmp_path):
    """Of the very small lab; of all others kept submissions and whole classes show it."""
    chapter = next(chapter for chapter in CHAPTERS if chapter.lab.root == TINY)
    with examiner(stages.copy(chapter.lab, 1, tmp_path)) as questions:
        alone = running.judged(running.examined(notebooks.read(chapter.path), questions))
    scores = {cell.grade_id: (cell.judgement.score, cell.judgement.text) for cell in alone}
    ran = running.judged(stages.ran(chapter))
    assert scores == {cell.grade_id: (cell.judgement.score, cell.judgement.text) for cell in ran}


def test_a_question_keeps_points_for_hidden_checks_or_says_that_it_has_none(graded, stages):
    chapter, name = graded
    result = next(cell.judgement.result for cell in running.judged(stages.ran(chapter)) if cell.grade_id == name)
    assert result.hidden_points == 0, "the solution's own folder holds all checks"
