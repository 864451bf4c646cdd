"""Does capacity.json follow from the student's own measurements?"""

import csv
import io
from math import ceil
from typing import Any

from course.checks import Question, as_dict, as_number, as_whole_number, document, expect, fail, fixture, text
from course.checks.core.bounds import bounded
from course.checks.load.generators import percentile

question = Question("The capacity", points=5)
MAX_ROWS_BYTES = 2**20
PEAK = 120  # requests per second, as Marta expects them


@fixture
def capacity() -> dict[str, Any]:
    """The shipped capacity.json."""
    return as_dict(document("capacity.json"), "capacity.json")


@fixture
def steps() -> dict[float, list[dict[str, Any]]]:
    """The rows of the shipped rows.csv, by rate."""
    found: dict[float, list[dict[str, Any]]] = {}
    content = text("rows.csv", max_bytes=MAX_ROWS_BYTES)
    try:
        with bounded("rows.csv can be read", "rows.csv"):
            for line in csv.DictReader(io.StringIO(content)):
                row: dict[str, Any] = {
                    name: as_number(_number(line.get(name)), f"{name} in rows.csv") for name in NUMBERS
                }
                found.setdefault(row["rate"], []).append({**row, "kind": line.get("kind")})
    except csv.Error as error:
        fail(f"rows.csv is not CSV: {error}", hint="load.py writes it with --rows")
    if not found:
        fail("rows.csv has no rows", hint="load.py writes them with --rows")
    return found


NUMBERS = ("rate", "intended", "started", "latency")


def _number(value: Any) -> Any:
    """The number that a field of a CSV file holds, or the field itself."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def number(capacity: dict[str, Any], key: str) -> float:
    """A number of capacity.json."""
    return as_number(capacity.get(key), f"{key} in capacity.json")


def is_good(rows: list[dict[str, Any]], target: float) -> bool:
    """Whether a step meets the target, by the definition of the exercise."""
    good = [row["latency"] for row in rows if row["kind"] == "ok"]
    in_time = sum(row["started"] - row["intended"] <= 0.1 for row in rows)
    return len(good) >= 0.99 * len(rows) and percentile(good, 0.99) <= target and in_time >= 0.95 * len(rows)


@question.check(points=1)
def rates_reach_beyond_the_knee(steps: dict[float, list[dict[str, Any]]], capacity: dict[str, Any]) -> None:
    """rows.csv holds at least four rates, and the highest one is beyond the knee"""
    if len(steps) < 4:
        fail("the rates in rows.csv", expected="at least four", actual=sorted(steps))
    if max(steps) <= number(capacity, "knee"):
        fail("no rate beyond the knee was measured", expected="a rate above the knee", actual=sorted(steps))


@question.check(points=1)
def the_knee_is_that_of_the_rows(steps: dict[float, list[dict[str, Any]]], capacity: dict[str, Any]) -> None:
    """`knee` is the highest rate up to which every step of rows.csv meets `target_s`"""
    found, target = None, number(capacity, "target_s")
    for rate in sorted(steps):
        if not is_good(steps[rate], target):
            break
        found = rate
    expect(number(capacity, "knee"), "knee").equals(found)


@question.check(points=1)
def headroom_is_kept(capacity: dict[str, Any]) -> None:
    """`capacity` leaves the head-room, between 20 and 60 %, below the knee"""
    share = number(capacity, "headroom")
    expect(share, "headroom").is_between(0.2, 0.6)
    expect(number(capacity, "capacity"), "capacity").is_close(number(capacity, "knee") * (1 - share), rel=0.02)


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="the peak, divided by what one service can take, and rounded up")
def services_carry_the_peak(capacity: dict[str, Any]) -> None:
    """`services` is how many such services carry the peak"""
    one = number(capacity, "capacity")
    if one <= 0:
        fail("capacity", expected="more than 0", actual=one)
    expect(as_whole_number(capacity.get("services"), "services")).equals(ceil(PEAK / one - 1e-9))


@question.check(points=1, hidden=True, hint="rate times mean latency, at the knee; both are in rows.csv")
def littles_law_holds(steps: dict[float, list[dict[str, Any]]], capacity: dict[str, Any]) -> None:
    """`in_flight` is what Little's law gives for the step at the knee"""
    knee = number(capacity, "knee")
    if knee not in steps:
        fail("the knee is no rate of rows.csv", expected=sorted(steps), actual=knee)
    waits = [row["latency"] for row in steps[knee]]
    expect(number(capacity, "in_flight"), "in_flight").is_close(knee * sum(waits) / len(waits), rel=0.25, abs=0.05)


### END HIDDEN TESTS
