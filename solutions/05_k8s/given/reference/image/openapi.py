"""The description of the service, as OpenAPI 3.1."""


def describe(schema: dict) -> dict:
    """The description.

    Args:
        schema: the JSON Schema of one flight; it becomes part of the description as it is.
    """

    def ref(name: str) -> dict:
        return {"$ref": f"#/components/schemas/{name}"}

    def answer(description: str, schema: dict, kind: str = "application/json") -> dict:
        return {"description": description, "content": {kind: {"schema": schema}}}

    def problem(description: str) -> dict:
        return answer(description, ref("Problem"), "application/problem+json")

    def get(summary: str, **more: dict) -> dict:
        return {"get": {"summary": summary, "responses": {"200": answer(summary, {"type": "object"}), **more}}}

    prediction = {
        "type": "object",
        "required": ["probability", "warn"],
        "properties": {
            "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "of 15 minutes late or more"},
            "warn": {"type": "boolean", "description": "whether a warning pays at this probability"},
        },
    }
    predictions = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": ref("Prediction")}},
    }
    flights = {
        "type": "object",
        "required": ["flights"],
        "properties": {"flights": {"type": "array", "items": ref("Flight"), "minItems": 1, "maxItems": 1000}},
        "additionalProperties": False,
    }
    details = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
    predict = {
        "summary": "How likely are these flights to be late?",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [ref("Flight"), ref("Flights")]}}},
        },
        "responses": {
            "200": answer("One prediction, or many in order", {"oneOf": [ref("Prediction"), ref("Predictions")]}),
            "400": problem("The body is not JSON"),
            "413": problem("The body is too large"),
            "415": problem("The body is of another type"),
            "422": problem("The body is no good request; errors says why"),
            "503": problem("The model is not loaded"),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Late Flights", "version": "1.0.0", "summary": "Will this flight arrive 15 minutes late?"},
        "paths": {
            "/health": get("The process lives"),
            "/ready": get("The model is loaded and answers", **{"503": problem("Not ready")}),
            "/model": get("Which model answers", **{"503": problem("The model is not loaded")}),
            "/openapi.json": get("This description"),
            "/predict": {"post": predict},
        },
        "components": {
            "schemas": {
                "Flight": schema,
                "Flights": flights,
                "Prediction": prediction,
                "Predictions": predictions,
                "Problem": details,
            }
        },
    }
