"""Does the page hold the right numbers, for everybody, and does a published report stay as it is?"""

import functools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from course import flights, production
from course.checks import Module, Question, as_text, fail, fixture, module
from course.checks.core.expectations import CheckFailed
from course.checks.files import reading
from course.checks.files.star_schemas import Star
from course.checks.files.tables import Tables, canonical_column
from course.checks.http import accessibility, pages
from course.checks.python.writers import Writer, Written, writer

question = Question("The report", points=6)
COSTS = {"currency": "EUR", "missed_warning": 40, "false_warning": 10, "threshold": 0.2}
PUBLISHED = "usage/2013-11-11/v1"
MAX_FILE_BYTES = 4 * 2**20
OUTCOMES = [  # warned, first_outcome, outcome, how many flights
    (True, "late", "late", 5),
    (True, "on time", "late", 1),
    (True, "on time", "on time", 8),
    (True, "cancelled", "cancelled", 2),
    (True, "unknown", "unknown", 3),
    (False, "late", "late", 4),
    (False, "late", "on time", 2),
    (False, "on time", "on time", 30),
    (False, "diverted", "diverted", 1),
    (False, "unknown", "unknown", 6),
]
NUMBERS = {
    **{"predictions": 62, "sent": 19, "right": 6, "wrong": 8, "missed": 4, "unjudged": 5, "unknown": 9, "corrected": 3},
    **{"cost": 240, "cost_never": 400},
}


@fixture
def report() -> Module:
    """The shipped module, for its function page()."""
    return module("report.py", timeout=20)


@fixture
def publisher() -> Writer:
    """The same module, for its function build()."""
    return writer("report.py")


@fixture
def tables() -> Tables:
    """Reads Parquet, in another process."""
    return Tables()


def midnight(day: str) -> pd.Timestamp:
    """The beginning of a day in New York."""
    return pd.Timestamp(day, tz=flights.ZONE)


@functools.cache
def flown() -> pd.DataFrame:
    """The flights of one day."""
    return production.facts("2013-11-06", "2013-11-07")


def facts_with(outcomes: list[tuple[bool, str, str, int]]) -> pd.DataFrame:
    """Flights with these warnings and outcomes."""
    cases = [case[:3] for case in outcomes for _ in range(case[3])]
    warned, first, last = zip(*cases, strict=True)
    return flown().iloc[: len(cases)].assign(warned=list(warned), first_outcome=list(first), outcome=list(last))


def page_of(report: Module, facts: pd.DataFrame, day: str, costs: dict[str, Any], version: int = 1) -> pages.Page:
    """The page of some facts."""
    html = as_text(report.page(facts, costs, midnight(day), version), "what page() returns")
    return pages.read(html)


def holds(page: pages.Page, numbers: Mapping[str, float]) -> None:
    """Fail unless the numbers stand under their ids."""
    for name, right in numbers.items():
        found = accessibility.number(page, name)
        if abs(found - right) > 0.005:
            fail(f"the page has another number under the id {name!r}", expected=right, actual=found)


@question.check(points=1)
def the_page_holds_the_numbers(report: Module) -> None:
    """the page holds the ten numbers, the day and the version"""
    page = page_of(report, facts_with(OUTCOMES), "2013-11-08", COSTS)
    holds(page, {**NUMBERS, "version": 1})
    day = page.by_id("as_of")
    if day is None or "2013-11-08" not in f"{day.text} {day.get('datetime')}":
        fail(
            "the page does not have its day under the id 'as_of'",
            expected="2013-11-08",
            actual=day.text[:80] if day else None,
        )


@question.check(points=1)
def everybody_can_read_it(report: Module) -> None:
    """the page is one file that a screen reader can read, with charts and the same as tables"""
    page = page_of(report, facts_with(OUTCOMES), "2013-11-08", COSTS)
    accessibility.is_one_file(page)
    accessibility.is_readable(page)
    accessibility.has_charts(page)
    limits = page.by_id("limits")
    if limits is None or len(limits.all("li")) < 3:
        fail("the page does not list its limits", expected='at least three <li> in <ul id="limits">')


