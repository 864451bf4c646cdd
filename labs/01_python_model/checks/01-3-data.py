"""Do the tests of the data pass on good months, and catch tables that are broken?"""

import pandas as pd

from course import flights
from course.checks import Mutation, Question, tests, variant
from course.checks.python.suites import Text

conftest = """import pytest
from month import recorded


@pytest.fixture(scope="session")
def whole_month():
    return recorded()


@pytest.fixture
def flights(whole_month):
    return whole_month.copy()
"""
april = """import pandas as pd
from tables import TABLES


def recorded():
    flights = TABLES["04"].copy()
    return flights
"""
question = Question("Tests of data", points=4)


def months() -> dict[str, pd.DataFrame]:
    """The flights of February, April and October, by the number of the month."""
    recorded = flights.history("2013-11-02", since="2013-02-01")
    month = recorded["planned_departure"].dt.month
    return {f"{number:02d}": recorded[month == number].reset_index(drop=True) for number in (2, 4, 10)}


def month(text: Text) -> dict[str, Text]:
    """The files of a version: a module that returns a month, and the fixture that hands it out."""
    return {"conftest.py": conftest, "month.py": text}


study = Mutation(
    question,
    tests("test_data.py"),
    {"the flights of April": month(april)},
    tables=months,
    advice="some months are stormier than others; a promise holds in all of them",
    points=1,
)
study.accepts("the flights of October", month(variant(april, ('"04"', '"10"'))))


def corrupted(line: str) -> dict[str, Text]:
    """The flights of April after a line of code has changed them."""
    return month(variant(april, ("    return flights", f"    {line}\n    return flights")))


study.catches(
    "flights that come twice are caught",
    corrupted("flights = pd.concat([flights, flights.tail(40)], ignore_index=True)"),
    points=1,
    hint="which columns together name a flight?",
)
study.catches(
    "a column that has gone is caught",
    [corrupted("del flights['dest']"), corrupted("flights = flights.rename(columns={'cancelled': 'canceled'})")],
    points=1,
    hint="ask for every column in the list, also for those that your other tests do not touch",
)
