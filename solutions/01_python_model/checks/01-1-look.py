"""Are the late rate and the worst hour those of the flights so far?"""

import re
from typing import Any

from course import flights
from course.checks import Question, answer, expect
from course.checks.files.documents import amount

question = Question("Two numbers", points=3)


@question.check(points=1)
def late_rate_is_plausible() -> None:
    """the late rate is a plausible share"""
    hint = "a share lies between 0 and 1, and the first figure shows roughly where"
    expect(amount(answer("late_rate"), "late_rate"), "late_rate").is_between(0.15, 0.32, hint=hint)


@question.check()
def worst_hour_is_an_hour() -> None:
    """the worst hour is one of 5 to 23"""
    shipped = answer("worst_hour")
    hint = "ship its number on a clock of 24 hours, such as 17 for the flights from 17:00 to 17:59"
    expect(hour(shipped) in range(5, 24)).is_true(f"{shipped!r} is none of them", hint=hint)


def hour(value: Any) -> int:
    """An hour of the day, also when it came as a text such as "17:00" or "5 pm"; -1 if it is none."""
    match = re.fullmatch(r"(\d{1,2})(?:\.0|:00)?(?: ?h)?(?: ?([ap])\.?m\.?)?", str(value).strip().lower()[:20])
    if match is None or isinstance(value, bool):
        return -1
    number = int(match[1])
    return number % 12 + 12 * (match[2] == "p") if match[2] else number


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    needs=late_rate_is_plausible,
    hidden=True,
    hint="a flight that was cancelled was not on time; and each flight counts once, whatever its month has",
)
def late_rate_counts_flights_that_arrived() -> None:
    """the late rate is right to four decimals"""
    expect(float(answer("late_rate"))).is_close(float(flights.history(flights.TODAY)["late"].mean()), abs=0.00005)


@question.check(
    points=1,
    needs=worst_hour_is_an_hour,
    hidden=True,
    hint="take the hour with the highest share of late flights, not with the highest number",
)
def worst_hour_has_the_highest_share() -> None:
    """the worst hour is the one with the highest share of late flights"""
    past = flights.history(flights.TODAY).dropna(subset=["late"])
    by_hour = past["late"].astype(float).groupby(past["planned_departure"].dt.hour).mean()
    expect(hour(answer("worst_hour"))).equals(int(by_hour.idxmax()))


### END HIDDEN TESTS