def published(publisher: Writer, facts: pd.DataFrame, day: str, place: str, trial: str) -> Written:
    """What is there after build(); fail unless it returned this place, and it holds a page and a model."""
    found = publisher.call("build", facts, COSTS, midnight(day), trial=trial)
    if not isinstance(found.value, str) or found.value.strip("/") != place:
        day, _, version = str(found.value).strip("/").rpartition("/")
        later = day == place.rpartition("/")[0] and version.startswith("v")
        hint = "is there a time of day, or a random name, in a file? The same facts must give the same files"
        fail(
            "build() does not return the folder of the report",
            expected=f"folder / {place!r}",
            got=found.value,
            hint=hint if later else None,
        )
    missing = [name for name in ("index.html", "model.yml", "predictions.parquet") if name not in found.below(place)]
    if missing:
        fail(
            f"build() did not write {', '.join(missing)} into {place}", actual=", ".join(found.files)[:200] or "nothing"
        )
    return found


def keeps(before: Written, after: Written, what: str) -> None:
    """Fail if a file that was there is gone or another one."""
    for name, content in before.files.items():
        if after.files.get(name) != content:
            did = "changes" if name in after.files else "removes"
            hint = "somebody may have read it, and acted on it. What is new goes into a new version"
            fail(f"{what} {did} {name}, which was published already", hint=hint)


@question.check(points=1)
def yesterday_stays(publisher: Writer) -> None:
    """the report of a day leaves that of the day before alone, and publishing the same again changes nothing"""
    facts = facts_with(OUTCOMES)
    first = published(publisher, facts.iloc[:40], "2013-11-07", "2013-11-07/v1", "a")
    second = published(publisher, facts, "2013-11-08", "2013-11-08/v1", "a")
    keeps(first, second, "the report of the next day")
    third = published(publisher, facts, "2013-11-08", "2013-11-08/v1", "a")
    keeps(second, third, "the same report, published again,")
    more = sorted(set(third.files) - set(second.files))
    if more:
        fail("the same report, published again, makes new files", actual=", ".join(more)[:200])


@question.check(points=1)
def the_shipped_report_reconciles(tables: Tables) -> None:
    """usage/2013-11-11/v1 is the report of the week, and its page agrees with its tables"""
    reading.listing(PUBLISHED)
    names = ("index.html", "predictions.parquet", "predictions.csv")
    files = {name: reading.read(f"{PUBLISHED}/{name}", max_bytes=MAX_FILE_BYTES) for name in names}
    star = Star(files, tables)
    star.has("predictions", "prediction", "warned", "outcome", "cost")
    star.agrees("predictions", "prediction")
    table = star.table("predictions")
    expected = len(production.facts("2013-11-04", "2013-11-11", "2013-11-11"))
    if len(table) != expected:
        hint = "the flights planned to depart from 4 to 10 November, as known at the beginning of 11 November"
        fail("the shipped report is of other flights", expected=f"{expected:,}", actual=f"{len(table):,}", hint=hint)
    page = pages.read(as_utf8(files["index.html"]))
    cost = sum(value for value in canonical_column(table["cost"]) if isinstance(value, float))
    sent = sum(value in (True, 1.0) for value in canonical_column(table["warned"]))
    unknown = canonical_column(table["outcome"]).count("unknown")
    holds(page, {"predictions": expected, "sent": sent, "cost": cost, "unknown": unknown})
    parts = {name: accessibility.number(page, name) for name in ("right", "wrong", "unjudged")}
    if sum(parts.values()) != sent:
        fail("right, wrong and unjudged do not add up to the warnings sent", expected=sent, actual=parts)


def as_utf8(content: bytes) -> str:
    """The text of a page."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckFailed(f"index.html is not UTF-8 text: {error.reason} at byte {error.start}") from None
