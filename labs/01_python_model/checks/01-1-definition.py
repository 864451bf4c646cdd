"""Does project.yaml describe the project: question, decision, costs, owners, threshold and what is missing?"""

import re
from typing import Any

import pandas as pd

from course.checks import Question, answer, expect, fail, fixture
from course.checks.files.documents import Document, amount

question = Question("The project", points=5)


@fixture
def project() -> Document:
    """The shipped document."""
    return Document("project.yaml")


NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
UNITS = {"m": "min", "h": "h", "d": "D", "w": "W"}


def length_of_time(value: Any) -> pd.Timedelta | None:
    """A length of time as people write it: 6, "24 hours before planned departure", "two days", "P1D"; None if none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return pd.Timedelta(hours=float(value)) if 0 <= value <= 10_000 else None
    text = str(value).strip().lower()[:200]
    numbers = "|".join([r"\d{1,4}(?:\.\d{1,3})?", *NUMBERS, "an?", "half an"])
    units = r"minutes?|mins?|hours?|hrs?|h|days?|d|weeks?|w"
    found = re.findall(rf"(?<![\w.])({numbers})[ -]?({units})(?!\w)", text)
    if not found:
        try:
            return pd.Timedelta(str(value).strip()[:50])
        except ValueError:
            return None
    total = pd.Timedelta(0)
    for number, unit in found:
        words = {"a": 1.0, "an": 1.0, "half an": 0.5, **{word: float(place) for place, word in enumerate(NUMBERS)}}
        total += pd.Timedelta(words[number] if number in words else float(number), unit=UNITS[unit[0]])
    return total


@question.check()
def prediction_comes_early_enough(project: Document) -> None:
    """the prediction is made between an hour and 30 days before departure"""
    written = project.entry("horizon")
    ahead = length_of_time(written)
    if ahead is None:
        fail(
            "`horizon` is no length of time",
            expected="a number and a unit, such as 1 day or 6 hours",
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


@question.check(points=1)
def more_data_are_named(project: Document) -> None:
    """what should be gathered is there, and for each what it is, from where it comes and why"""
    project.items("gather", least=1)
    gathered = project.entry("gather")
    for name, element in gathered.items() if isinstance(gathered, dict) else enumerate(gathered, 1):
        lacks = [key for key in ("what", "from", "why") if not isinstance(element, dict) or not element.get(key)]
        if isinstance(gathered, dict) and not isinstance(name, int):  # {weather: {from: …, why: …}}
            lacks = [key for key in lacks if key != "what"]
        if lacks:
            fail(
                f"the element {name!r} of `gather` lacks {', '.join(lacks)}",
                expected="- {what: …, from: …, why: …}",
                actual=element,
            )
