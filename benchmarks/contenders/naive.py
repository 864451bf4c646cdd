"""The service that most tutorials teach: Flask's development server, and the model unpickled for each request."""

import os
import sys
from pathlib import Path

import joblib
import pandas as pd
from flask import Flask, jsonify, request

ARTIFACT = Path(os.environ["LATE_FLIGHTS_ARTIFACT"])
sys.path.append(str(ARTIFACT))  # the pickle looks for the module features

app = Flask(__name__)


@app.route("/health")
def health():
    return jsonify(status="ok")


@app.route("/predict", methods=["POST"])
def predict():
    model = joblib.load(ARTIFACT / "model.joblib")
    flights = pd.DataFrame([request.get_json()])
    for column in ("planned_departure", "planned_arrival"):
        flights[column] = pd.to_datetime(flights[column], utc=True).dt.tz_convert("America/New_York")
    probability = float(model.predict_proba(flights)[0, 1])
    return jsonify(probability=probability, warn=probability >= 1 / 3)


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
