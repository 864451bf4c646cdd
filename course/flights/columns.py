"""What every column of every table means. When each becomes known, students find out themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from course.flights.moments import LATE_MINUTES, ZONE


@dataclass(frozen=True)
class Column:
    """What one column of one table means.

    Attributes:
        table: flights (what `history` returns), planned, weather, planes, airports or airlines.
        name: its name in that table.
        dtype: its pandas dtype. Text is pandas' own string dtype ("str"); a missing value is NaN, NaT or NA.
        unit: the unit of its values, or "" where there is none.
        description: one sentence.
    """

    table: str
    name: str
    dtype: str
    unit: str
    description: str


TIME = f"datetime64[us, {ZONE}]"
_HHMM = "hhmm, local time"

PLAN = [
    ("planned_departure", TIME, "New York time", "When the flight is to leave the gate."),
    ("planned_arrival", TIME, "New York time", "When it is to be at its destination's gate."),
    ("sched_dep_time", "int64", _HHMM, "Planned departure as printed: 1730 is half past five."),
    ("sched_arr_time", "int64", _HHMM, "Planned arrival as printed, in the destination's time."),
    ("carrier", "str", "", "Two-letter code of the airline."),
    ("flight", "int64", "", "Flight number; the airline may use it on several legs of a day."),
    ("origin", "str", "", "Airport of departure: EWR, JFK or LGA."),
    ("dest", "str", "", "Airport of destination as planned (FAA code)."),
    ("distance", "int64", "miles", "Distance between the two airports."),
]
HAPPENED = [
    ("tailnum", "str", "", "Tail number of the plane; may change until departure."),
    ("dep_time", "float64", _HHMM, "When it left; 2400 is midnight; missing if cancelled."),
    ("dep_delay", "float64", "minutes", "How much later than planned it left; negative is early."),
    ("arr_time", "float64", _HHMM, "When it arrived, in the destination's time."),
    ("arr_delay", "float64", "minutes", "How much later than planned it arrived; missing if it never did."),
    ("air_time", "float64", "minutes", "Time in the air."),
    ("cancelled", "bool", "", "True if it never took off."),
    ("late", "boolean", "", f"True if arr_delay is {LATE_MINUTES} or more; NA if it never arrived."),
]  # fmt: skip
WEATHER = [
    ("temp", "float64", "°F", "Temperature."),
    ("dewp", "float64", "°F", "Dew point."),
    ("humid", "float64", "%", "Relative humidity."),
    ("wind_dir", "float64", "degrees", "Where the wind comes from; missing when it varies."),
    ("wind_speed", "float64", "mph", "Wind speed."),
    ("wind_gust", "float64", "mph", "Speed of gusts; missing when there are none."),
    ("precip", "float64", "inches", "Rain or melted snow."),
    ("pressure", "float64", "millibars", "Pressure at sea level."),
    ("visib", "float64", "miles", "Visibility; 10 is the most that is reported."),
]
TABLES: dict[str, list[tuple[str, str, str, str]]] = {
    "flights": PLAN + HAPPENED,
    "planned": [
        *PLAN,
        ("airline", "str", "", "Name of the airline."),
        ("dest_name", "str", "", "Name of the destination airport."),
        ("dest_lat", "float64", "degrees north", "Latitude of the destination."),
        ("dest_lon", "float64", "degrees east", "Longitude of the destination; negative is west."),
        ("weather_observed_at", TIME, "New York time", "When the hour of the weather shown was over."),
        *((f"weather_{name}", *rest, f"{text} Last observed at the origin.") for name, *rest, text in WEATHER),
    ],
    "weather": [
        ("origin", "str", "", "The airport: EWR, JFK or LGA."),
        ("observed_at", TIME, "New York time", "End of the hour in which it was measured."),
        *WEATHER,
    ],
    "planes": [
        ("tailnum", "str", "", "Tail number; says which flight only once that has its plane."),
        ("year", "float64", "", "Year of manufacture."),
        ("type", "str", "", "Kind of aircraft."),
        ("manufacturer", "str", "", "Who made it."),
        ("model", "str", "", "Model."),
        ("engines", "int64", "", "Number of engines."),
        ("seats", "int64", "", "Number of seats."),
        ("speed", "float64", "mph", "Average cruising speed; nearly always missing."),
        ("engine", "str", "", "Kind of engine."),
    ],
    "airports": [
        ("faa", "str", "", "The airport's FAA code."),
        ("name", "str", "", "The airport's name."),
        ("lat", "float64", "degrees north", "Latitude."),
        ("lon", "float64", "degrees east", "Longitude; negative is west."),
        ("alt", "int64", "feet", "Height above the sea."),
        ("tz", "int64", "hours", "Offset of its winter time from UTC."),
        ("dst", "str", "", "Summer time: A as in the USA, N none, U unknown."),
        ("tzone", "str", "", "Its time zone's name."),
    ],
    "airlines": [
        ("carrier", "str", "", "Two-letter code of the airline."),
        ("name", "str", "", "Its name."),
    ],
}  # fmt: skip

IDENTITY = ["planned_departure", "carrier", "flight", "origin", "dest"]
"""The columns that together name a flight."""

SCHEMA: dict[str, Column] = {
    f"{table}.{name}": Column(table, name, dtype, unit, description)
    for table, columns in TABLES.items()
    for name, dtype, unit, description in columns
}
"""Every column of every table, by "table.column", in the order in which the functions return them."""


def schema(table: str | None = None) -> pd.DataFrame:
    """Show the schema as a table, to read in a notebook.

    Args:
        table: one of flights, planned, weather, planes, airports, airlines; None for all.

    Returns:
        One row a column; columns table, name, dtype, unit, description.

    Raises:
        ValueError: there is no such table.
    """
    if table is not None and table not in TABLES:
        raise ValueError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
    rows = [vars(column) for column in SCHEMA.values() if table in (None, column.table)]
    return pd.DataFrame(rows)
