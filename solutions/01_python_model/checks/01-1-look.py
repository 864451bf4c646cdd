"""Are the late rate and the worst month those of the flights so far?"""

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
def worst_month_is_a_month() -> None:
    """the worst month is one of January to November"""
    hint = "ship its number, such as 3 for March"
    shipped = answer("worst_month")
    expect(month(shipped) in range(1, 12)).is_true(f"{shipped!r} is none of them", hint=hint)


def month(value: Any) -> int:
    """The number of a month, also when it came as text or by its name; 0 if it is none."""
    names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    text = str(value).strip().lower()
    if text[:3] in names:
        return names.index(text[:3]) + 1
    number = text.removesuffix(".0")
    return int(number) if number.isdecimal() and len(number) <= 2 else 0


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    needs=late_rate_is_plausible,
    hidden=True,
    hint="which flights does the share count? one that was cancelled was not on time",
)
def late_rate_counts_flights_that_arrived() -> None:
    """the late rate is right to three decimals"""
    expect(float(answer("late_rate"))).is_close(float(flights.history(flights.TODAY)["late"].mean()), abs=0.0006)


@question.check(
    points=1,
    needs=worst_month_is_a_month,
    hidden=True,
    hint="take the month with the highest share of late flights, not with the highest number",
)
def worst_month_has_the_highest_share() -> None:
    """the worst month is the one with the highest share of late flights"""
    past = flights.history(flights.TODAY)
    by_month = past["late"].groupby(past["planned_departure"].dt.month).mean()
    expect(month(answer("worst_month"))).equals(int(by_month.index[int(by_month.argmax())]))


### END HIDDEN TESTS
