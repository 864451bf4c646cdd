"""Ask a service for a flight without a network: through its front door, so that the same rules hold."""

from typing import Any

from flask import Flask
from werkzeug.test import Client


def ask(app: Flask, flight: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """POST a flight to /predict inside this process.

    Returns:
        The status, and what was answered: a prediction, or problem details.
    """
    response = Client(app).post("/predict", json=flight)
    return response.status_code, response.get_json(silent=True) or {}
