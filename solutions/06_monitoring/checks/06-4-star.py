"""Can anybody load the tables, join them, and come to the same totals?"""

from collections import Counter
from typing import Any

import pandas as pd

from course import production
from course.checks import Question, fail, fixture
from course.checks.files.star_schemas import Star
from course.checks.files.tables import Tables, canonical_column
from course.checks.python.writers import Writer, writer

question = Question("The star schema", points=5)
COSTS = {"currency": "EUR", "missed_warning": 40, "false_warning": 10, "threshold": 0.2}
COLUMNS = {
    "predictions": (
        *("prediction", "date", "origin", "dest", "carrier", "model", "probability", "warned"),
        *("first_outcome", "outcome", "cost"),
    ),
    "dates": ("date",),
    "airports": ("airport", "name"),
    "carriers": ("carrier", "name"),
    "models": ("model",),
}
REFERENCES = {"date": "dates", "origin": "airports", "dest": "airports", "carrier": "carriers", "model": "models"}


@fixture
def star() -> Writer:
    """The shipped module, called in a process of its own."""
    return writer("star.py")


@fixture
def tables() -> Tables:
    """Reads Parquet, in another process."""
    return Tables()


def facts() -> pd.DataFrame:
    """A third of the flights of two days, as known at 18:00 on the second: of every outcome, and of two models."""
    log = production.facts("2013-10-14", "2013-10-16", "2013-10-15 18:00")
    return log.iloc[::3].reset_index(drop=True)


def written(
    star: Writer, tables: Tables, log: pd.DataFrame, costs: dict[str, Any] | None = None, trial: str = "a"
) -> Star:
    """What write() makes of a joined log."""
    return Star(star.call("write", log, costs or COSTS, trial=trial).files, tables)


@fixture
def shown(star: Writer, tables: Tables) -> Star:
    """The star schema of the visible facts."""
    return written(star, tables, facts())


@question.check(points=1)
def parquet_and_csv_agree(shown: Star) -> None:
    """there are five tables, and Parquet and CSV hold the same"""
    for name, columns in COLUMNS.items():
        shown.has(name, *columns)
        shown.agrees(name, columns[0])


@question.check(points=1)
def keys_are_unique_and_explained(shown: Star) -> None:
    """model.yml names a key of each table, which is unique, and every reference; it explains every column"""
    for name in COLUMNS:
        shown.has_keys(name)
        shown.is_documented(name, units=("probability", "cost") if name == "predictions" else ())
    shown.refers("predictions", REFERENCES)


@question.check(points=1)
def totals_reconcile(shown: Star) -> None:
    """one row per flight, with the warnings, outcomes and costs of the log"""
    reconciles(shown, facts(), COSTS)


def leads(found: Star) -> None:
    """Fail if a row of predictions does not find its day, airports, airline or model."""
    for column, table in REFERENCES.items():
        found.leads("predictions", column, table, COLUMNS[table][0])


def cost_of(log: pd.DataFrame, costs: dict[str, Any]) -> pd.Series:
    """What each error cost; 0 for all other flights."""
    missed = ~log["warned"] & (log["outcome"] == "late")
    wrong = log["warned"] & (log["outcome"] == "on time")
    return missed * float(costs["missed_warning"]) + wrong * float(costs["false_warning"])


def reconciles(found: Star, log: pd.DataFrame, costs: dict[str, Any]) -> None:
    """Fail unless the facts are those of a joined log."""
    found.has("predictions", *COLUMNS["predictions"])
    table = found.table("predictions")
    if len(table) != len(log):
        fail("predictions has another number of rows", expected=f"{len(log):,} flights", actual=f"{len(table):,} rows")
    for name in ("prediction", "carrier", "origin", "dest", "model", "warned", "outcome", "first_outcome"):
        right, there = (Counter(canonical_column(frame[name])) for frame in (log, table))
        if right != there:
            value = next(iter((right - there) or (there - right)))
            fail(
                f"the column {name} of predictions holds something else than the log, such as {value!r}"[:200],
                expected=f"{right[value]} rows",
                actual=f"{there[value]} rows",
            )
    costing = dict(zip(canonical_column(log["prediction"]), cost_of(log, costs), strict=True))
    for prediction, cost in zip(canonical_column(table["prediction"]), canonical_column(table["cost"]), strict=True):
        if cost not in (None, costing[prediction]):
            fail(f"the cost of {prediction} is another one", expected=costing[prediction], got=cost, hint=HINT)
        if cost is None and costing[prediction]:
            fail(f"the cost of {prediction} is missing", expected=costing[prediction], hint=HINT)


HINT = "on time with a warning costs false_warning, late without one missed_warning, and nothing else costs anything"


### BEGIN HIDDEN TESTS
@question.check(
    points=1, hidden=True, hint="a dimension needs a row for every code in the facts, whatever the register knows"
)
def no_fact_is_an_orphan(star: Writer, tables: Tables) -> None:
    """flights whose carrier or airport no register knows are not lost, and lead somewhere"""
    log = facts()
    log.loc[::7, "carrier"] = "ZZ"
    log.loc[::11, "dest"] = "XXX"
    log.loc[::13, "model"] = "v3, a trial"
    found = written(star, tables, log, trial="b")
    reconciles(found, log, COSTS)
    leads(found)
    for name in ("airports", "carriers", "models"):
        key = COLUMNS[name][0]
        found.agrees(name, key)
        keys = canonical_column(found.table(name)[key])
        if len(set(keys)) < len(keys):
            fail(f"the table {name} has two rows for one {key}")


@question.check(
    points=1, hidden=True, hint="the day is New York's; dates has every day between the first and the last one"
)
def days_are_those_of_new_york(star: Writer, tables: Tables) -> None:
    """late in the evening it is still the same day, no day is missing between two others, and costs are those given"""
    log = production.facts("2013-11-02", "2013-11-07")
    day = log["planned_departure"].dt.strftime("%Y-%m-%d")
    log = log[day.isin(["2013-11-02", "2013-11-03", "2013-11-06"])].iloc[::-5].reset_index(drop=True)
    costs = {**COSTS, "missed_warning": 7.5, "false_warning": 3}
    found = written(star, tables, log, costs, trial="c")
    reconciles(found, log, costs)
    leads(found)
    table = found.table("predictions")
    right = dict(zip(log["prediction"], log["planned_departure"].dt.strftime("%Y-%m-%d"), strict=True))
    for prediction, date in zip(canonical_column(table["prediction"]), canonical_column(table["date"]), strict=True):
        if as_day(date) != right[prediction]:
            fail(f"the date of {prediction} is another one", expected=right[prediction], got=date)
    there = {as_day(date) for date in canonical_column(found.table("dates")["date"])}
    missing = {f"2013-11-0{number}" for number in range(2, 7)} - there
    if missing:
        fail("dates lacks a day between the first and the last", actual=", ".join(sorted(missing)))


def as_day(date: Any) -> Any:
    """A day as ISO 8601, also where it is the number 20131103 or a text of it."""
    text = f"{date:.0f}" if isinstance(date, float) else str(date)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text[:10]


### END HIDDEN TESTS
