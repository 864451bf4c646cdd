"""What a pipeline of every day is made of: a day's flights, a small model, a store of models. Lab 08 imports it.

The days come as files, one per day, as an airport would deliver them. The model is a logistic regression that fits in
a few lines of JSON: nobody has to unpickle anything to use it, and two of them can be compared by eye.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from course import flights

COLUMNS = ["planned_departure", "carrier", "flight", "origin", "dest", "distance", "late"]
FLIGHTS_PER_DAY = 150  # a sample of about a sixth, so that thirty days take seconds
WINDOW = 7  # a model is trained on so many days
NOW = "COURSE_NOW"
ALERTS = "COURSE_ALERTS"
_ORIGINS = ("EWR", "JFK", "LGA")
_CARRIERS = ("9E", "AA", "B6", "DL", "EV", "FL", "MQ", "UA", "US", "VX", "WN")
_DIGITS = 9


class Store(Protocol):
    """What a store of objects can do; see course.storage."""

    def get(self, key: str) -> bytes:
        """Return an object."""

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write an object unless it is there."""

    def list(self, prefix: str = "") -> list[str]:
        """Return keys."""


class StoreError(Exception):
    """The store of models refuses."""


def now() -> pd.Timestamp:
    """Return the present of the course, TODAY, or what the environment variable COURSE_NOW names."""
    return pd.Timestamp(os.environ.get(NOW) or flights.TODAY).tz_localize(None)


def alert(name: str, text: str) -> None:
    """Tell the person on duty: write NAME.txt into the folder `alerts`, or into the one that COURSE_ALERTS names.

    It does not use the store, because the store may be what is down.
    """
    folder = Path(os.environ.get(ALERTS) or "alerts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")


def delivered(days: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return the flights of some days, as the airport delivers them: a sample of those that arrived.

    Args:
        days: such as "2013-11-05", before TODAY.

    Returns:
        Day → one row per flight with COLUMNS; `late` is 0 or 1.
    """
    past = flights.history(flights.TODAY).dropna(subset="late")
    planned = past["planned_departure"].dt.tz_localize(None)
    past = past.assign(planned_departure=planned.dt.strftime("%Y-%m-%dT%H:%M"), late=past["late"].astype(int))
    day_of = planned.dt.strftime("%Y-%m-%d")
    made = {}
    for day in days:
        of_day = past.loc[day_of == day, COLUMNS]
        sample = of_day.sample(min(FLIGHTS_PER_DAY, len(of_day)), random_state=int(day.replace("-", "")))
        made[day] = sample.sort_index().reset_index(drop=True)
    return made


def to_csv(table: pd.DataFrame) -> bytes:
    """Return a table as the bytes of a CSV file."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()


def from_csv(content: bytes) -> pd.DataFrame:
    """Return the table in the bytes of a CSV file."""
    return pd.read_csv(io.BytesIO(content))


def train(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """Train a model on some flights.

    Args:
        table: one row per flight, with COLUMNS, of one day or more.
        name: of the model.

    Returns:
        The model, which is plain JSON: `name`, the first and the last day that it has seen (`trained_from` and
        `trained_until`), how many flights, and its numbers.

    Raises:
        ValueError: there are no flights, or all of them are late, or none is.
    """
    if table["late"].nunique() < 2:
        raise ValueError(f"{len(table)} flights with one outcome only: nothing can be learned from them")
    days = table["planned_departure"].str[:10]
    fitted = LogisticRegression(C=0.3, max_iter=300).fit(_features(table), table["late"].astype(int))
    return {
        "name": name,
        "trained_from": str(days.min()),
        "trained_until": str(days.max()),
        "flights": len(table),
        "intercept": round(float(fitted.intercept_[0]), _DIGITS),
        "coefficients": [round(float(number), _DIGITS) for number in fitted.coef_[0]],
    }


def predict(model: dict[str, Any], table: pd.DataFrame) -> np.ndarray:
    """Return the probability of each flight of being late."""
    logits = model["intercept"] + _features(table) @ np.asarray(model["coefficients"])
    return np.asarray(1 / (1 + np.exp(-logits)))


def score(model: dict[str, Any], table: pd.DataFrame) -> float:
    """Return a model's Brier score on some flights: the mean squared error of its probabilities. Lower is better."""
    return float(np.mean((predict(model, table) - table["late"].to_numpy(float)) ** 2))


def _features(table: pd.DataFrame) -> np.ndarray:
    hour = table["planned_departure"].str[11:13].astype(int).to_numpy(float)
    columns = [hour / 24, (hour / 24) ** 2, table["distance"].to_numpy(float) / 2500]
    columns += [(table["origin"] == origin).to_numpy(float) for origin in _ORIGINS]
    columns += [(table["carrier"] == carrier).to_numpy(float) for carrier in _CARRIERS]
    return np.column_stack(columns)


class ModelStore:
    """Several models side by side, one of them in production: lab 02's store of models, on a store of objects.

    Args:
        store: where they are, under models/ and in production.json.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, model: dict[str, Any]) -> None:
        """Add a model. To add the same one again does nothing.

        Raises:
            StoreError: there is another model of that name.
        """
        content = json.dumps(model, indent=1).encode()
        key = f"models/{model['name']}.json"
        if not self._store.put_if_absent(key, content) and self._store.get(key) != content:
            raise StoreError(f"there is another model named {model['name']}; a name always means the same model")

    def find(self, name: str) -> dict[str, Any]:
        """Return a model."""
        return dict(json.loads(self._store.get(f"models/{name}.json")))

    def promote(self, name: str) -> None:
        """Put a model into production. Each promotion is remembered, so that it can be taken back.

        Raises:
            Missing: there is no such model.
        """
        self.find(name)
        self._store.put("production.json", json.dumps([*self.promotions(), name]).encode())

    def promotions(self) -> list[str]:
        """Return the names of all models that were put into production, in order."""
        if "production.json" not in self._store.list("production.json"):
            return []
        return [str(name) for name in json.loads(self._store.get("production.json"))]

    def production(self) -> dict[str, Any] | None:
        """Return the model in production; None where there is none yet."""
        promoted = self.promotions()
        return self.find(promoted[-1]) if promoted else None
