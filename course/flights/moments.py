"""The days and times of the course: which day it is, and how a day, a time or a length of time is read."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

ZONE = "America/New_York"
"""The time zone of every time in this package."""

TODAY = pd.Timestamp("2013-12-01", tz=ZONE)
"""The day on which the course plays. Nothing after it can be asked for."""

TRAIN_UNTIL = pd.Timestamp("2013-10-01", tz=ZONE)
"""The default boundary of `split`: earlier flights train, October and November validate."""

HORIZON = "1D"
"""How long before its planned departure a flight's delay is predicted, unless said otherwise."""

LATE_MINUTES = 15
"""A flight is late when it arrives this many minutes after plan, or more."""

YEAR_START = pd.Timestamp("2013-01-01", tz=ZONE)
YEAR_END = pd.Timestamp("2014-01-01", tz=ZONE)

Moment = str | date | datetime | pd.Timestamp
Horizon = str | timedelta | pd.Timedelta


class NotKnownYet(ValueError):
    """Asked for something that happens after TODAY."""


def read_moment(value: Moment, name: str) -> pd.Timestamp:
    """Read a day or a time in 2013 as a New York time; the first moment of 2014 is the last that is allowed."""
    example = f'give {name} as a day such as "2013-07-04", a date or a pandas Timestamp'
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{name} is {value!r}, which is not a day (year-month-day); {example}") from None
    if not isinstance(value, date | np.datetime64) or value is pd.NaT or pd.isna(value):
        raise TypeError(f"{name} should be a day or a time, but is {abbreviated(value)}; {example}")
    try:
        moment = pd.Timestamp(value).as_unit("us")
        moment = moment.tz_localize(ZONE) if moment.tz is None else moment.tz_convert(ZONE)
    except (ValueError, OverflowError) as error:  # an hour that the change of the clocks skips or repeats
        raise ValueError(
            f"{name} is {value}, which is not one single moment in New York ({error}); give another hour"
        ) from None
    if not YEAR_START <= moment <= YEAR_END:
        raise ValueError(f"{name} is {in_words(moment)}, but the data are of 2013; {example}")
    return moment


def read_known_moment(value: Moment, name: str) -> pd.Timestamp:
    """Read a moment that is not after TODAY."""
    moment = read_moment(value, name)
    if moment > TODAY:
        raise NotKnownYet(
            f"{name} is {in_words(moment)}, but today is {in_words(TODAY)} in this course, and what comes after is not "
            f"known; ask for {in_words(TODAY)} or earlier (planned() knows the schedule of later days)"
        )
    return moment


def read_since(value: Moment | None, until: pd.Timestamp) -> pd.Timestamp:
    """Read the moment from which a table begins; the first of the year where none is given."""
    start = YEAR_START if value is None else read_moment(value, "since")
    if start > until:
        raise ValueError(f"since is {in_words(start)}, which is after as_of, {in_words(until)}; swap them?")
    return start


def read_horizon(value: Horizon) -> pd.Timedelta:
    """Read a length of time before departure."""
    example = 'give it as text such as "1h", "3h" or "1D", or as a timedelta'
    if not isinstance(value, str | timedelta | np.timedelta64) or value is pd.NaT:
        raise TypeError(f"horizon should be a length of time, but is {abbreviated(value)}; {example}")
    try:
        if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
            raise ValueError("no unit")
        horizon = pd.Timedelta(value)
    except (ValueError, OverflowError):
        raise ValueError(f"horizon is {value!r}, which is not a length of time with its unit; {example}") from None
    if pd.isna(horizon):
        raise ValueError(f"horizon is {value!r}; {example}")
    if horizon < pd.Timedelta(0):
        raise ValueError(f"horizon is {value!r}, after departure; a prediction is made before: {example}")
    return horizon


def in_words(moment: pd.Timestamp) -> str:
    """Write a moment as people do: a day, with its time where that is not midnight."""
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"


def abbreviated(value: object) -> str:
    """Show a value and its type in a message."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def microsecond(moment: pd.Timestamp) -> int:
    """Return a moment as microseconds since 1970, UTC."""
    return int(moment.as_unit("us").asm8.astype("int64"))


def microseconds(times: pd.Series) -> np.ndarray:
    """Return times with a zone as microseconds since 1970, UTC."""
    return times.to_numpy("datetime64[us]").view("int64")
