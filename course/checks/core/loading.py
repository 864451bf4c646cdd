"""Finds the question of a grade cell: `grade("03-1-service")` runs `checks/03-1-service.py` beside the notebook."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from types import ModuleType

from course.base.result import Result
from course.checks.core.question import Question
from course.checks.core.rendering import Displayed, Summary

FOLDER = "checks"
_GRADE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_results: dict[str, Result] = {}


class QuestionMissing(Exception):
    """There is no such question, or its file holds none; the message names the file."""


def grade(grade_id: str) -> Displayed:
    """Run a question of this lab; the value shows the student what its checks found.

    Args:
        grade_id: the question's id, such as "03-1-service".

    Raises:
        QuestionMissing: there is no such question in the folder `checks/` beside the notebook.
    """
    result = load(Path.cwd() / FOLDER, grade_id).result()
    _results[grade_id] = result
    return Displayed(result)


def summary() -> Summary:
    """A table of the questions that were run in this notebook so far, and their points."""
    return Summary(_results.values())


def load(folder: Path, grade_id: str) -> Question:
    """A new copy of a question; its module is run anew each time, so that two runs share nothing.

    Args:
        folder: the lab's folder `checks/`.
        grade_id: the question's id, which is the module's name.

    Raises:
        QuestionMissing: there is no such file, or it holds no question.
        Exception: whatever the module raises when it is imported; the grader's own fault.
    """
    if not _GRADE_ID.fullmatch(grade_id):
        raise QuestionMissing(f"{grade_id!r} cannot be the id of a question: letters, digits and hyphens only")
    path = folder / f"{grade_id}.py"
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise QuestionMissing(
            f"the question {grade_id!r} was not found: {path} cannot be read ({error.strerror}). "
            "Does the notebook run in the lab's folder, and is its folder checks/ still there?"
        ) from None
    module = ModuleType(f"{FOLDER}.{grade_id}", f"The question {grade_id}.")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look for it while they are made
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    question = module.__dict__.get("question")
    if not isinstance(question, Question):
        raise QuestionMissing(f"{path} assigns no Question to the name `question`")
    question.another = functools.partial(load, folder, grade_id)
    return question
