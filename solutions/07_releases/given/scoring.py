"""Scores planned flights with a small model: `score(flight)` is the probability of arriving 15 minutes late or more.

It is a logistic regression on the flights of January to November, written out as numbers, so that it needs no library.
"""

import math
from datetime import datetime
from typing import Any

MODEL = "v1"
_INTERCEPT, _HOUR, _HOUR_SQUARED, _DISTANCE = -1.051, 0.1189, -0.004344, -0.1026
_ORIGINS = {"JFK": -0.1944, "LGA": -0.1809}


def score(flight: dict[str, Any]) -> float:
    """Return the probability that a planned flight is late.

    Args:
        flight: its `planned_departure` (ISO 8601, local time), `distance` in miles and `origin`.
    """
    hour = datetime.fromisoformat(flight["planned_departure"]).hour - 12
    logit = _INTERCEPT + _HOUR * hour + _HOUR_SQUARED * hour**2 + _DISTANCE * flight["distance"] / 1000
    return 1 / (1 + math.exp(-logit - _ORIGINS.get(flight["origin"], 0.0)))
