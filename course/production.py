"""What the service answered, as its log shows it, and incidents that can happen to such a log. Used by lab 06.

The story: since 1 September 2013 the company has run a model that was trained on what was known that day. Each row of
the log is one flight: what the service was asked, the probability that it returned, and, once it is known, whether the
flight was late. The model here is a small one, so that the log is made within seconds; it behaves like yours.

A monitor looks at a *window* of the log, and at the *past* before it.

A report joins the log as it was written (`lines`) with the feed of outcomes (`outcomes`). `facts` is the joined table
of a sound log, with which a join can be compared.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from course import flights

COLUMNS = [
    *("planned_departure", "planned_arrival", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance"),
    *("weather_temp", "weather_wind_speed", "weather_precip", "weather_visib"),
]
IDENTITY = ["planned_departure", "carrier", "flight", "origin", "dest"]
TRAINED_UNTIL = "2013-09-01"
NUMBERS = 10_000  # flights have numbers below this one
KEPT = 0.9  # the share of flights that a log of another year has


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


LOGGED = ["prediction", "asked_at", "model", *IDENTITY, "probability", "warned"]
SECOND_MODEL = "2013-10-15"  # the day from which the service runs v2, which was trained on what was known by then
WARN_FROM = 0.2  # false / (missed + false), for the costs 40 and 10 of lab 01
AHEAD = pd.Timedelta(hours=24)  # how long before the planned departure the service is asked


def facts(
    start: flights.moments.Moment, end: flights.moments.Moment, as_of: flights.moments.Moment = flights.TODAY
) -> pd.DataFrame:
    """Return what a right join of log and outcomes knows at a moment, for flights planned to depart in a time.

    Args:
        start, end: the first moment of planned departure, and the moment before which the flights depart.
        as_of: the moment; what was logged, or became known, at that moment or later is left out. At most TODAY.

    Returns:
        One row per flight about which the service had been asked, ordered by plan: LOGGED, and `first_outcome` and
        `outcome`, each "late", "on time", "cancelled", "diverted" or "unknown". `prediction` is the id of the log line.
    """
    moment = flights.moments.read_moment(as_of, "as_of")
    log = _logged(start, end)
    log = log[log["asked_at"] < moment].reset_index(drop=True)
    feed = outcomes(start, end)
    known = feed[feed["known_at"] < moment].drop(columns="known_at")
    outcome = log[IDENTITY].merge(known, on=IDENTITY, how="left")["outcome"].fillna("unknown")
    return log.assign(first_outcome=outcome, outcome=outcome)


def lines(start: flights.moments.Moment, end: flights.moments.Moment) -> list[str]:
    """Return the log of the flights planned to depart in a time, as the service wrote it: one JSON object per line.

    Args:
        start, end: as for `facts`.

    Returns:
        One line per flight, in the order in which the service was asked, with the keys LOGGED. Times are ISO 8601.
    """
    log = _logged(start, end).sort_values("asked_at", kind="stable")
    times = {name: log[name].map(pd.Timestamp.isoformat) for name in ("asked_at", "planned_departure")}
    return [json.dumps(row) for row in log.assign(**times).to_dict("records")]


def outcomes(start: flights.moments.Moment, end: flights.moments.Moment) -> pd.DataFrame:
    """Return the feed of outcomes of the flights planned to depart in a time, as far as it is known today.

    Returns:
        One row per message, ordered by `known_at`: IDENTITY, `outcome` ("late", "on time", "cancelled" or "diverted")
        and `known_at`. A flight is known when it lands, one that was cancelled 24 hours after its planned departure.
    """
    first, last = (flights.moments.read_moment(moment, name) for moment, name in ((start, "start"), (end, "end")))
    happened = flights.history(flights.TODAY, since=first)
    happened = happened[happened["planned_departure"] < last]
    landed = happened["planned_arrival"] + pd.to_timedelta(happened["arr_delay"], unit="min")
    lost = happened[["planned_arrival", "planned_departure"]].max(axis="columns")
    settled = landed.fillna(lost.where(~happened["cancelled"], happened["planned_departure"]) + AHEAD)
    outcome = happened["late"].map({True: "late", False: "on time"}).astype(object)
    outcome = outcome.where(happened["late"].notna(), happened["cancelled"].map({True: "cancelled", False: "diverted"}))
    feed = happened[IDENTITY].assign(outcome=outcome.astype(str), known_at=settled.dt.as_unit("us"))
    return feed.sort_values("known_at", kind="stable", ignore_index=True)


def _logged(start: flights.moments.Moment, end: flights.moments.Moment) -> pd.DataFrame:
    """What the service logged about the flights of a time: LOGGED, ordered by plan."""
    log = flights.planned(start, end)[IDENTITY]
    second = log["planned_departure"] >= pd.Timestamp(SECOND_MODEL, tz=flights.ZONE)
    probability = pd.Series(0.0, index=log.index)
    for name, rows in (("v1", ~second), ("v2", second)):
        if rows.any():
            model = _model() if name == "v1" else _model(SECOND_MODEL)
            probability[rows] = model.predict_proba(_features(log[rows]))[:, 1].round(4)
    asked = log["planned_departure"] - AHEAD
    names = [
        hashlib.sha256(" ".join(map(str, flight)).encode()).hexdigest()[:12]
        for flight in log.itertuples(index=False, name=None)
    ]
    return log.assign(
        prediction=pd.Series(names, index=log.index, dtype="str"),
        asked_at=asked.dt.as_unit("us"),
        model=second.map({False: "v1", True: "v2"}),
        probability=probability,
        warned=probability >= WARN_FROM,
    )[LOGGED]


def in_another_year(log: pd.DataFrame, years: int) -> pd.DataFrame:
    """Return a log as another year could have had it, so that no flight of it can be looked up.

    Dates move by whole weeks: weekdays, seasons and times of day stay. Flights have other numbers, the same in each log
    of that year, and one flight in ten is missing.

    Args:
        log: as `answered` returns it, or after an incident.
        years: how many years later.
    """
    shift = pd.Timedelta(weeks=round(years * 365.2425 / 7))
    numbers = np.random.default_rng(years).permutation(NUMBERS)
    kept = log[np.random.default_rng([years, len(log)]).random(len(log)) < KEPT].reset_index(drop=True)
    moved = {name: _moved(kept[name], shift) for name in ("planned_departure", "planned_arrival")}
    return kept.assign(flight=numbers[kept["flight"]], **moved)


def _moved(moments: pd.Series, shift: pd.Timedelta) -> pd.Series:
    """The same times of day on other days; an hour that the change of the clocks skips becomes the next one."""
    local = moments.dt.tz_localize(None) + shift
    return local.dt.tz_localize(flights.ZONE, ambiguous=np.zeros(len(local), dtype=bool), nonexistent="shift_forward")


def _features(log: pd.DataFrame) -> pd.DataFrame:
    departure = log["planned_departure"].dt
    names = log[["carrier", "origin", "dest"]]
    return names.assign(hour=departure.hour.astype(str), weekday=departure.day_of_week.astype(str))


@functools.cache
def _model(trained_until: str = TRAINED_UNTIL) -> Any:
    """A model in production: a logistic regression on the schedule, of every tenth flight before a day."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    known = flights.planned("2013-01-01", trained_until).iloc[::10]
    late = flights.labels(known, as_of=trained_until)
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


