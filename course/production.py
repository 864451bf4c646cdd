"""What the service answered, as its log shows it, and incidents that can happen to such a log. Used by lab 06.

The story: since 1 September 2013 the company has run a model that was trained on what was known that day. Each row of
the log is one flight: what the service was asked, the probability that it returned, and, once it is known, whether the
flight was late. The model here is a small one, so that the log is made within seconds; it behaves like yours.

A monitor looks at a *window* of the log, and at the *past* before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pandas as pd

from course import flights

COLUMNS = [
    *("planned_departure", "planned_arrival", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance"),
    *("weather_temp", "weather_wind_speed", "weather_precip", "weather_visib"),
]
IDENTITY = ["planned_departure", "carrier", "flight", "origin", "dest"]
TRAINED_UNTIL = "2013-09-01"


def answered(start: flights.moments.Moment, end: flights.moments.Moment) -> pd.DataFrame:
    """Return the log of the flights planned to depart in a time.

    Args:
        start: first moment of planned departure.
        end: the moment before which they depart; at most TODAY.

    Returns:
        One row per flight, ordered by plan: COLUMNS, `probability` (of being late) and `late` (pandas' nullable
        boolean; NA for flights that never arrived).

    Raises:
        ValueError: a moment cannot be read, or `end` is not after `start`.
        NotKnownYet: `end` is after TODAY.
    """
    log = flights.planned(start, end)
    late = flights.labels(log, as_of=flights.TODAY)
    return log[COLUMNS].assign(probability=_model().predict_proba(_features(log))[:, 1], late=late)


def window_and_past(start: flights.moments.Moment, days: int = 28) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the log of some days, and that of twice as many days before them.

    Args:
        start: the first day of the window.
        days: the window's length.
    """
    first = pd.Timestamp(start).tz_localize(None)
    window = answered(first, first + pd.Timedelta(days=days))
    return window, answered(first - pd.Timedelta(days=2 * days), first)


def _features(log: pd.DataFrame) -> pd.DataFrame:
    departure = log["planned_departure"].dt
    names = log[["carrier", "origin", "dest"]]
    return names.assign(hour=departure.hour.astype(str), weekday=departure.day_of_week.astype(str))


@functools.cache
def _model() -> Any:
    """The model in production: a logistic regression on the schedule, of every tenth flight before 1 September."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    known = flights.planned("2013-01-01", TRAINED_UNTIL).iloc[::10]
    late = flights.labels(known, as_of=TRAINED_UNTIL)
    known, late = known[late.notna()], late[late.notna()].astype(bool)
    return make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=300)).fit(
        _features(known), late
    )


# -- incidents ---------------------------------------------------------------------------------------------------------
# Each takes a window and returns another one, in which something went wrong. None changes what it is given.


def in_knots(window: pd.DataFrame, origin: str) -> pd.DataFrame:
    """A station reports wind in knots, where miles per hour are expected."""
    return _changed(window, window["origin"] == origin, weather_wind_speed=lambda rows: rows / 1.15078)


def in_kilometres(window: pd.DataFrame, carrier: str) -> pd.DataFrame:
    """A carrier's schedule has distances in kilometres."""
    return _changed(window, window["carrier"] == carrier, distance=lambda rows: (rows * 1.609344).round().astype(int))


def renamed(window: pd.DataFrame, carrier: str, name: str) -> pd.DataFrame:
    """A carrier appears under a code that no airline has."""
    return _changed(window, window["carrier"] == carrier, carrier=lambda rows: rows.map(lambda _: name))


def in_utc(window: pd.DataFrame, last_days: int) -> pd.DataFrame:
    """Planned departures of the last days are in UTC, and taken for New York's time."""
    shift = {"planned_departure": lambda rows: rows + pd.Timedelta(hours=5)}
    return _changed(window, _last(window, last_days), **shift)


def silent(window: pd.DataFrame, origin: str, last_days: int) -> pd.DataFrame:
    """A weather station reports nothing in the last days."""
    where = _last(window, last_days) & (window["origin"] == origin)
    weather = [name for name in window if name.startswith("weather_")]
    return _changed(window, where, **dict.fromkeys(weather, lambda rows: rows * float("nan")))


def loaded_twice(window: pd.DataFrame, day: int) -> pd.DataFrame:
    """One day's partition was loaded twice."""
    days = window["planned_departure"].dt.normalize()
    again = window[days == sorted(days.unique())[day]]
    return pd.concat([window, again]).sort_values("planned_departure", kind="stable", ignore_index=True)


def all_on_time(window: pd.DataFrame, last_days: int) -> pd.DataFrame:
    """The labels of the last days all say "on time": the job that makes them failed."""
    return _changed(window, _last(window, last_days) & window["late"].notna(), late=lambda rows: rows & False)


def closed(window: pd.DataFrame, origin: str, last_days: int) -> pd.DataFrame:
    """An airport closes: in the last days one flight in ten leaves from it, the others are not planned any more."""
    gone = _last(window, last_days) & (window["origin"] == origin) & (window["flight"] % 10 != 0)
    return window[~gone].reset_index(drop=True)


def on_strike(window: pd.DataFrame, carrier: str, last_days: int) -> pd.DataFrame:
    """A carrier does not fly in the last days."""
    return window[~(_last(window, last_days) & (window["carrier"] == carrier))].reset_index(drop=True)


def wrong_model(window: pd.DataFrame) -> pd.DataFrame:
    """Another model answers: its probabilities have the right mean, and belong to other flights."""
    shuffled = window["probability"].sample(frac=1, random_state=7).to_numpy()
    return window.assign(probability=shuffled)


def _last(window: pd.DataFrame, days: int) -> pd.Series:
    return window["planned_departure"] >= window["planned_departure"].max().normalize() - pd.Timedelta(days=days - 1)


def _changed(window: pd.DataFrame, where: pd.Series, **changes: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    changed = window.copy()
    for name, change in changes.items():
        changed.loc[where, name] = change(window.loc[where, name])
    return changed
