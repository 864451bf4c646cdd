"""Does the monitor give the right verdict for windows that it has not seen, and the place to look?"""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from course import production
from course.checks import CheckFailed, Module, Question, Unmet, as_dict, as_text, fail, fixture, module, text

question = Question("The monitor", points=14, deadline_s=600)
VERDICTS = ("fine", "data fault", "inputs changed", "model off")
CALL_S = 20
Window: TypeAlias = pd.DataFrame
Incident: TypeAlias = Callable[[Window], Window]


@dataclass(frozen=True)
class Judgement:
    """What the monitor returned for one window."""

    verdict: str
    where: str
    because: object
    reply: object


@fixture
def monitor() -> Module:
    """The shipped module, called in a process of its own."""
    return module("monitor.py", timeout=CALL_S)


@functools.cache
def windows(start: str) -> tuple[Window, Window]:
    """A window and its past, made once."""
    return production.window_and_past(start)


def judged(monitor: Module, window: Window, past: Window) -> Judgement:
    """What the monitor makes of a window; the check fails where that is no judgement."""
    reply = as_dict(monitor.judge(window, past), "what judge() returns", hint="a dictionary with verdict and where")
    verdict = as_text(reply.get("verdict"), "the verdict", hint=f"one of {', '.join(map(repr, VERDICTS))}")
    plain = " ".join(verdict.lower().replace("_", " ").replace("-", " ").split())
    if plain not in VERDICTS:
        fail("judge() returns a verdict of its own", expected=" or ".join(map(repr, VERDICTS)), got=verdict)
    return Judgement(plain, str(reply.get("where", "")).strip(), reply.get("because"), reply)


def must_be(judgement: Judgement, verdict: str, what: str) -> None:
    """Fail unless this is the verdict."""
    if judgement.verdict != verdict:
        fail(what, expected=verdict, got=judgement.reply)


@question.check(points=1)
def a_quiet_month_is_fine(monitor: Module) -> None:
    """a quiet month is fine"""
    must_be(judged(monitor, *windows("2013-05-06")), "fine", "the 28 days from 6 May 2013 are sound")


@question.check(points=1)
def a_renamed_carrier_is_a_data_fault(monitor: Module) -> None:
    """a carrier under a code that no airline has"""
    window, past = windows("2013-05-06")
    renamed = production.renamed(window, "UA", "UAL")
    must_be(judged(monitor, renamed, past), "data fault", "in the 28 days from 6 May 2013, UA is called UAL")


@question.check(points=1)
def september_is_the_model(monitor: Module) -> None:
    """September, in which the model expects twice as many late flights as there are"""
    what = "in the 28 days from 2 September 2013 the data are sound, and every second warning is one too many"
    must_be(judged(monitor, *windows("2013-09-02")), "model off", what)


### BEGIN HIDDEN TESTS
def unchanged(log: Window) -> Window:
    """No incident."""
    return log


@dataclass(frozen=True)
class Case:
    """A hidden window: its first day, what happens in it, the right verdict, and the places that show it.

    The log of each case plays in a year of its own. So a monitor can neither look a window up in the course's data, nor
    compare a broken window with the sound one that it saw before.
    """

    verdict: str
    start: str
    incident: Incident = unchanged
    places: tuple[str, ...] = ()


