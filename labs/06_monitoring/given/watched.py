"""The service `warnings`, lab 03's in short: it asks the service `weather`, and its steps are marked for telemetry.

    gunicorn --preload --workers 2 watched:app

`telemetry` is the module that you ship. LATE_FLIGHTS_ARTIFACT is the artifact's folder, WEATHER the other service.
"""

import importlib.util
import json
import logging
import os
import urllib.request
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import telemetry
from flask import Flask, request
from jsonschema import Draft202012Validator
from werkzeug.exceptions import BadRequest, HTTPException, UnprocessableEntity

ARTIFACT = Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", "artifact"))
WEATHER = os.environ.get("WEATHER", "127.0.0.1:8001")
TIMES = ["planned_departure", "planned_arrival"]
log = logging.getLogger("late_flights")


class Model:
    """The artifact, opened once."""

    def __init__(self, artifact: Path) -> None:
        specification = importlib.util.spec_from_file_location("features", artifact / "features.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        self.features = module.schedule_features
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(artifact / "model.onnx", options)
        self.threshold = json.loads((artifact / "metrics.json").read_text())["threshold"]
        self.validator = Draft202012Validator(json.loads((artifact / "schema.json").read_text()))

    def table(self, flights: list[dict]) -> pd.DataFrame:
        """What the model looks at, one row per flight."""
        planned = pd.DataFrame(flights)
        for name in TIMES:
            planned[name] = pd.to_datetime(planned[name], utc=True).dt.tz_convert("America/New_York")
        return self.features(planned)

    def probabilities(self, table: pd.DataFrame) -> list[float]:
        """The probability of late, one per row."""
        inputs = {
            one.name: table[one.name].to_numpy().astype(object if "string" in one.type else np.float32).reshape(-1, 1)
            for one in self.session.get_inputs()
        }
        return self.session.run(["probabilities"], inputs)[0][:, 1].tolist()


def asked(model: Model) -> tuple[str, list[dict]]:
    """The passenger and the flights of this request."""
    with telemetry.step("validation"):
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not isinstance(body.get("flights"), list) or not body["flights"]:
            raise BadRequest("send JSON with flights, a list")
        wrong = [error for flight in body["flights"] for error in model.validator.iter_errors(flight)]
        if wrong:
            raise UnprocessableEntity(f"a flight is not as it should be: {wrong[0].validator}")
        return str(body.get("passenger", "")), body["flights"]


def forecast(airport: str, passenger: str) -> dict:
    """What the service `weather` expects at an airport."""
    with telemetry.step("weather"):
        question = urllib.request.Request(f"http://{WEATHER}/forecast?airport={airport}", headers=telemetry.outgoing())
        with urllib.request.urlopen(question, timeout=5) as answer:
            expected = json.load(answer)
        if "wind" not in expected:
            raise LookupError(f"no forecast at {airport} for {passenger}")
        return expected


model = Model(ARTIFACT)
app = Flask("warnings")


@app.get("/health")
def health() -> dict:
    """It is alive."""
    return {"status": "ok"}


@app.post("/predict")
def predict() -> dict:
    """A warning for each flight that will probably be late."""
    passenger, flights = asked(model)
    winds = {airport: forecast(airport, passenger)["wind"] for airport in sorted({one["origin"] for one in flights})}
    with telemetry.step("features"):
        table = model.table(flights)
    with telemetry.step("prediction"):
        probabilities = model.probabilities(table)
    log.info("answered %d flights", len(flights))
    return {
        "process": os.getpid(),
        "predictions": [
            {"probability": probability, "warn": probability >= model.threshold, "wind": winds[flight["origin"]]}
            for probability, flight in zip(probabilities, flights, strict=True)
        ],
    }


@app.errorhandler(Exception)
def fault(error: Exception) -> tuple[dict, int]:
    """An error as JSON; the reason of a fault of ours goes to the log."""
    if isinstance(error, HTTPException):
        return {"title": error.name, "detail": error.description}, error.code
    log.error("a fault of ours: %s", type(error).__name__)
    return {"title": "Internal Server Error", "detail": "this is our fault, and it is in our log"}, 500


telemetry.instrument(app, "warnings")
