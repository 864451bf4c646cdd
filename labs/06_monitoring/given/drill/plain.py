"""A service that counts as most tutorials do: with a plain counter, which each worker has for itself."""

import time

from flask import Flask
from prometheus_client import Counter, generate_latest

app = Flask("plain")
ASKED = Counter("asked_total", "Requests that were answered.")


@app.get("/ask")
def ask():
    time.sleep(0.02)  # a model would take that long
    ASKED.inc()
    return "ok"


@app.get("/metrics")
def metrics():
    time.sleep(0.02)
    return generate_latest()
