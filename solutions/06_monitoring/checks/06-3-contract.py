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


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="every code, and every origin, that the contract rules out")
def codes_are_checked(contract: Module, always: set[str]) -> None:
    """codes that no airline and no airport has"""
    log = day("2013-06-03")
    blames(contract, always, production.renamed(log, "UA", "UAL"), "with a carrier UAL", "carrier")
    blames(contract, always, production.renamed(log, "UA", "u2"), "with a carrier u2", "carrier")
    kennedy = log.assign(origin=log["origin"].replace("JFK", "KJFK"))
    blames(contract, always, kennedy, "with an origin KJFK", "origin")
    philadelphia = log.assign(origin=log["origin"].replace("JFK", "PHL"))
    blames(contract, always, philadelphia, "with an origin PHL", "origin")
    blames(contract, always, log.assign(dest=log["dest"].str.lower()), "with destinations in lower case", "dest")
    blames(contract, always, log.assign(dest=log["dest"] + "X"), "with destinations of four letters", "dest")


@question.check(points=1, hidden=True, hint="sched_dep_time is hours times 100 plus minutes of planned_departure")
def the_clock_is_checked(contract: Module, always: set[str]) -> None:
    """printed and planned departures that disagree"""
    blames(
        contract,
        always,
        production.in_utc(day("2013-07-08"), 1),
        "whose planned departures are in UTC",
        "sched_dep_time",
    )
    log = day("2013-07-08")
    one_wrong = log.assign(sched_dep_time=log["sched_dep_time"].where(log.index != 5, 1))
    blames(contract, always, one_wrong, "with one wrong departure", "sched_dep_time")


@question.check(
    points=1,
    hidden=True,
    hint="a column that is missing is named, and rules that need it are left out; try each column",
)
def missing_columns_are_found(contract: Module, always: set[str]) -> None:
    """a column that is not there, and times without a zone"""
    log = day("2013-08-05")
    for name in NEEDED:
        blames(contract, always, log.drop(columns=name), f"without {name}", name)
    no_zone = log.assign(planned_departure=log["planned_departure"].dt.tz_localize(None))
    blames(contract, always, no_zone, "whose planned departures have no zone", "planned_departure")


@question.check(points=1, hidden=True, hint="weather may be missing, a probability may not; text is no number")
def types_and_gaps_are_checked(contract: Module, always: set[str]) -> None:
    """missing weather passes; a missing probability and distances as text do not"""
    log = day("2013-02-04")
    calm = log.assign(**dict.fromkeys(("weather_temp", "weather_wind_speed", "weather_visib"), float("nan")))
    blames(contract, always, calm, "without any weather")
    gap = log.assign(probability=log["probability"].where(log.index != 3))
    blames(contract, always, gap, "in which one probability is missing", "probability")
    blames(contract, always, log.assign(distance=log["distance"].astype(str)), "whose distances are text", "distance")


@question.check(points=1, hidden=True, hint="look at everything before you answer: pandera's lazy=True")
def two_faults_are_both_named(contract: Module, always: set[str]) -> None:
    """two faults in one log"""
    log = day("2013-10-07")
    both = production.renamed(log, "DL", "dl").assign(distance=log["distance"] * 100)
    blames(contract, always, both, "with two faults", "carrier", "distance")
    twice = production.loaded_twice(log.assign(probability=log["probability"] - 1), 0)
    blames(contract, always, twice, "with negative probabilities and repeated flights", "probability", "rows")


### END HIDDEN TESTS
