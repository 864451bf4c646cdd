"""Features of planned flights: what a model may know about a flight before it leaves."""

import pandas as pd

ZONE = "America/New_York"
WEATHER = ["temp", "wind_speed", "precip", "visib"]
FEATURES = ["carrier", "origin", "dest", "distance", "day_of_week", "month", "minute_of_day", *WEATHER]


def is_late(flights: pd.DataFrame, minutes: int = 15) -> pd.Series:
    """Say which flights were late: True where arr_delay is `minutes` or more, False where it is less.

    A flight that never arrived (arr_delay is missing) is neither: its value is pd.NA. The result is a Series of
    pandas' nullable type "boolean", with the index of the flights.
    """
    late = (flights["arr_delay"] >= minutes).astype("boolean")
    return late.mask(flights["arr_delay"].isna())


def add_calendar(flights: pd.DataFrame) -> pd.DataFrame:
    """Add what the clock in New York shows at planned_departure, which may come in any time zone.

    day_of_week is 0 for Monday to 6 for Sunday, month is 1 to 12, minute_of_day is 0 to 1439, whole numbers all.
    Every flight is kept, in its place, with its index and its other columns; the table that came in stays as it was.
    """
    local = flights["planned_departure"].dt.tz_convert(ZONE)
    return flights.assign(
        day_of_week=local.dt.day_of_week,
        month=local.dt.month,
        minute_of_day=local.dt.hour * 60 + local.dt.minute,
    )


def add_weather(flights: pd.DataFrame, weather: pd.DataFrame, horizon: str = "3h") -> pd.DataFrame:
    """Add the weather at the flight's origin, as it was last observed `horizon` before its planned departure.

    An observation made at that very moment counts. Where there is none, the weather is missing (NaN). An observation
    that comes twice is as good as once. Every flight is kept, in its place, with its index and its other columns; the
    tables that came in stay as they were.

    Args:
        flights: planned_departure (times with a zone), origin, and any other columns.
        weather: origin, observed_at (times with a zone), and the columns of WEATHER; in any order of rows.
    """
    moment = (flights["planned_departure"] - pd.Timedelta(horizon)).dt.tz_convert("UTC").dt.as_unit("us")
    asked = flights[["origin"]].assign(moment=moment, row=range(len(flights)))
    observed = weather["observed_at"].dt.tz_convert("UTC").dt.as_unit("us")
    seen = weather[["origin", *WEATHER]].assign(moment=observed)
    found = pd.merge_asof(asked.sort_values("moment"), seen.sort_values("moment"), on="moment", by="origin")
    found = found.sort_values("row")
    return flights.assign(**{column: found[column].to_numpy() for column in WEATHER})


def make_features(flights: pd.DataFrame, weather: pd.DataFrame, horizon: str = "3h") -> pd.DataFrame:
    """Make the table that a model sees: the columns of FEATURES, in that order and no others.

    There is one row for each flight, in its place, with its index; the tables that came in stay as they were.
    Nothing in it depends on what happened to a flight: not on dep_time, dep_delay, arr_time, arr_delay or cancelled,
    which may be among the columns that come in, or not.
    """
    return add_weather(add_calendar(flights), weather, horizon)[FEATURES]
