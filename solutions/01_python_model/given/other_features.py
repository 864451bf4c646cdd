"""The promises of features.py, kept by other code: a test that passes there and fails here asks for too much."""

import numpy as np
import pandas as pd

WEATHER = ["temp", "wind_speed", "precip", "visib"]
FEATURES = ["carrier", "origin", "dest", "distance", "day_of_week", "month", "minute_of_day", *WEATHER]


def is_late(flights, minutes=15):
    """See features.is_late."""
    answers = [pd.NA if np.isnan(delay) else bool(delay >= minutes) for delay in flights["arr_delay"].astype(float)]
    return pd.Series(answers, index=flights.index, dtype="boolean", name="late")


def add_calendar(flights):
    """See features.add_calendar."""
    moments = [moment.astimezone(_zone()) for moment in flights["planned_departure"]]
    extended = flights.copy()
    extended["minute_of_day"] = np.array([60 * moment.hour + moment.minute for moment in moments], dtype="int64")
    extended["month"] = np.array([moment.month for moment in moments], dtype="int64")
    extended["day_of_week"] = np.array([moment.isoweekday() - 1 for moment in moments], dtype="int64")
    return extended


def _zone():
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/New_York")


def add_weather(flights, weather, horizon="3h"):
    """See features.add_weather."""
    values = np.full((len(flights), len(WEATHER)), np.nan)
    asked = _seconds(flights["planned_departure"]) - pd.Timedelta(horizon).total_seconds()
    observed = _seconds(weather["observed_at"])
    for origin in flights["origin"].unique():
        here = (flights["origin"] == origin).to_numpy()
        station = np.flatnonzero((weather["origin"] == origin).to_numpy())
        if not len(station):
            continue
        station = station[np.argsort(observed[station], kind="stable")]
        last = np.searchsorted(observed[station], asked[here], side="right") - 1
        measured = weather[WEATHER].to_numpy(dtype=float)[station[last]]
        values[here] = np.where(last[:, None] >= 0, measured, np.nan)
    return pd.concat([flights, pd.DataFrame(values, columns=WEATHER, index=flights.index)], axis="columns")


def _seconds(moments):
    return moments.dt.tz_convert("UTC").dt.as_unit("ns").to_numpy(dtype="datetime64[ns]").astype("int64") / 1e9


def make_features(flights, weather, horizon="3h"):
    """See features.make_features."""
    return add_calendar(add_weather(flights, weather, horizon)).loc[:, FEATURES]
