"""The vocabulary of grading: what grade cells say of what was shipped. Uses `flights` and `shipping`, not nbgrader."""

from course.checks.expectations import CheckFailed, Unmet, expect, fail, not_graded_here
from course.checks.files import answer, document, listing, text
from course.checks.models import model, recipes
from course.checks.modules import module
from course.checks.projects import project
from course.checks.pytests import Mutation, original, tests, variant
from course.checks.question import Outcome, Question, Result, summary
from course.checks.services import service

__all__ = [
    "CheckFailed",
    "Mutation",
    "Outcome",
    "Question",
    "Result",
    "Unmet",
    "answer",
    "document",
    "expect",
    "fail",
    "listing",
    "model",
    "module",
    "not_graded_here",
    "original",
    "project",
    "recipes",
    "service",
    "summary",
    "tests",
    "text",
    "variant",
]
