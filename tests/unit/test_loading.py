"""course.checks.core.loading: a grade cell finds its question beside the notebook."""

from __future__ import annotations

import pytest

from course.checks import grade, summary
from course.checks.core import loading

GOOD = """
from dataclasses import dataclass

from course.checks import Question, answer, expect

question = Question("A sum", points=2)


@dataclass
class Pair:
    left: int
    right: int


@question.check(2)
def is_right():
    "it is right"
    expect(answer("sum")).equals(sum(vars(Pair(40, 2)).values()))
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab's folder, in which the notebook runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_SHIPPED", raising=False)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "01-1-sum.py").write_text(GOOD)
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "answers.json").write_text('{"sum": 42}')
    return tmp_path


def test_a_question_is_found_by_its_id_and_judges_what_is_shipped(lab):
    assert repr(grade("01-1-sum")) == "2"
    (lab / "shipped" / "answers.json").write_text('{"sum": 43}')
    assert repr(grade("01-1-sum")) == "0"


def test_the_summary_has_a_line_for_each_question(lab):
    grade("01-1-sum")
    assert "A sum" in repr(summary())


def test_running_a_question_leaves_nothing_in_its_folder(lab):
    grade("01-1-sum")
    assert [path.name for path in (lab / "checks").iterdir()] == ["01-1-sum.py"]


def test_a_question_that_is_not_there_says_where_it_was_looked_for(lab):
    with pytest.raises(loading.QuestionMissing, match=r"'01-1-product' was not found: .*checks/01-1-product\.py"):
        grade("01-1-product")


@pytest.mark.parametrize("name", ["../01-1-sum", "", "a/b", ".hidden", "x" * 3 + "\n"])
def test_an_id_cannot_lead_elsewhere(lab, name):
    with pytest.raises(loading.QuestionMissing, match="cannot be the id"):
        grade(name)


def test_a_module_without_a_question_is_named(lab):
    (lab / "checks" / "01-1-none.py").write_text("question = 1\n")
    with pytest.raises(loading.QuestionMissing, match="assigns no Question"):
        grade("01-1-none")


def test_two_runs_share_nothing(lab):
    (lab / "checks" / "01-1-state.py").write_text(
        "from course.checks import Question\nquestion = Question('State', points=1)\nseen = []\n"
        "@question.check(1)\ndef first():\n    'it is the first time'\n    assert not seen\n    seen.append(1)\n"
    )
    assert [repr(grade("01-1-state")), repr(grade("01-1-state"))] == ["1", "1"]
