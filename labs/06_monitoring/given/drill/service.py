"""The service of the drill: it answers every flight alike, and fails while a file `broken` lies beside it."""

from pathlib import Path

from flask import Flask, jsonify
from metrics import measure

app = Flask("drill")
BROKEN = Path(__file__).with_name("broken")


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.post("/predict")
def predict():
    if BROKEN.exists():
        raise RuntimeError("broken on purpose")
    return jsonify(probability=0.3, warn=False)


measure(app)
