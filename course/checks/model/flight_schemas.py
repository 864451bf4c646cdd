"""JSON Schemas written out in full: no `$ref` is left. Used by `handover`, for labs that read the properties."""

from __future__ import annotations

from typing import Any

MAX_NODES = 5000
_DATA = {"const", "enum", "default", "examples"}  # what these hold is no schema
_SHELVES = ("$defs", "definitions")


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in which each `$ref` to a part of itself is replaced by that part.

    Args:
        schema: a JSON Schema, as plain data.

    Returns:
        It accepts what the first one accepts. It is the schema that was given where that cannot be written out: a
        part refers to itself, to another document or by a name, or the result would be too large.
    """
    try:
        return _written_out({key: part for key, part in schema.items() if key not in _SHELVES}, schema, (), [MAX_NODES])
    except (_CannotInlineError, RecursionError):
        return schema


class _CannotInlineError(Exception):
    pass


def _written_out(part: Any, whole: dict[str, Any], inside: tuple[str, ...], left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise _CannotInlineError
    if isinstance(part, list):
        return [_written_out(one, whole, inside, left) for one in part]
    if not isinstance(part, dict):
        return part
    if {"$dynamicRef", "$recursiveRef"} & set(part):
        raise _CannotInlineError
    rest = {
        key: value if key in _DATA else _written_out(value, whole, inside, left)
        for key, value in part.items()
        if not (key == "$ref" and isinstance(value, str))
    }
    target = part.get("$ref")
    if not isinstance(target, str):
        return rest
    if target in inside:
        raise _CannotInlineError
    found = _written_out(_at(whole, target), whole, (*inside, target), left)
    if not isinstance(found, dict) or set(found) & set(rest) - {"title", "description"}:
        return {"allOf": [found], **rest}  # both must hold
    return {**found, **rest}


def _at(whole: dict[str, Any], pointer: str) -> Any:
    """What a JSON pointer such as "#/$defs/airport" leads to."""
    if not pointer.startswith("#/"):
        raise _CannotInlineError
    place: Any = whole
    for name in pointer[2:].split("/"):
        name = name.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        elif isinstance(place, dict) and name in place:
            place = place[name]
        else:
            raise _CannotInlineError
    return place
