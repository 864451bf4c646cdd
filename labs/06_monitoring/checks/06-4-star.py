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