# Each of these takes the lines of a log, or a feed of outcomes, and returns other ones.


def torn(log: list[str], every: int) -> list[str]:
    """The service was stopped while it wrote: of each so-manieth line only a part is there."""
    return [
        line[: len(line) * (1 + number % 7) // 8] if number % every == 0 else line for number, line in enumerate(log)
    ]


def repeated(log: list[str], every: int) -> list[str]:
    """What delivers the log delivered each so-manieth line once more."""
    return [*log, *log[::every]]


def asked_again(log: list[str], every: int) -> list[str]:
    """A job ran twice: about each so-manieth flight the service was asked again, two hours later, by another model.

    What a second worker wrote stands in a file of its own, which was put before the first one's.
    """
    again = [json.loads(line) for line in log[::every]]
    for row in again:
        later = pd.Timestamp(row["asked_at"]) + pd.Timedelta(hours=2)
        row |= {"prediction": row["prediction"][::-1] + "b", "asked_at": later.isoformat(), "model": "v0"}
        row |= {"probability": round(1 - row["probability"], 4), "warned": not row["warned"]}
    return [*map(json.dumps, again), *log]


def corrected(feed: pd.DataFrame, every: int, days: int) -> pd.DataFrame:
    """So many days later, each so-manieth outcome turns out to be wrong: late is on time, everything else is late."""
    again = feed.iloc[::every]
    other = again["outcome"].map(lambda outcome: "on time" if outcome == "late" else "late")
    again = again.assign(
        outcome=other.astype(feed["outcome"].dtype), known_at=again["known_at"] + pd.Timedelta(days=days)
    )
    return pd.concat([feed, again], ignore_index=True)


def _last(window: pd.DataFrame, days: int) -> pd.Series:
    return window["planned_departure"] >= window["planned_departure"].max().normalize() - pd.Timedelta(days=days - 1)


def _changed(window: pd.DataFrame, where: pd.Series, **changes: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    changed = window.copy()
    for name, change in changes.items():
        changed.loc[where, name] = change(window.loc[where, name])
    return changed
