"""What may be asked: history, plans, labels, weather, and for grading alone the hold-out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from course.flights.cache import load, take
from course.flights.columns import HAPPENED, IDENTITY, PLAN, SCHEMA, TABLES, TIME, WEATHER
from course.flights.moments import (
    HORIZON,
    TODAY,
    TRAIN_UNTIL,
    YEAR_END,
    ZONE,
    Horizon,
    Moment,
    abbreviated,
    in_words,
    microsecond,
    microseconds,
    read_horizon,
    read_known_moment,
    read_moment,
    read_since,
)


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
    until = read_known_moment(as_of, "as_of")
    start = read_since(since, until)
    plan, happened = load("plan"), load("happened")
    settled = microseconds(happened["_known_at"]) < microsecond(until)
    rows = settled & (microseconds(plan["planned_departure"]) >= microsecond(start))
    parts = [take(plan, rows, [name for name, *_ in PLAN]), take(happened, rows, [name for name, *_ in HAPPENED])]
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
    first = read_moment(start, "start")
    if first == YEAR_END:
        raise ValueError("start is the end of 2013, and the data are of 2013; the last day is 2013-12-31")
    if end is None:
        last = min(first + pd.DateOffset(days=1), YEAR_END)
    else:
        last = read_moment(end, "end")
    if last <= first:
        said = f"start is {in_words(first)} and end is {in_words(last)}"
        raise ValueError(f"end must be after start, but {said}; swap them?")
    return _select_planned(load("plan"), load("weather"), first, last, read_horizon(horizon), TODAY)


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
    until = read_known_moment(as_of, "as_of")
    where, happened = _positions(flights, load("plan")), load("happened")
    late = happened["late"].array[where]
    late[microseconds(happened["_known_at"])[where] >= microsecond(until)] = pd.NA
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
    until = read_known_moment(as_of, "as_of")
    start = read_since(since, until)
    table = load("weather")
    observed = microseconds(table["observed_at"])
    return take(table, (observed <= microsecond(until)) & (observed >= microsecond(start)))


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
    until = read_known_moment(as_of, "as_of")
    table = load("planes")
    return take(table, microseconds(table["_first_seen"]) < microsecond(until), [name for name, *_ in TABLES["planes"]])


def airports() -> pd.DataFrame:
    """Return all airports (1,462), ordered by code: the columns of the table "airports" in SCHEMA.

    Four destinations that the source lacks (BQN, PSE, SJU and STT, in Puerto Rico and the Virgin Islands) are added.
    """
    return load("airports").copy()


def airlines() -> pd.DataFrame:
    """Return the airlines (16), ordered by code: the columns of the table "airlines" in SCHEMA."""
    return load("airlines").copy()


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
    middle, end = read_moment(train_until, "train_until"), read_moment(validate_until, "validate_until")
    if end <= middle:
        raise ValueError(f"validate_until ({in_words(end)}) must be after train_until ({in_words(middle)})")
    departure = flights["planned_departure"]
    train, valid = flights[departure < middle], flights[(departure >= middle) & (departure < end)]
    for part, what in ((train, f"before train_until ({in_words(middle)})"), (valid, f"from there to {in_words(end)}")):
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
    ahead = read_horizon(horizon)
    if path := os.environ.get("COURSE_HOLDOUT"):
        return _read_holdout(Path(path), ahead)
    plan = load("plan")
    frame = _select_planned(plan, load("weather"), TODAY, YEAR_END, ahead, None)
    late = load("happened")["late"].array[_positions(frame, plan)]
    arrived = ~late.isna()
    return (
        frame[arrived].reset_index(drop=True),
        pd.Series(late[arrived].to_numpy(dtype=bool), name="late"),
    )


def _select_planned(
    plan: pd.DataFrame,
    observed: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    horizon: pd.Timedelta,
    today: pd.Timestamp | None,
) -> pd.DataFrame:
    """Select the flights and put beside each the last weather observed by its moment (and by `today`)."""
    departures = microseconds(plan["planned_departure"])
    first, last = np.searchsorted(departures, [microsecond(start), microsecond(end)])
    names = [name for name, *_ in TABLES["planned"] if not name.startswith("weather_")]
    frame = plan.iloc[first:last][names].reset_index(drop=True)

    moments = departures[first:last] - horizon // pd.Timedelta("1us")
    if today is not None:
        moments = np.minimum(moments, microsecond(today))
    times = microseconds(observed["observed_at"])
    row = np.full(len(frame), -1)
    for station in observed["origin"].unique():
        at_station, here = np.flatnonzero(observed["origin"] == station), (frame["origin"] == station).to_numpy()
        latest = np.searchsorted(times[at_station], moments[here], side="right") - 1
        row[here] = np.where(latest < 0, -1, at_station[latest])

    seen = row >= 0
    stamp = np.where(seen, times[row], np.iinfo(np.int64).min).view("datetime64[us]")  # the smallest is NaT
    frame["weather_observed_at"] = pd.DatetimeIndex(stamp, tz="UTC").tz_convert(ZONE)
    for name, *_ in WEATHER:
        frame[f"weather_{name}"] = np.where(seen, observed[name].to_numpy()[row], np.nan)
    return frame


def _positions(wanted: pd.DataFrame, plan: pd.DataFrame) -> np.ndarray:
    """Return the position in the plan of each of the wanted flights; the five columns of IDENTITY name a flight."""
    _require(wanted, IDENTITY)
    key, known_key = np.zeros(len(wanted), np.int64), np.zeros(len(plan), np.int64)
    found = np.ones(len(wanted), bool)
    for name in IDENTITY:
        part, known = wanted[name], plan[name]
        if name == "planned_departure":
            part, known = pd.Series(microseconds(part)), pd.Series(microseconds(known))
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
    names = [name for name, *_ in TABLES["planned"]]
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
        if dtype == TIME:
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
    if dtype == TIME:
        return isinstance(values.dtype, pd.DatetimeTZDtype)
    if dtype == "str":
        return types.is_string_dtype(values.astype(object))
    if dtype == "int64":
        return types.is_integer_dtype(values)
    return types.is_numeric_dtype(values) and not types.is_bool_dtype(values)


_NEW_STRINGS = int(pd.__version__.partition(".")[0]) >= 3  # text has a dtype of its own


def _require(frame: pd.DataFrame, columns: list[str]) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"expected flights as planned() returns them (a DataFrame), got {abbreviated(frame)}")
    missing = [name for name in columns if name not in frame]
    if missing:
        raise ValueError(f"the flights lack the columns {', '.join(missing)}; give rows as planned() returns them")
    if not isinstance(frame["planned_departure"].dtype, pd.DatetimeTZDtype):
        raise ValueError(
            f"planned_departure should be times with a zone ({TIME}), but is {frame['planned_departure'].dtype}; "
            "keep the column as planned() returns it"
        )
