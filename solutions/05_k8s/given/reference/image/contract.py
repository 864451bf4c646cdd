"""What a request must hold, by the schema that was shipped with the model."""

import functools
import json
from collections.abc import Iterator
from datetime import datetime

from jsonschema import Draft202012Validator, ValidationError

MOST = 1000
TIMES = ("planned_departure", "planned_arrival")


def pointer(*parts: object) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@functools.lru_cache(maxsize=4)
def validator_of(schema: str) -> Draft202012Validator:
    """The validator of a schema, given as JSON; made once, not for each request."""
    return Draft202012Validator(json.loads(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)


def from_schema(error: ValidationError, schema: dict) -> Iterator[tuple[tuple, str]]:
    """What the validator found, as places and sentences of our own: its messages quote whatever came."""
    place, rule = tuple(error.absolute_path), error.validator
    if rule == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield (*place, name), "this is required"
    elif rule == "additionalProperties":
        for name in sorted(set(error.instance) - set(schema["properties"])):
            yield (*place, name[:50]), "there is no such field"
    elif rule == "type":
        yield place, f"this must be of type {error.validator_value}"
    else:
        yield place, f"this must satisfy {rule}: {error.validator_value}"


def of_times(flight: dict) -> Iterator[tuple[tuple, str]]:
    """What is wrong with the times of a flight that satisfies the schema."""
    found = []
    for name in TIMES:
        try:
            moment = datetime.fromisoformat(flight[name].upper())
        except ValueError:
            yield (name,), "there is no such date-time"
            continue
        if moment.tzinfo is None:
            yield (name,), "this needs an offset from UTC, such as -05:00"
        elif not 1950 <= moment.year <= 2100:
            yield (name,), "this must lie between the years 1950 and 2100"
        else:
            found.append(moment)
    if len(found) == len(TIMES) and not found[0] < found[1]:
        yield ("planned_arrival",), "this must be later than planned_departure"


def of_flight(flight: object, validator: Draft202012Validator) -> Iterator[tuple[tuple, str]]:
    """What is wrong with one flight: places in it, and sentences."""
    errors = list(validator.iter_errors(flight))
    for error in errors:
        yield from from_schema(error, validator.schema)
    if not errors:
        yield from of_times(flight)




def problems(document: object, schema: dict) -> list[dict[str, str]]:
    """What is wrong with the body of a request.

    Args:
        document: one flight, or {"flights": [flight, …]}, or whatever came.
        schema: the JSON Schema of one flight.

    Returns:
        {"pointer": where, "detail": a sentence} for each problem; nothing if it is a good request.
    """
    validator = validator_of(json.dumps(schema, sort_keys=True))
    if not isinstance(document, dict) or "flights" not in document:
        return [{"pointer": pointer(*place), "detail": detail} for place, detail in of_flight(document, validator)]
    flights = document["flights"]
    found = [(name[:50], "only flights may stand here") for name in document if name != "flights"]
    if not isinstance(flights, list):
        found.append(("flights", "this must be a list of flights"))
    elif not 1 <= len(flights) <= MOST:
        found.append(("flights", f"this must hold 1 to {MOST} flights, and holds {len(flights)}"))
    if found:
        return [{"pointer": pointer(name), "detail": detail} for name, detail in found]
    return [
        {"pointer": pointer("flights", number, *place), "detail": detail}
        for number, flight in enumerate(flights)
        for place, detail in of_flight(flight, validator)
    ]
