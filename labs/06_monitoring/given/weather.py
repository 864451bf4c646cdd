"""The service `weather`: the wind that is expected at an airport, as its station reports it.

gunicorn --preload --workers 2 weather:app
"""

import functools
import logging
import time

import telemetry
from flask import Flask, request

WINDS = {"EWR": 12, "JFK": 18, "LGA": 15}
log = logging.getLogger("late_flights")
app = Flask("weather")


@functools.lru_cache
def station(airport: str) -> int:
    """Ask the station of an airport, which takes its time; it is asked once."""
    with telemetry.step("station"):
        time.sleep(0.3 if airport == "LGA" else 0.03)
        return WINDS[airport]


@app.get("/health")
def health() -> dict:
    """It is alive."""
    return {"status": "ok"}


@app.get("/forecast")
def forecast() -> tuple[dict, int]:
    """The wind at an airport, in miles per hour."""
    airport = request.args.get("airport", "")
    if airport not in WINDS:
        return {"title": "there is no such airport"}, 404
    log.info("asked for %s", airport)
    return {"wind": station(airport)}, 200


telemetry.instrument(app, "weather")
