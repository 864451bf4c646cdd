"""What every column of every table means, and when its value becomes known."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from course.flights.moments import LATE_MINUTES, ZONE, abbreviated

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


TIME = f"datetime64[us, {ZONE}]"
_HHMM = "hhmm, local time"

PLAN = [
    ("planned_departure", TIME, "New York time", "schedule", "When the flight is to leave the gate."),
    ("planned_arrival", TIME, "New York time", "schedule", "When it is to be at its destination's gate."),
    ("sched_dep_time", "int64", _HHMM, "schedule", "Planned departure as printed: 1730 is half past five."),
    ("sched_arr_time", "int64", _HHMM, "schedule", "Planned arrival as printed, in the destination's time."),
    ("carrier", "str", "", "schedule", "Two-letter code of the airline."),
    ("flight", "int64", "", "schedule", "Flight number; the airline may use it on several legs of a day."),
    ("origin", "str", "", "schedule", "Airport of departure: EWR, JFK or LGA."),
    ("dest", "str", "", "schedule", "Airport of destination as planned (FAA code)."),
    ("distance", "int64", "miles", "schedule", "Distance between the two airports."),
]
HAPPENED = [
    ("tailnum", "str", "", "departure", "Tail number of the plane; may change until departure."),
    ("dep_time", "float64", _HHMM, "departure", "When it left; 2400 is midnight; missing if cancelled."),
    ("dep_delay", "float64", "minutes", "departure", "How much later than planned it left; negative is early."),
    ("arr_time", "float64", _HHMM, "arrival", "When it arrived, in the destination's time."),
    ("arr_delay", "float64", "minutes", "arrival", "How much later than planned it arrived; missing if it never did."),
    ("air_time", "float64", "minutes", "arrival", "Time in the air."),
    ("cancelled", "bool", "", "departure", "True if it never took off."),
    ("late", "boolean", "", "arrival", f"True if arr_delay is {LATE_MINUTES} or more; NA if it never arrived."),
]  # fmt: skip
WEATHER = [
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
TABLES: dict[str, list[tuple[str, str, str, Known, str]]] = {
    "flights": PLAN + HAPPENED,
    "planned": [
        *PLAN,
        ("airline", "str", "", "schedule", "Name of the airline."),
        ("dest_name", "str", "", "schedule", "Name of the destination airport."),
        ("dest_lat", "float64", "degrees north", "schedule", "Latitude of the destination."),
        ("dest_lon", "float64", "degrees east", "schedule", "Longitude of the destination; negative is west."),
        ("weather_observed_at", TIME, "New York time", "observed", "When the hour of the weather shown was over."),
        *((f"weather_{name}", *rest, f"{text} Last observed at the origin.") for name, *rest, text in WEATHER),
    ],
    "weather": [
        ("origin", "str", "", "schedule", "The airport: EWR, JFK or LGA."),
        ("observed_at", TIME, "New York time", "observed", "End of the hour in which it was measured."),
        *WEATHER,
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

IDENTITY = ["planned_departure", "carrier", "flight", "origin", "dest"]
"""The columns that together name a flight."""

SCHEMA: dict[str, Column] = {
    f"{table}.{name}": Column(table, name, dtype, unit, known, description)
    for table, columns in TABLES.items()
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
    if table is not None and table not in TABLES:
        raise ValueError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
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
        raise TypeError(f'expected a column such as "flights.dep_delay", got {abbreviated(column)}')
    if column not in SCHEMA:
        same = [key for key in SCHEMA if key.partition(".")[2] == column]
        near = same or difflib.get_close_matches(column, SCHEMA, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; flights.SCHEMA lists them all"
        raise ValueError(f'there is no column {column!r}, written as "table.column"{hint}')
    return SCHEMA[column].known in ("schedule", "observed")