WEATHER = ("weather", "weather_temp", "weather_wind_speed", "weather_precip", "weather_visib")
FLIGHTS = ("origin", "carrier", "dest", "flight")
CLOCK = ("planned_departure", "sched_dep_time")
CASES = {
    "quiet 1": Case("fine", "2013-03-11"),
    "quiet 2": Case("fine", "2013-04-08"),
    "quiet 3": Case("fine", "2013-05-13"),
    "quiet 4": Case("fine", "2013-06-10"),
    "quiet 5": Case("fine", "2013-07-08"),
    "quiet 6": Case("fine", "2013-07-29"),
    "quiet 7": Case("fine", "2013-08-05"),
    "renamed 1": Case("data fault", "2013-07-08", lambda log: production.renamed(log, "AA", "aa"), ("carrier",)),
    "renamed 2": Case("data fault", "2013-04-08", lambda log: production.renamed(log, "B6", "JBU"), ("carrier",)),
    "twice 1": Case("data fault", "2013-08-05", lambda log: production.loaded_twice(log, 11), ("rows",)),
    "twice 2": Case("data fault", "2013-04-08", lambda log: production.loaded_twice(log, 27), ("rows",)),
    "clock 1": Case("data fault", "2013-03-11", lambda log: production.in_utc(log, 6), CLOCK),
    "clock 2": Case("data fault", "2013-07-29", lambda log: production.in_utc(log, 2), CLOCK),
    "knots 1": Case("data fault", "2013-06-10", lambda log: production.in_knots(log, "LGA"), ("weather_wind_speed",)),
    "knots 2": Case("data fault", "2013-03-11", lambda log: production.in_knots(log, "EWR"), ("weather_wind_speed",)),
    "km 1": Case("data fault", "2013-04-08", lambda log: production.in_kilometres(log, "B6"), ("distance",)),
    "km 2": Case("data fault", "2013-07-08", lambda log: production.in_kilometres(log, "DL"), ("distance",)),
    "silent 1": Case("data fault", "2013-05-13", lambda log: production.silent(log, "LGA", 8), WEATHER),
    "silent 2": Case("data fault", "2013-07-29", lambda log: production.silent(log, "JFK", 14), WEATHER),
    "labels 1": Case("data fault", "2013-07-29", lambda log: production.all_on_time(log, 4), ("late",)),
    "labels 2": Case("data fault", "2013-05-13", lambda log: production.all_on_time(log, 2), ("late",)),
    "closed 1": Case("inputs changed", "2013-05-13", lambda log: production.closed(log, "EWR", 10), FLIGHTS),
    "closed 2": Case("inputs changed", "2013-07-08", lambda log: production.closed(log, "LGA", 14), FLIGHTS),
    "strike 1": Case("inputs changed", "2013-06-10", lambda log: production.on_strike(log, "B6", 12), FLIGHTS),
    "strike 2": Case("inputs changed", "2013-03-11", lambda log: production.on_strike(log, "UA", 14), FLIGHTS),
    "too high": Case("model off", "2013-10-01", places=("probability",)),
    "too low": Case(
        "model off", "2013-06-10", lambda log: log.assign(probability=log["probability"] / 1.6), ("probability",)
    ),
    "shuffled 1": Case("model off", "2013-06-10", production.wrong_model, ("probability",)),
    "shuffled 2": Case("model off", "2013-04-08", production.wrong_model, ("probability",)),
}


@fixture
def replies(monitor: Module) -> dict[str, Judgement | CheckFailed]:
    """What the monitor makes of each case, or why it made nothing of it, in an order that the module's text decides."""
    order = list(CASES)
    random.Random(text("monitor.py")).shuffle(order)
    found: dict[str, Judgement | CheckFailed] = {}
    slow = 0
    for name in order:
        if slow == 2:
            found[name] = CheckFailed("not asked: two windows took longer than they may")
            continue
        case, years = CASES[name], 1 + list(CASES).index(name)
        window, past = windows(case.start)
        window, past = production.in_another_year(window, years), production.in_another_year(past, years)
        began = time.monotonic()
        try:
            found[name] = judged(monitor, case.incident(window), past)
        except Unmet:
            raise
        except CheckFailed as failure:
            found[name] = failure
            slow += time.monotonic() - began > CALL_S
    return found


def is_right(name: str, reply: Judgement | CheckFailed) -> bool:
    """Whether a case got its verdict."""
    return isinstance(reply, Judgement) and reply.verdict == CASES[name].verdict


def must_be_right(replies: dict[str, Judgement | CheckFailed], *kinds: str) -> None:
    """Fail unless each case of these kinds got its verdict."""
    for name, reply in replies.items():
        if name.rstrip(" 0123456789") in kinds and not is_right(name, reply):
            fail(f"{name}, in the window from {CASES[name].start}", expected=CASES[name].verdict, got=reply)


