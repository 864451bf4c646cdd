"""A service that keeps the whole HTTP contract of lab 03, with a made-up model: it stands in where there is no other.

Tests of a service are judged on it and on variants of it, and a notebook runs it where api.py is not there yet. Needs
Flask only; of the artifact it reads metrics.json.
"""

import json
import re
from datetime import datetime
from pathlib import Path

from flask import Flask, request
from werkzeug.exceptions import HTTPException

MOST = 1000
CODES = {"carrier": r"[A-Z0-9]{2}", "origin": "EWR|JFK|LGA", "dest": "[A-Z]{3}"}
TIMES = ("planned_departure", "planned_arrival")


def fits(name: str, value: object) -> bool:
    """Whether a value is one that a field of a flight can have."""
    if name == "distance":
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 12_000
    if not isinstance(value, str):
        return False
    if name in CODES:
        return re.fullmatch(CODES[name], value) is not None
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def create_app(artifact: Path) -> Flask:
    """The service.

    Args:
        artifact: the folder with metrics.json.
    """
    metrics = json.loads((artifact / "metrics.json").read_text(encoding="utf-8"))
    app = Flask("stand_in")
    app.config["MAX_CONTENT_LENGTH"] = 2**20

    def problem(status, detail, errors=(), headers=()):
        body = {"type": "about:blank", "title": f"Status {status}", "status": status, "detail": detail}
        kept = {name: value for name, value in headers if name == "Allow"}
        kept["Content-Type"] = "application/problem+json"
        return json.dumps(body | ({"errors": list(errors)} if errors else {})), status, kept

    def faults(flight):
        if not isinstance(flight, dict):
            return [{"pointer": "", "detail": "a flight is an object"}]
        found = [
            {"pointer": f"/{name}", "detail": "it is unknown"}
            for name in flight
            if name not in (*CODES, *TIMES, "distance")
        ]
        for name in (*CODES, *TIMES, "distance"):
            if name not in flight or not fits(name, flight[name]):
                found.append({"pointer": f"/{name}", "detail": "it is missing, or no such value"})
        return found

    def answer(flight):
        departure = datetime.fromisoformat(flight["planned_departure"])
        probability = 0.06 + 0.018 * departure.hour + 0.0001 * departure.minute + flight["distance"] / 100_000
        return {"probability": probability, "warn": probability >= metrics["threshold"]}

    def predict():
        if request.mimetype != "application/json":
            return problem(415, "send application/json")
        try:
            body = json.loads(request.get_data())
        except ValueError:
            return problem(400, "this is no JSON")
        many = isinstance(body, dict) and "flights" in body
        asked = body["flights"] if many else [body]
        if many and set(body) != {"flights"}:
            return problem(422, "there is more than flights")
        if not isinstance(asked, list) or not 1 <= len(asked) <= MOST:
            return problem(422, f"flights is a list of 1 to {MOST}")
        wrong = [fault for flight in asked for fault in faults(flight)]
        if wrong:
            return problem(422, "the request does not fit the schema", wrong)
        answers = [answer(flight) for flight in asked]
        return {"predictions": answers} if many else answers[0]

    def failed(error):
        if isinstance(error, HTTPException):
            return problem(error.code, error.description, headers=error.get_headers())
        return problem(500, "the service failed")

    described = {"threshold": metrics["threshold"], "name": "stand-in", "version": "0", "versions": {}}
    openapi = {
        "openapi": "3.1.0",
        "info": {"title": "Late flights", "version": "0"},
        "paths": {"/predict": {"post": {}}},
    }
    fixed = {"/health": {"status": "ok"}, "/ready": {"status": "ready"}, "/model": described, "/openapi.json": openapi}
    for path, body in fixed.items():
        app.add_url_rule(path, path.strip("/").replace(".", "_"), lambda body=body: body)
    app.add_url_rule("/predict", "predict", predict, methods=["POST"])
    app.register_error_handler(Exception, failed)
    return app
