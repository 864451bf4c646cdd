"""Does the monitor give the right verdict for windows that it has not seen, and the place to look?"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import pandas as pd

from course import production
from course.checks import Module, Question, fail, fixture, module

question = Question("The monitor", points=14)
VERDICTS = ("fine", "data fault", "inputs changed", "model off")
Window: TypeAlias = pd.DataFrame


@fixture
def monitor() -> Module:
    """The shipped module, called in a process of its own."""
    return module("monitor.py", timeout=20)


@functools.cache
def windows(start: str) -> tuple[Window, Window]:
    """A window and its past, made once."""
    return production.window_and_past(start)


def judged(monitor: Module, start: str, incident: Callable[[Window], Window] | None = None) -> dict[str, Any]:
    """What the monitor makes of a window, perhaps after an incident."""
    window, past = windows(start)
    judgement = monitor.judge(window if incident is None else incident(window), past)
    if not isinstance(judgement, dict) or not isinstance(judgement.get("verdict"), str):
        fail("judge() returns no verdict", expected='{"verdict": …, "where": …, "because": …}', actual=judgement)
    if judgement["verdict"] not in VERDICTS:
        fail("judge() returns a verdict of its own", expected=" or ".join(VERDICTS), actual=judgement["verdict"])
    return judgement


def must_be(monitor: Module, verdict: str, start: str, incident: Callable[[Window], Window], what: str) -> None:
    """Fail unless the monitor gives this verdict."""
    judgement = judged(monitor, start, incident)
    if judgement["verdict"] != verdict:
        fail(f"{what}, in the window from {start}", expected=verdict, actual=judgement)


@question.check(points=1)
def a_quiet_month_is_fine(monitor: Module) -> None:
    """a quiet month is fine"""
    judgement = judged(monitor, "2013-05-06")
    if judgement["verdict"] != "fine":
        fail("a quiet month, from 2013-05-06, is not fine", expected="fine", actual=judgement)


@question.check(points=1)
def a_renamed_carrier_is_a_data_fault(monitor: Module) -> None:
    """a carrier under a code that no airline has"""
    must_be(monitor, "data fault", "2013-05-06", lambda log: production.renamed(log, "UA", "UAL"), "UA is called UAL")


@question.check(points=1)
def september_is_the_model(monitor: Module) -> None:
    """September, in which the model expects twice as many late flights as there are"""
    must_be(monitor, "model off", "2013-09-02", lambda log: log, "every second warning is one too many")


### BEGIN HIDDEN TESTS
@question.check(
    points=3,
    hidden=True,
    needs=a_renamed_carrier_is_a_data_fault,  # silence is worth something only in who can speak
    hint="seasons are no incident: flights of one day share their fate, so count days; one false alarm is allowed",
)
def quiet_months_stay_quiet(monitor: Module) -> None:
    """at most one false alarm in seven sound windows"""
    starts = ["2013-03-11", "2013-04-08", "2013-05-13", "2013-06-10", "2013-07-08", "2013-07-29", "2013-08-05"]
    alarms = {start: said for start in starts if (said := judged(monitor, start))["verdict"] != "fine"}
    if len(alarms) > 1:
        start, said = next(iter(alarms.items()))
        fail(
            f"{len(alarms)} false alarms in {len(starts)} sound windows, one from {start}",
            expected="at most 1",
            actual=said,
        )


FAULTS: dict[str, tuple[str, Callable[[Window], Window], set[str]]] = {
    "wind in knots at one airport": (
        "2013-06-10", lambda log: production.in_knots(log, "LGA"), {"weather_wind_speed"}),
    "distances of one carrier in kilometres": (
        "2013-04-08", lambda log: production.in_kilometres(log, "B6"), {"distance"}),
    "an unknown carrier": ("2013-07-08", lambda log: production.renamed(log, "AA", "aa"), {"carrier"}),
    "a clock in UTC": ("2013-03-11", lambda log: production.in_utc(log, 6), {"planned_departure", "sched_dep_time"}),
    "a silent station": ("2013-05-13", lambda log: production.silent(log, "LGA", 8), {"weather"}),
    "a day loaded twice": ("2013-08-05", lambda log: production.loaded_twice(log, 11), {"rows"}),
    "labels that are all on time": ("2013-07-29", lambda log: production.all_on_time(log, 4), {"late"}),
}  # fmt: skip


@fixture
def found(monitor: Module) -> dict[str, dict[str, Any]]:
    """What the monitor makes of each data fault, asked once."""
    return {what: judged(monitor, start, incident) for what, (start, incident, _) in FAULTS.items()}


def must_find(found: dict[str, dict[str, Any]], *faults: str) -> None:
    for what in faults:
        if found[what]["verdict"] != "data fault":
            fail(f"{what}: judge() does not call it a data fault", expected="data fault", actual=found[what])


@question.check(points=2, hidden=True, hint="codes, the clock and repeated rows are certain: ask for them first")
def certain_faults_are_found(found: dict[str, dict[str, Any]]) -> None:
    """unknown codes, a wrong clock, rows twice"""
    must_find(found, "an unknown carrier", "a clock in UTC", "a day loaded twice")


@question.check(
    points=2, hidden=True, hint="group by airport or carrier; look at which values occur, and on which days"
)
def likely_faults_are_found(found: dict[str, dict[str, Any]]) -> None:
    """other units, a silent station, labels that cannot be"""
    must_find(found, "wind in knots at one airport", "distances of one carrier in kilometres", "a silent station")
    must_find(found, "labels that are all on time")


@question.check(
    points=1, hidden=True, hint="`where` is the column's name, rows where they are repeated, late for labels"
)
def faults_are_found_in_the_right_place(found: dict[str, dict[str, Any]]) -> None:
    """`where` names the place of at least five of seven faults"""
    right = [
        what
        for what, (_, _, places) in FAULTS.items()
        if str(found[what].get("where")) in places
        or ("weather" in places and str(found[what].get("where")).startswith("weather"))
    ]
    if len(right) < 5:
        missed = next(what for what in FAULTS if what not in right)
        fail(f"the place is right for {len(right)} of {len(FAULTS)} faults; not for {missed}", actual=found[missed])


@question.check(
    points=1, hidden=True, hint="compare each week's shares with the past; a month hides what one week shows"
)
def other_flights_are_noticed(monitor: Module) -> None:
    """an airport that closes, a carrier that stops flying"""
    for start, what, incident in (
        ("2013-05-13", "EWR closes for ten days", lambda log: production.closed(log, "EWR", 10)),
        ("2013-06-10", "B6 is on strike for twelve days", lambda log: production.on_strike(log, "B6", 12)),
    ):
        must_be(monitor, "inputs changed", start, incident, what)


@question.check(points=2, hidden=True, hint="calibration and ranking fail separately; look at both")
def models_that_are_off_are_noticed(monitor: Module) -> None:
    """October, and a model that answers for other flights"""
    must_be(monitor, "model off", "2013-10-01", lambda log: log, "the model still expects too many late flights")
    must_be(monitor, "model off", "2013-06-10", production.wrong_model, "probabilities belong to other flights")


### END HIDDEN TESTS
