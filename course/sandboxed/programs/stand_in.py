"""A service that keeps the whole HTTP contract of lab 03, with a made-up model: it stands in where there is no other.

Tests of a service are judged on it and on variants of it, and a notebook runs it where api.py is not there yet. Needs
Flask only. Of the artifact it reads everything but the model itself, whose digest it tells.
"""

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Flask, request
from werkzeug.exceptions import HTTPException, ServiceUnavailable

MOST = 1000
REFUSED = 422
NEW_YORK = ZoneInfo("America/New_York")
DEPARTURE, ARRIVAL = "planned_departure", "planned_arrival"


def moment(text):
    """A date-time with an offset, on New York's clock; ValueError where there is none."""
    found = datetime.fromisoformat(text.upper())
    if found.tzinfo is None:
        raise ValueError("no offset")
    try:
        return found.astimezone(NEW_YORK)
    except OverflowError:
        raise ValueError("beyond the calendar") from None


def fits(value, rule):
    """Whether a value is one that a rule of the schema allows."""
    if rule.get("type") in ("number", "integer"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (rule["type"] == "integer" and isinstance(value, float) and not value.is_integer()):
            return False
        low, high = rule.get("minimum", float("-inf")), rule.get("maximum", float("inf"))
        return low <= value <= high and value > rule.get("exclusiveMinimum", float("-inf"))
    if not isinstance(value, str) or ("enum" in rule and value not in rule["enum"]):
        return False
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", 100):
        return False
    if "pattern" in rule and not re.search(rule["pattern"], value):
        return False
    if rule.get("format") == "date-time":
        try:
            moment(value)
        except ValueError:
            return False
    return True


def faults(flight, schema):
    """What is wrong with one flight: names and sentences."""
    if not isinstance(flight, dict):
        return [("", "a flight is an object")]
    rules = schema["properties"]
    found = [(f"/{name[:50]}", "it is unknown") for name in flight if name not in rules]
    found += [(f"/{name}", "it is missing") for name in schema["required"] if name not in flight]
    found += [
        (f"/{name}", "it has no such value")
        for name, value in flight.items()
        if name in rules and not fits(value, rules[name])
    ]
    if not found and moment(flight[DEPARTURE]) >= moment(flight[ARRIVAL]):
        found.append((f"/{ARRIVAL}", "it must be later than the departure"))
    return found


def probability_of(flight):
    """The made-up model: later in the day and farther is later."""
    departure = moment(flight[DEPARTURE])
    return 0.06 + 0.018 * departure.hour + 0.0001 * departure.minute + flight["distance"] / 100_000


def refuse_constant(name):
    """JSON knows neither NaN nor Infinity."""
    raise ValueError(name)


def problem(status, detail, errors=(), headers=()):
    """An error, as problem details."""
    body = {"type": "about:blank", "title": f"Status {status}", "status": status, "detail": detail}
    kept = {name: value for name, value in headers if name == "Allow"}
    kept["Content-Type"] = "application/problem+json"
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors]
    return json.dumps(body | ({"errors": listed} if errors else {})), status, kept


def describe(schema):
    """The description, as OpenAPI 3.1."""
    many = {
        "type": "object",
        "required": ["flights"],
        "properties": {"flights": {"type": "array", "minItems": 1, "maxItems": MOST, "items": schema}},
        "additionalProperties": False,
    }
    fine = {"description": "fine", "content": {"application/json": {"schema": {"type": "object"}}}}
    refused = {"description": "a problem", "content": {"application/problem+json": {"schema": {"type": "object"}}}}
    answers = {"200": fine, "default": refused}
    paths: dict[str, dict] = {
        path: {"get": {"responses": answers}} for path in ("/health", "/ready", "/model", "/openapi.json")
    }
    body = {"required": True, "content": {"application/json": {"schema": {"oneOf": [schema, many]}}}}
    paths["/predict"] = {"post": {"requestBody": body, "responses": answers}}
    return {"openapi": "3.1.0", "info": {"title": "A stand-in", "version": "0"}, "paths": paths}


def read(artifact):
    """What the service keeps of an artifact: its schema, and what it tells of it."""
    digest = hashlib.sha256((artifact / "model.onnx").read_bytes())
    about = {
        "name": "stand-in",
        "sha256": digest.hexdigest(),
        "threshold": json.loads((artifact / "metrics.json").read_text(encoding="utf-8"))["threshold"],
        "versions": json.loads((artifact / "versions.json").read_text(encoding="utf-8")),
    }
    return about, json.loads((artifact / "schema.json").read_text(encoding="utf-8"))


def create_app(artifact: Path) -> Flask:
    """The service.

    Args:
        artifact: the folder that lab 02 shipped.
    """
    app = Flask("stand_in")
    app.config["MAX_CONTENT_LENGTH"] = 2**20
    try:
        about, schema = read(artifact)
    except (OSError, ValueError, LookupError, TypeError):
        app.logger.exception("the artifact cannot be opened")
        about = schema = None

    def loaded(answer):
        if about is None:
            raise ServiceUnavailable("there is no model yet")
        return answer()

    def answer(flight):
        probability = probability_of(flight)
        return {"probability": probability, "warn": probability >= about["threshold"]}

    def predict():
        if request.mimetype != "application/json":
            return problem(415, "send application/json")
        try:
            body = json.loads(request.get_data(), parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            return problem(400, "this is no JSON")
        many = isinstance(body, dict) and "flights" in body
        asked = body["flights"] if many else [body]
        if many and set(body) != {"flights"}:
            return problem(REFUSED, "there is more than flights", [("", "only flights may stand here")])
        if not isinstance(asked, list) or not 1 <= len(asked) <= MOST:
            return problem(REFUSED, f"flights is a list of 1 to {MOST}", [("/flights", "a list of flights")])
        wrong = [
            (f"/flights/{place}{pointer}" if many else pointer, detail)
            for place, flight in enumerate(asked)
            for pointer, detail in faults(flight, schema)
        ]
        if wrong:
            return problem(REFUSED, "the request does not fit the schema", wrong[:50])
        answers = [answer(flight) for flight in asked]
        return {"predictions": answers} if many else answers[0]

    def failed(error):
        if isinstance(error, HTTPException):
            return problem(error.code, error.description, headers=error.get_headers())
        app.logger.error("the service failed", exc_info=error)
        return problem(500, "the service failed")

    app.add_url_rule("/health", "health", lambda: {"status": "ok"})
    app.add_url_rule("/ready", "ready", lambda: loaded(lambda: {"status": "ready"}))
    app.add_url_rule("/model", "model", lambda: loaded(lambda: about))
    app.add_url_rule("/openapi.json", "openapi", lambda: loaded(lambda: describe(schema)))
    app.add_url_rule("/predict", "predict", lambda: loaded(predict), methods=["POST"])
    app.register_error_handler(Exception, failed)
    return app