@question.check(
    points=2,
    hidden=True,
    needs=a_renamed_carrier_is_a_data_fault,  # silence is worth something only in who can speak
    hint="seasons are no incident: flights of one day share their fate, so count days; one false alarm is allowed",
)
def quiet_months_stay_quiet(replies: dict[str, Judgement | CheckFailed]) -> None:
    """at most one false alarm in seven sound windows"""
    quiet = [name for name, case in CASES.items() if case.verdict == "fine"]
    alarms = [name for name in quiet if not is_right(name, replies[name])]
    if len(alarms) > 1:
        fail(f"{len(alarms)} false alarms in {len(quiet)} sound windows", got=replies[alarms[0]])


@question.check(points=1, hidden=True, hint="codes and repeated rows are certain: ask for them first")
def codes_and_repeated_rows_are_found(replies: dict[str, Judgement | CheckFailed]) -> None:
    """unknown codes, and a day that was loaded twice"""
    must_be_right(replies, "renamed", "twice")


@question.check(points=1, hidden=True, hint="the log has each departure twice: as a time and as printed")
def a_wrong_clock_is_found(replies: dict[str, Judgement | CheckFailed]) -> None:
    """hours that are shifted"""
    must_be_right(replies, "clock")


@question.check(points=1, hidden=True, hint="group by airport or carrier, and look at which values occur")
def other_units_are_found(replies: dict[str, Judgement | CheckFailed]) -> None:
    """knots for miles per hour, kilometres for miles"""
    must_be_right(replies, "knots", "km")


@question.check(points=1, hidden=True, hint="how much is missing at each airport, compared with before?")
def a_silent_station_is_found(replies: dict[str, Judgement | CheckFailed]) -> None:
    """a weather station that reports nothing"""
    must_be_right(replies, "silent")


@question.check(points=1, hidden=True, hint="look at each day by itself: what has never happened on any day before?")
def labels_that_cannot_be_are_found(replies: dict[str, Judgement | CheckFailed]) -> None:
    """labels that are all "on time\""""
    must_be_right(replies, "labels")


@question.check(
    points=1, hidden=True, hint="compare each week's shares with the past; a month hides what one week shows"
)
def other_flights_are_noticed(replies: dict[str, Judgement | CheckFailed]) -> None:
    """an airport that closes, a carrier that stops flying"""
    must_be_right(replies, "closed", "strike")


@question.check(points=1, hidden=True, hint="by days, as in exercise 1; a mean can be off in two directions")
def wrong_means_are_noticed(replies: dict[str, Judgement | CheckFailed]) -> None:
    """probabilities that are too high, or too low"""
    must_be_right(replies, "too high", "too low")


@question.check(points=1, hidden=True, hint="the mean can be right where every flight has another's probability")
def a_lost_ranking_is_noticed(replies: dict[str, Judgement | CheckFailed]) -> None:
    """probabilities that belong to other flights"""
    must_be_right(replies, "shuffled")


@question.check(
    points=1,
    hidden=True,
    hint="`where` is a column's name, or rows where flights are repeated; `because` is a sentence; half of the "
    "incidents must be found",
)
def incidents_are_found_in_the_right_place(replies: dict[str, Judgement | CheckFailed]) -> None:
    """`where` names the place of each incident that is found, and `because` says why"""
    incidents = [name for name, case in CASES.items() if case.verdict != "fine"]
    found = [(name, reply) for name in incidents if is_right(name, reply := replies[name])]
    if len(found) < len(incidents) / 2:
        fail(f"only {len(found)} of {len(incidents)} incidents are found")
    for name, reply in found:
        if isinstance(reply, Judgement) and reply.where not in CASES[name].places:
            fail(f"{name}: another place", expected=" or ".join(CASES[name].places), got=reply)
        if isinstance(reply, Judgement) and not (isinstance(reply.because, str) and reply.because.strip()):
            fail(f"{name}: because is no sentence", got=reply)


### END HIDDEN TESTS
