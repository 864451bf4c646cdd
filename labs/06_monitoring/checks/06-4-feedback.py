"""Does the join know what was known at a moment, and nothing else, whatever happened to the log?"""

import functools
from collections.abc import Iterable
from typing import Any

import pandas as pd

from course import flights, production
from course.checks import Module, Question, fail, fixture, module

question = Question("The log and its labels", points=5)
FIRST, LAST = "2013-11-02", "2013-11-05"  # the clocks change on 3 November


@fixture
def feedback() -> Module:
    """The shipped module, called in a process of its own."""
    return module("feedback.py", timeout=20)


def moment(text: str) -> pd.Timestamp:
    """A moment in New York's zone."""
    return pd.Timestamp(text, tz=flights.ZONE)


@functools.cache
def lines() -> list[str]:
    """A sound log of three days."""
    return production.lines(FIRST, LAST)


def read(feedback: Module, log: list[str], **counts: int) -> pd.DataFrame:
    """What read() makes of a log; fail unless it counts its lines as given, and has a row for each other line."""
    answer = feedback.read(log)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail("read() does not return two things", expected="a table, and a dictionary of counts", actual=answer)
    table, found = answer
    rows = len(log) - counts["torn"] - counts["repeated"]
    expected = {"lines": len(log), **counts}
    if not isinstance(found, dict) or any(found.get(name) != count for name, count in expected.items()):
        fail("read() counts other lines", expected=expected, actual=found, hint="lines = torn + repeated + rows")
    has_columns("read()", table, production.LOGGED)
    if len(table) != rows:
        fail("read() returns another number of rows", expected=f"{rows:,} predictions", actual=f"{len(table):,} rows")
    for name in ("asked_at", "planned_departure"):
        if not isinstance(table[name].dtype, pd.DatetimeTZDtype):
            hint = "the offset in the text changes on 3 November: pd.to_datetime(…, utc=True), then tz_convert"
            fail(
                f"{name} holds no times with a zone",
                expected="datetime64 with a zone",
                actual=table[name].dtype,
                hint=hint,
            )
    return table


def has_columns(what: str, table: Any, names: Iterable[str]) -> None:
    """Fail unless something is a table with these columns, and one row per prediction."""
    if not isinstance(table, pd.DataFrame):
        fail(f"{what} returns no table", expected="a DataFrame", actual=table)
    missing = [name for name in names if name not in table]
    if missing:
        fail(f"{what} returns a table without {', '.join(missing)}", actual=", ".join(map(str, table.columns)))
    if not table["prediction"].is_unique:
        twice = table.loc[table["prediction"].duplicated(), "prediction"].iloc[0]
        hint = "a merge makes more rows where a flight is there twice on either side; its argument validate looks"
        fail(
            f"{what} has {len(table):,} rows for {table['prediction'].nunique():,} ids, such as {twice!r} twice",
            hint=hint,
        )


def joins(feedback: Module, predictions: pd.DataFrame, feed: pd.DataFrame, at: str, expected: pd.DataFrame) -> None:
    """Fail unless join() knows exactly what was known."""
    found = feedback.join(predictions, feed, moment(at))
    has_columns("join()", found, expected.columns)
    right, table = (frame.astype({"prediction": object}).set_index("prediction") for frame in (expected, found))
    for label, ids in (
        ("lacks", right.index.difference(table.index)),
        ("should not have", table.index.difference(right.index)),
    ):
        if len(ids):
            row = (right if label == "lacks" else predictions.set_index("prediction")).reindex(ids[:1]).iloc[0]
            shown = f"{row['carrier']} {row['flight']}, asked at {row['asked_at']}"
            fail(f"as of {at}, join() {label} {len(ids)} predictions, such as that of {shown}")
    for name in ("first_outcome", "outcome"):
        there = table.loc[right.index, name].astype(object)
        other = ~(there == right[name].astype(object)).fillna(False).astype(bool)
        if other.any():
            row = right[other].iloc[0]
            shown = f"{row['carrier']} {row['flight']} of {row['planned_departure']:%d %B, %H:%M}"
            fail(
                f"as of {at}, {name} differs for {int(other.sum()):,} of {len(right):,} flights, such as {shown}",
                expected=row[name],
                got=there[other].iloc[0],
            )


@question.check(points=1)
def a_sound_log_is_read(feedback: Module) -> None:
    """read() returns one row for each line of a sound log"""
    table = read(feedback, lines(), torn=0, repeated=0)
    expected = production.facts(FIRST, LAST).set_index("prediction")
    order = table["prediction"].tolist()
    for name in ("asked_at", "planned_departure", "flight", "carrier", "warned"):
        there = table[name].dt.tz_convert("UTC") if name.endswith(("_at", "departure")) else table[name]
        right = expected[name].reindex(order)
        right = right.dt.tz_convert("UTC") if name.endswith(("_at", "departure")) else right
        other = there.astype(object).to_numpy() != right.astype(object).to_numpy()
        if other.any():
            shown = {"expected": right[other].iloc[0], "actual": there[other].iloc[0]}
            fail(f"{name} is not what the line of {order[int(other.argmax())]} holds", **shown)


@question.check(points=1)
def outcomes_are_those_known_at_the_moment(feedback: Module) -> None:
    """join() knows an outcome from the moment on at which it became known, and says unknown before"""
    everything = production.facts(FIRST, LAST)
    for at in ("2013-11-04 18:00", "2013-11-08"):
        joins(
            feedback,
            everything[production.LOGGED],
            production.outcomes(FIRST, LAST),
            at,
            production.facts(FIRST, LAST, at),
        )
