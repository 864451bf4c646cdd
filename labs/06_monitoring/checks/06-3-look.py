"""Do the numbers say what two alarms, and two honest measures, make of September?"""

import functools

import numpy as np
import pandas as pd

from course import production
from course.checks import Question, answer, as_number, expect

question = Question("Two honest numbers", points=6)


@functools.cache
def log() -> pd.DataFrame:
    """The log of the eleven months."""
    return production.answered("2013-01-01", "2013-12-01")


def september() -> pd.DataFrame:
    """The flights of September whose outcome is known, with `error`: probability minus late."""
    flights = log()[log()["late"].notna()]
    flights = flights[flights["planned_departure"].dt.month == 9]
    return flights.assign(error=flights["probability"] - flights["late"].astype(float))


@question.check(points=2)
def the_largest_psi() -> None:
    """psi_max is the largest PSI of the four columns, over all months"""
    inputs = log()[["carrier", "origin", "dest"]].assign(hour=log()["planned_departure"].dt.hour)
    month = log()["planned_departure"].dt.month
    largest = 0.0
    for name in inputs:
        then = inputs.loc[month <= 8, name].value_counts()
        for number in range(1, 12):
            now = inputs.loc[month == number, name].value_counts()
            both = pd.DataFrame({"now": now, "then": then}).fillna(0.5)
            share = both / both.sum()
            largest = max(largest, float(((share["now"] - share["then"]) * np.log(share["now"] / share["then"])).sum()))
    hint = "drift has it: the columns whose second level is psi"
    expect(as_number(answer("psi_max"), "psi_max"), "psi_max").is_close(largest, rel=0.02, hint=hint)


@question.check(points=2)
def the_error_of_september() -> None:
    """september_error is the mean probability minus the share of late flights"""
    error = float(september()["error"].mean())
    hint = "flights without an outcome count in neither mean; too high a probability gives a positive error"
    expect(as_number(answer("september_error"), "september_error"), "september_error").is_close(
        error, rel=0.02, hint=hint
    )


@question.check(points=2)
def days_are_the_unit() -> None:
    """september_sigmas counts a day as one observation"""
    daily = september().groupby(september()["planned_departure"].dt.date)["error"].mean()
    sigmas = float(daily.mean() / (daily.std() / len(daily) ** 0.5))
    hint = "thirty daily means: their mean over (their standard deviation over the square root of thirty)"
    expect(as_number(answer("september_sigmas"), "september_sigmas"), "september_sigmas").is_close(
        sigmas, rel=0.03, hint=hint
    )
