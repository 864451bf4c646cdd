"""course.labs.examiner: questions run in a process of their own, within their deadline, whatever becomes of it."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

from course.base.result import MIME, Result
from course.labs import examiner, runner

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are handed to a child")

PASSES = '''
    @question.check(1)
    def passes():
        """it passes"""
'''
QUESTIONS = {
    "good": PASSES,
    "slow": """
    import time
    question.check(1, title="at once")(lambda: None)
    question.check(1, title="slow")(lambda: time.sleep(600))
    question.check(1, title="after it")(lambda: None)
""",
    "fatal": '''
    @question.check(1)
    def ends():
        """it ends the process"""
        import os
        os._exit(3)
''',
    "counting": '''
    import sys
    sys.counted = getattr(sys, "counted", 0) + 1

    @question.check(1)
    def is_the_first():
        """it is the first in its process"""
        assert sys.counted == 1, f"the process has run {sys.counted}"
''',
}


@pytest.fixture
def asked(tmp_path):
    """An examiner of a lab with these questions, whose checks are worth a point each; the slow one has a second."""
    folder = tmp_path / "checks"
    folder.mkdir()
    for name, body in QUESTIONS.items():
        deadline = "deadline_s=1" if name == "slow" else "deadline_s=60"
        head = f"from course.checks import Question\nquestion = Question({name!r}, points=3, {deadline})\n"
        (folder / f"{name}.py").write_text(head + textwrap.dedent(body))
    (folder / "broken.py").write_text("1 / 0\n")
    with examiner.plain(tmp_path, runner.environment() | {"PYTHONWARNINGS": "ignore"}) as made:
        yield made


def shown(outputs):
    (output,) = outputs
    if output.output_type == "error":
        return output.ename, output.evalue
    return output.data["text/plain"], output.data[MIME]["title"]


def test_a_question_gives_what_its_grade_cell_shows(asked):
    assert shown(asked.outputs("good")) == ("1", "good")


def test_the_process_is_kept_from_one_question_to_the_next(asked):
    assert shown(asked.outputs("counting"))[0] == "1"
    assert shown(asked.outputs("counting"))[0] == "0"


def test_a_question_that_passes_its_deadline_is_stopped_and_the_next_is_asked_anew(asked):
    assert shown(asked.outputs("counting"))[0] == "1"
    result = Result.from_dict(asked.outputs("slow")[0].data[MIME])
    assert [(line.title, line.outcome, line.cause) for line in result.checks] == [
        ("at once", "pass", None),
        ("slow", "error", "deadline"),
        ("after it", "error", "deadline"),
    ]
    assert (result.score, result.needs_person) == (1, True)
    assert "the question did not end within 1 seconds and was stopped" in result.checks[1].reason
    assert shown(asked.outputs("counting"))[0] == "1"


def test_a_process_that_ends_is_named_and_the_next_question_is_asked_anew(asked):
    (line,) = asked.outputs("fatal")[0].data[MIME]["checks"]
    assert (line["outcome"], line["cause"]) == ("error", "end")
    assert "the process that ran the question ended" in line["reason"]
    assert shown(asked.outputs("good"))[0] == "1"


def test_a_question_that_is_broken_or_missing_says_so(asked):
    assert shown(asked.outputs("broken")) == ("ZeroDivisionError", "division by zero")
    name, why = shown(asked.outputs("nowhere"))
    assert name == "QuestionMissing"
    assert "checks/nowhere.py" in why


def test_nothing_runs_after_the_end(asked):
    asked.outputs("good")
    pid = asked._process.pid
    asked.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    asked.close()  # again does no harm
