"""Does the contract accept every sound day, and blame a broken one on the right column?"""

from collections.abc import Iterable

import pandas as pd

from course import production
from course.checks import Module, Question, fail, fixture, module

question = Question("A contract for the data", points=10)


@fixture
def contract() -> Module:
    """The shipped module, called in a process of its own."""
    return module("contract.py")


def day(of: str) -> pd.DataFrame:
    """The log of one day."""
    return production.answered(of, str(pd.Timestamp(of) + pd.Timedelta(days=1)))


def blames(contract: Module, log: pd.DataFrame, what: str, *names: str) -> None:
    """Fail unless faults() returns exactly these names."""
    found = contract.faults(log)
    if not isinstance(found, Iterable) or isinstance(found, str) or not all(isinstance(name, str) for name in found):
        fail("faults() does not return a list of names", expected=sorted(names), actual=found)
    if sorted(found) != sorted(names):
        fail(f"faults() blames something else for a log {what}", expected=sorted(names), actual=sorted(found))


@question.check(points=2)
def sound_days_pass(contract: Module) -> None:
    """a sound day has no faults"""
    for of in ("2013-01-01", "2013-05-06", "2013-11-30"):
        blames(contract, day(of), f"that is sound, of {of}")


@question.check(points=1)
def more_columns_do_not_matter(contract: Module) -> None:
    """columns that the contract does not name are nobody's business"""
    log = day("2013-03-12")
    blames(contract, log.assign(seat=1).drop(columns=["planned_arrival", "late"]), "with other further columns")


@question.check(points=1)
def values_out_of_range_are_found(contract: Module) -> None:
    """a negative distance and a probability above 1"""
    log = day("2013-05-06")
    blames(contract, log.assign(distance=-log["distance"]), "with negative distances", "distance")
    blames(contract, log.assign(probability=log["probability"] + 1), "with probabilities above 1", "probability")


@question.check(points=1)
def repeated_flights_are_found(contract: Module) -> None:
    """a flight that is there twice"""
    blames(contract, production.loaded_twice(day("2013-05-06"), 0), "that was loaded twice", "rows")


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="every code, and every origin, that the contract rules out")
def codes_are_checked(contract: Module) -> None:
    """codes that no airline and no airport has"""
    log = day("2013-06-03")
    blames(contract, production.renamed(log, "UA", "UAL"), "with a carrier UAL", "carrier")
    blames(contract, log.assign(origin=log["origin"].replace("JFK", "KJFK")), "with an origin KJFK", "origin")
    blames(contract, log.assign(dest=log["dest"].str.lower()), "with destinations in lower case", "dest")


@question.check(points=1, hidden=True, hint="sched_dep_time is hours times 100 plus minutes of planned_departure")
def the_clock_is_checked(contract: Module) -> None:
    """printed and planned departures that disagree"""
    blames(contract, production.in_utc(day("2013-07-08"), 1), "whose departures are in UTC", "sched_dep_time")
    log = day("2013-07-08")
    one_late = log.assign(sched_dep_time=log["sched_dep_time"].where(log.index != 5, 1))
    blames(contract, one_late, "with one wrong departure", "sched_dep_time")


@question.check(points=1, hidden=True, hint="a column that is missing is named, and nothing else is")
def missing_columns_are_found(contract: Module) -> None:
    """a column that is not there"""
    blames(contract, day("2013-08-05").drop(columns="distance"), "without distance", "distance")
    blames(contract, day("2013-08-05").drop(columns="weather_visib"), "without weather_visib", "weather_visib")


@question.check(points=1, hidden=True, hint="weather may be missing, a probability may not; text is no number")
def types_and_gaps_are_checked(contract: Module) -> None:
    """missing weather passes, a missing probability and distances as text do not"""
    log = day("2013-02-04")
    blames(contract, log.assign(weather_temp=float("nan"), weather_visib=float("nan")), "without any weather")
    blames(contract, log.assign(probability=float("nan")), "without probabilities", "probability")
    blames(contract, log.assign(distance=log["distance"].astype(str)), "whose distances are text", "distance")


@question.check(points=1, hidden=True, hint="look at everything before you answer: pandera's lazy=True")
def two_faults_are_both_named(contract: Module) -> None:
    """two faults in one log"""
    log = day("2013-10-07")
    both = production.renamed(log, "DL", "dl").assign(distance=log["distance"] * 100)
    blames(contract, both, "with two faults", "carrier", "distance")


### END HIDDEN TESTS
