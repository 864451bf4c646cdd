"""The service: planned flights in, probabilities of late out, over HTTP."""

from pathlib import Path

from flask import Flask

import hashlib
import json
from typing import NoReturn

from flask import Response, request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    UnprocessableEntity,
    UnsupportedMediaType,
)

from contract import problems
from openapi import describe
from scoring import Scorer

MOST_BYTES = 2**20
MOST_ERRORS = 50


class Model:
    """All that the service needs of the artifact, read once; `scorer` is None when it cannot be used."""

    def __init__(self, artifact: Path) -> None:
        self.schema = json.loads((artifact / "schema.json").read_text())
        self.threshold = float(json.loads((artifact / "metrics.json").read_text())["threshold"])
        self.about = {
            "name": "late-flights",
            "sha256": hashlib.sha256((artifact / "model.onnx").read_bytes()).hexdigest(),
            "threshold": self.threshold,
            "versions": json.loads((artifact / "versions.json").read_text()),
        }
        self.scorer = Scorer(artifact)

    def predict(self, flights: list[dict]) -> list[dict]:
        """A prediction for each flight."""
        found = self.scorer.probabilities(flights)
        return [{"probability": probability, "warn": probability >= self.threshold} for probability in found]


class NotGood(UnprocessableEntity):
    """The body is JSON, and no good request."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(f"{len(errors)} problem{'s' * (len(errors) != 1)} with this request; errors says where")
        self.errors = errors[:MOST_ERRORS]


def refuse_constant(name: str) -> NoReturn:
    """JSON knows neither NaN nor Infinity, which Python's json reads."""
    raise ValueError(f"{name} is not JSON")


def body() -> object:
    """The body of this request, as plain data."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("send application/json")
    try:
        return json.loads(request.get_data(), parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None


def as_problem(error: HTTPException) -> Response:
    """An error as problem details (RFC 9457), with the headers that belong to it."""
    response = error.get_response()
    if response.status_code < 400:  # a redirection is one of these exceptions, too
        return response
    problem = {"type": "about:blank", "title": error.name, "status": error.code, "detail": error.description}
    if isinstance(error, NotGood):
        problem["errors"] = error.errors
    response.data = json.dumps(problem)
    response.content_type = "application/problem+json"
    return response




def create_app(artifact: Path) -> Flask:
    """The application for one artifact.

    Args:
        artifact: the folder that was shipped with the model.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    try:
        model = Model(artifact)
        description = describe(model.schema)
    except Exception:
        app.logger.exception("the artifact cannot be used: %s", artifact)
        model, description = None, None

    def loaded() -> Model:
        if model is None:
            raise ServiceUnavailable("the model is not loaded")
        return model

    @app.get("/health")
    def health() -> dict:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> dict:
        loaded()
        return {"status": "ready"}

    @app.get("/model")
    def about() -> dict:
        return loaded().about

    @app.get("/openapi.json")
    def openapi() -> dict:
        loaded()
        return description

    @app.post("/predict")
    def predict() -> dict:
        model, document = loaded(), body()
        try:
            errors = problems(document, model.schema)
        except RecursionError:
            raise BadRequest("the body is nested too deeply") from None
        if errors:
            raise NotGood(errors)
        if "flights" in document:
            return {"predictions": model.predict(document["flights"])}
        return model.predict([document])[0]

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        return as_problem(error)

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        app.logger.exception("a fault of ours")
        return as_problem(InternalServerError("this is our fault, and it is in our log"))

    return app
