"""The model that the labs serve, version 1, and flights for it: for the scripts of the figures."""

from __future__ import annotations

import functools
import os
import runpy
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import pandas as pd

from course import flights

ARTIFACT = Path(__file__).resolve().parents[1] / "labs" / "03_flask_api" / "given" / "reference" / "artifact"
BLUE, ORANGE, RED, GREY = "#35618f", "#d98b2b", "#b3541e", "#777777"


@functools.cache
def session() -> onnxruntime.InferenceSession:
    """The model, loaded once, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(ARTIFACT / "model.onnx", options)


def inputs(planned: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the model is fed for planned flights: arrays of shape (n, 1), by name."""
    table = runpy.run_path(str(ARTIFACT / "features.py"))["schedule_features"](planned)
    words = {"carrier", "origin", "dest"}
    kinds = {name: object if name in words else np.float32 for name in table}
    return {name: table[[name]].to_numpy().astype(kinds[name]) for name in table}


def probabilities(planned: pd.DataFrame) -> np.ndarray:
    """The probability of being late that the model gives to each planned flight."""
    return session().run(["probabilities"], inputs(planned))[0][:, 1]


@functools.cache
def judged() -> pd.DataFrame:
    """All planned flights whose lateness is known today, with `late` and the model's probability `p`."""
    planned = flights.planned("2013-01-01", flights.TODAY)
    table = planned.assign(late=flights.labels(planned)).dropna(subset=["late"]).astype({"late": bool})
    return table.assign(p=probabilities(table))
