"""Does the shipped function keep every flight, and see the time of day and nothing of the other flights?"""

import numpy as np
import pandas as pd

from course import flights
from course.checks import Module, Question, expect, fail, fixture, module

question = Question("Features that ship", points=4)


@fixture
def features() -> Module:
    """The shipped module, called in a process of its own."""
    return module("features.py")


@fixture
def plan() -> pd.DataFrame:
    """Some flights as they are planned."""
    return flights.planned("2013-07-04").sample(200, random_state=1)


def table_of(features: Module, planned: pd.DataFrame) -> pd.DataFrame:
    """The features of planned flights; fails where there is not one row per flight."""
    table: pd.DataFrame = features.schedule_features(planned)
    expect(table, "what schedule_features returns").is_instance(pd.DataFrame)
    expect(len(table), "the number of rows").equals(len(planned), hint="one row per flight, whatever is missing in it")
    return table


@question.check(points=1)
def every_flight_keeps_its_row(features: Module, plan: pd.DataFrame) -> None:
    """every flight keeps its row and its index"""
    table = table_of(features, plan)
    expect(table.index, "the index").equals(
        plan.index, hint="work on the columns that came; merge() and sort_values() change the order"
    )


@question.check(points=1)
def time_of_day_makes_a_difference(features: Module, plan: pd.DataFrame) -> None:
    """a flight in the morning looks different from the same flight in the evening"""
    same = plan.iloc[[0, 0, 0]].reset_index(drop=True)
    for column, times in {
        "planned_departure": ("07:00", "13:10", "19:00"),
        "planned_arrival": ("10:00", "16:10", "22:00"),
    }.items():
        same[column] = pd.to_datetime([f"2013-07-04 {time}" for time in times]).tz_localize(flights.ZONE).as_unit("us")
    same["sched_dep_time"], same["sched_arr_time"] = [700, 1310, 1900], [1000, 1610, 2200]
    table = table_of(features, same)
    if table.iloc[0].astype(str).tolist() == table.iloc[2].astype(str).tolist():
        fail(
            "flights planned for 07:00 and for 19:00 have the same features",
            hint="planned_departure knows the hour; so does sched_dep_time",
        )


### BEGIN HIDDEN TESTS


def as_text(row: pd.Series) -> list[str]:
    return [f"{value:.6g}" if isinstance(value, (int, float, np.number)) else str(value) for value in row]


@question.check(
    points=1,
    hidden=True,
    hint="ask for the features of one row, and of a hundred with that row among them: are they the same?",
)
def a_flight_stands_alone(features: Module, plan: pd.DataFrame) -> None:
    """a flight's features depend on that flight alone"""
    whole = table_of(features, plan)
    for position in (0, 57, 199):
        label = plan.index[position]
        row = whole.index.get_loc(label) if label in whole.index and whole.index.is_unique else position
        alone = table_of(features, plan.iloc[[position]])
        expect(list(map(str, alone.columns))).equals(list(map(str, whole.columns)))
        expect(as_text(alone.iloc[0])).equals(as_text(whole.iloc[row]))


@question.check(
    points=1,
    hidden=True,
    hint='assigning to planned["…"] changes the caller\'s table; planned.assign(…) makes a new one',
)
def flights_are_left_as_they_were(features: Module, plan: pd.DataFrame) -> None:
    """the flights that came in are left as they were"""
    made, (after,) = features.schedule_features.and_arguments(plan)
    if made is None:
        fail("it returns nothing")  # one that does nothing leaves everything as it was
    expect(after).equals(plan)


### END HIDDEN TESTS
