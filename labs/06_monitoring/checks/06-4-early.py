"""Do the numbers say how far the first labels of a day can be trusted?"""

import functools

import pandas as pd

from course import flights, production
from course.checks import Question, answer, as_number, expect

question = Question("What is known at six", points=2)


@functools.cache
def shares() -> tuple[float, float, float]:
    """Of October's flights due at 18:00: the share that is known, its late share, and that of all in the end."""
    plan = flights.planned("2013-10-01", "2013-11-01")[[*production.IDENTITY, "planned_arrival"]]
    feed = plan.merge(production.outcomes("2013-10-01", "2013-11-01"), on=production.IDENTITY)
    at_six = feed["planned_departure"].dt.normalize() + pd.Timedelta(hours=18)
    due, at_six = feed[feed["planned_arrival"] < at_six], at_six[feed["planned_arrival"] < at_six]
    known = due[due["known_at"] < at_six]
    judged = due[due["outcome"].isin(["late", "on time"])]
    return (
        len(known) / len(due),
        float((known["outcome"] == "late").mean()),
        float((judged["outcome"] == "late").mean()),
    )


def is_near(key: str, value: float, hint: str) -> None:
    """Fail unless an answer is a share near a value."""
    found = as_number(answer(key), key)
    if 1 < found <= 100:
        hint = "a share lies between 0 and 1"
    expect(found, key).is_close(value, rel=0.005, hint=hint)


@question.check(points=1)
def how_much_is_known() -> None:
    """early_known is the share of the due flights that have an outcome at 18:00"""
    is_near("early_known", shares()[0], "all flights that are due count, those that were cancelled, too")


@question.check(points=1)
def how_late_they_seem() -> None:
    """early_late and final_late are the late shares of what is known then, and in the end"""
    is_near("early_late", shares()[1], "of the flights that are known at 18:00, how many were late?")
    is_near("final_late", shares()[2], "of the same due flights, without those that were cancelled or diverted")
