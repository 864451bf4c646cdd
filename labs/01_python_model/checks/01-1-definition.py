"""Does project.yaml describe the project: question, decision, costs, owners, threshold and what is missing?"""

import re

import pandas as pd

from course.checks import Question, answer, expect, fail, fixture
from course.checks.files.documents import Document, amount

question = Question("The project", points=5)


@fixture
def project() -> Document:
    """The shipped document."""
    return Document("project.yaml")


@question.check()
def prediction_comes_early_enough(project: Document) -> None:
    """the prediction is made between an hour and 30 days before departure"""
    written = project.entry("horizon")
    text = f"{written} hours" if isinstance(written, int | float) else str(written).lower()
    try:
        ahead = pd.Timedelta(re.sub(r"^(one|an?) ", "1 ", text.strip()).replace("week", "w").replace("ws", "w"))
    except ValueError:
        fail(
            "`horizon` is no length of time",
            expected="a length of time, such as 1 day or 6 hours",
            actual=repr(written),
        )
    if not pd.Timedelta("1h") <= ahead <= pd.Timedelta("30D"):
        fail("at this horizon a warning helps nobody", expected="1 hour to 30 days", actual=written)


@question.check(points=1, needs=prediction_comes_early_enough)
def described_in_words(project: Document) -> None:
    """question, decision, value, owner, target, metric and risks are written"""
    least = {"question": 5, "decision": 5, "value": 5, "owner": 1, "target": 2, "metric": 1}
    for key, words in least.items():
        project.words(key, least=words)
    project.items("risks", least=2)


@question.check(points=1)
def costs_are_those_of_the_answers(project: Document) -> None:
    """the costs are those of your answers"""
    for key, name in (("missed_warning", "cost_missed"), ("false_warning", "cost_false")):
        stated = amount(answer(name), f"answers[{name!r}]")
        hint = f"project.yaml and answers[{name!r}] do not agree; change one of them and run its cell again"
        expect(project.amount(f"costs.{key}"), f"costs.{key}").is_close(stated, rel=0.001, hint=hint)


@question.check(points=1)
def tables_have_owners(project: Document) -> None:
    """every table has an owner, a way to get here, and people who may see it"""
    for table in ("flights", "planes", "airports", "airlines"):
        for key in ("owner", "delivered", "seen_by"):
            project.words(f"sources.{table}.{key}")


@question.check(hint="both stand at the left, and not below another name")
def threshold_and_more_data_are_written(project: Document) -> None:
    """the threshold is there, and what should be gathered"""
    project.amount("threshold")
    project.items("gather", least=1)
