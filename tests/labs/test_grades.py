"""Of every graded cell: the solution earns all, the blank nothing, and run alone it says the same."""

from __future__ import annotations

import pytest

from course.labs import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first to ask runs the notebooks before it, too


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


def test_grade_cells_alone_in_a_new_kernel_say_the_same(chapter, stages, grade_cells_alone):
    scores = {c.grade_id: (c.judgement.score, c.judgement.text) for c in grade_cells_alone(chapter)}
    expected = {c.grade_id: (c.judgement.score, c.judgement.text) for c in running.judged(stages.ran(chapter))}
    assert scores == expected


def test_a_question_keeps_points_for_hidden_checks_or_says_that_it_has_none(graded, stages):
    chapter, name = graded
    record = next(cell.judgement.result for cell in running.judged(stages.ran(chapter)) if cell.grade_id == name)
    assert record["hidden_points"] == 0, "the solution's own notebook holds all checks"
    assert sum(check["worth"] for check in record["checks"]) == record["points"]
