"""The model, loaded once: from planned flights as they come over the wire to their probabilities of being late."""

from pathlib import Path

import importlib.util
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import onnxruntime
import pandas as pd

CLOCK = ZoneInfo("America/New_York")  # the clock on which the model was trained
ROUTE = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "distance": 719}
PROBES = [  # in the evening; across midnight, in UTC; in the two nights in which the clocks change
    ROUTE | {"planned_departure": departure, "planned_arrival": arrival}
    for departure, arrival in [
        ("2013-07-04T18:30:00-04:00", "2013-07-04T21:10:00-04:00"),
        ("2013-12-31T03:55:00Z", "2013-12-31T09:05:00Z"),
        ("2013-03-10T01:30:00-05:00", "2013-03-10T08:00:00-04:00"),
        ("2013-11-03T01:30:00-05:00", "2013-11-03T05:15:00-06:00"),
    ]
]


def load_features(path: Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The function of the artifact that describes planned flights to the model."""
    spec = importlib.util.spec_from_file_location("features", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.schedule_features


def moment(text: str) -> datetime:
    """An RFC 3339 date-time."""
    return datetime.fromisoformat(text.upper())


def moments(texts: pd.Series) -> pd.Series:
    """RFC 3339 date-times, with whatever offsets, on the clock of New York."""
    return pd.Series(pd.to_datetime([moment(text) for text in texts], utc=True), texts.index).dt.tz_convert(CLOCK)


def without_a_table(flight: dict) -> dict[str, str | float]:
    """The usual features of one flight. A table of one row takes longer to make than the model takes to answer."""
    departure, arrival = moment(flight["planned_departure"]), moment(flight["planned_arrival"])
    there = departure.astimezone(CLOCK)
    return {
        **{name: flight[name] for name in ROUTE},
        "day_of_week": there.weekday(),
        "minute_of_day": there.hour * 60 + there.minute,
        "duration": (arrival - departure).total_seconds() / 60,
    }




class Scorer:
    """An artifact, opened once, that gives probabilities."""

    def __init__(self, artifact: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # many requests at once, not many threads for one
        self.session = onnxruntime.InferenceSession(artifact / "model.onnx", options)
        self.types = {one.name: object if "string" in one.type else np.float32 for one in self.session.get_inputs()}
        self.features = load_features(artifact / "features.py")
        self.quick = self._says_the_same_without_a_table()

    def probabilities(self, flights: list[dict]) -> list[float]:
        """The probability of late for each flight, in order.

        Args:
            flights: in the form of the artifact's schema.json, and valid.
        """
        inputs = self._from_flights(flights) if self.quick else self._from_table(flights)
        (probabilities,) = self.session.run(["probabilities"], inputs)
        return probabilities[:, 1].astype(float).tolist()

    def _from_table(self, flights: list[dict]) -> dict[str, np.ndarray]:
        """What the session takes, by the artifact's own function: right by definition."""
        planned = pd.DataFrame(flights)
        for name in ("planned_departure", "planned_arrival"):
            planned[name] = moments(planned[name])
        table = self.features(planned)
        return {name: table[name].to_numpy().astype(kind).reshape(-1, 1) for name, kind in self.types.items()}

    def _from_flights(self, flights: list[dict]) -> dict[str, np.ndarray]:
        """The same, quicker, for an artifact whose features are the usual ones."""
        rows = [without_a_table(flight) for flight in flights]
        return {
            name: np.array([row[name] for row in rows], dtype=kind).reshape(-1, 1) for name, kind in self.types.items()
        }

    def _says_the_same_without_a_table(self) -> bool:
        """Whether the quick way may be used: only if it agrees with the artifact's own function on all probes."""
        try:
            quick, right = self._from_flights(PROBES), self._from_table(PROBES)
        except KeyError:  # this model looks at something else
            return False
        return all(np.array_equal(quick[name], right[name]) for name in self.types)
