"""Does the contract accept every sound day, and blame a broken one on the right column?"""

import pandas as pd

from course import production
from course.checks import Module, Question, as_list, fail, fixture, module

question = Question("A contract for the data", points=10)


@fixture
def contract() -> Module:
    """The shipped module, called in a process of its own."""
    return module("contract.py")


NEEDED = (
    *("planned_departure", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance"),
    *("weather_temp", "weather_wind_speed", "weather_visib", "probability"),
)


def day(of: str) -> pd.DataFrame:
    """The log of one day."""
    return production.answered(of, str(pd.Timestamp(of) + pd.Timedelta(days=1)))


def named(contract: Module, log: pd.DataFrame) -> set[str]:
    """The names that faults() returns for a log; else the check fails."""
    names = as_list(contract.faults(log), "what faults() returns")
    if not all(isinstance(name, str) for name in names):
        fail("faults() returns something else than names", expected="a list of names, which are text", actual=names)
    return set(names)


@fixture
def always(contract: Module) -> set[str]:
    """What the contract blames on a sound day: it costs the points of sound days, and not those of all others."""
    return named(contract, day("2013-05-06"))


def blames(contract: Module, always: set[str], log: pd.DataFrame, what: str, *names: str) -> None:
    """Fail unless faults() returns exactly these names, besides those that it returns for a sound day, too."""
    found = named(contract, log)
    if useless := sorted(set(names) & always):
        fail(f"faults() returns {useless} for a sound day, too, so it cannot tell a log {what} from a sound one")
    if found - always != set(names):
        fail(f"faults() does not return the right names for a log {what}", expected=sorted(names), actual=sorted(found))


@question.check(points=2)
def sound_days_pass(contract: Module) -> None:
    """a sound day has no faults"""
    for of in ("2013-01-01", "2013-05-06", "2013-07-27", "2013-11-30"):  # on 27 July, a flight of 17 miles
        if found := sorted(named(contract, day(of))):
            fail(f"faults() returns names for {of}, which is a sound day", expected="[]", actual=str(found))


@question.check(points=1)
def more_columns_do_not_matter(contract: Module, always: set[str]) -> None:
    """columns that the contract does not name may come and go"""
    log = day("2013-03-12").assign(seat=1).drop(columns=["planned_arrival", "late"])
    blames(contract, always, log, "that has a column seat, and no planned_arrival and late")


@question.check(points=1)
def values_out_of_range_are_found(contract: Module, always: set[str]) -> None:
    """a negative distance and a probability above 1"""
    log = day("2013-05-06")
    blames(contract, always, log.assign(distance=-log["distance"]), "with negative distances", "distance")
    above = log.assign(probability=log["probability"] + 1)
    blames(contract, always, above, "with probabilities above 1", "probability")


@question.check(points=1)
def repeated_flights_are_found(contract: Module, always: set[str]) -> None:
    """a flight that is there twice"""
    twice = production.loaded_twice(day("2013-05-06"), 0)
    blames(contract, always, twice, "in which each flight is there twice", "rows")
