"""The vocabulary of grading: what questions say of what was shipped. Uses `flights` and `shipping`, not nbgrader."""

from course.base.result import Outcome, Result
from course.checks.core.expectations import (
    CheckFailed,
    Unmet,
    as_dict,
    as_list,
    as_number,
    as_text,
    as_whole_number,
    expect,
    fail,
    not_graded_here,
)
from course.checks.core.loading import grade, summary
from course.checks.core.question import Question, fixture
from course.checks.files.reading import answer, answers_in, document, listing, text
from course.checks.http.services import Service, service
from course.checks.model.models import Model, Recipes, model, recipes
from course.checks.python.modules import Module, module
from course.checks.python.projects import Project, project
from course.checks.python.suites import Mutation, original, tests, variant

__all__ = [
    "CheckFailed",
    "Model",
    "Module",
    "Mutation",
    "Outcome",
    "Project",
    "Question",
    "Recipes",
    "Result",
    "Service",
    "Unmet",
    "answer",
    "answers_in",
    "as_dict",
    "as_list",
    "as_number",
    "as_text",
    "as_whole_number",
    "document",
    "expect",
    "fail",
    "fixture",
    "grade",
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
