"""The same model behind BentoML: the same features.py, the same model.onnx, loaded once."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import bentoml
import numpy as np
import onnxruntime
import pandas as pd

ARTIFACT = Path(os.environ["LATE_FLIGHTS_ARTIFACT"])
ZONE = ZoneInfo("America/New_York")


@bentoml.service(workers=1)
class LateFlights:
    """Predicts whether a planned flight will be late."""

    def __init__(self) -> None:
        sys.path.append(str(ARTIFACT))
        from features import schedule_features

        self.features = schedule_features
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(ARTIFACT / "model.onnx", options)
        self.inputs = {entry.name: entry.type for entry in self.session.get_inputs()}
        self.threshold = json.loads((ARTIFACT / "metrics.json").read_text())["threshold"]

    @bentoml.api
    def predict(
        self,
        carrier: str,
        origin: str,
        dest: str,
        distance: float,
        planned_departure: datetime,
        planned_arrival: datetime,
    ) -> dict:
        """The probability that a flight is late, and whether to warn."""
        flight = {
            "carrier": [carrier],
            "origin": [origin],
            "dest": [dest],
            "distance": [distance],
            "planned_departure": pd.DatetimeIndex([planned_departure.astimezone(ZONE)]),
            "planned_arrival": pd.DatetimeIndex([planned_arrival.astimezone(ZONE)]),
        }
        table = self.features(pd.DataFrame(flight))
        feed = {
            name: table[name].to_numpy(object if kind == "tensor(string)" else np.float32).reshape(-1, 1)
            for name, kind in self.inputs.items()
        }
        probability = float(self.session.run(["probabilities"], feed)[0][0, 1])
        return {"probability": probability, "warn": probability >= self.threshold}
