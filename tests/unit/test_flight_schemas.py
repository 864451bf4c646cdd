"""A schema that is written out accepts what the schema with references accepts."""

from __future__ import annotations

import jsonschema
import pytest

from course.checks.model.flight_schemas import inlined

AIRPORT = {"type": "string", "pattern": "^[A-Z]{3}$"}


def test_references_are_replaced_by_what_they_name_and_descriptions_stay():
    schema = {
        "$defs": {"airport": {**AIRPORT, "description": "An airport."}},
        "type": "object",
        "properties": {
            "origin": {"$ref": "#/$defs/airport", "description": "Of departure."},
            "dest": {"$ref": "#/$defs/airport"},
        },
    }
    written = inlined(schema)
    assert written["properties"]["origin"] == {**AIRPORT, "description": "Of departure."}
    assert written["properties"]["dest"] == {**AIRPORT, "description": "An airport."}
    assert "$defs" not in written


def test_a_reference_to_a_reference_is_followed_and_limits_of_both_hold():
    schema = {
        "$defs": {"a": {"$ref": "#/$defs/b", "minLength": 2}, "b": {"type": "string", "minLength": 1}},
        "properties": {"x": {"$ref": "#/$defs/a"}},
    }
    written = inlined(schema)
    for value, valid in (("", False), ("a", False), ("ab", True), (5, False)):
        for one in (schema, written):
            assert jsonschema.Draft202012Validator(one).is_valid({"x": value}) is valid
    assert "$ref" not in str(written)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
        {"properties": {"x": {"$ref": "https://example.org/schema.json"}}},
        {"properties": {"x": {"$ref": "#/$defs/missing"}}},
        {"$defs": {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 9} for n in range(9)}, "$ref": "#/$defs/a0"},
    ],
    ids=["itself", "a circle", "another document", "nothing", "too large"],
)
def test_what_cannot_be_written_out_stays_as_it_is(schema):
    assert inlined(schema) == schema


def test_data_that_looks_like_a_reference_is_no_reference():
    schema = {"properties": {"x": {"const": {"$ref": "#/nowhere"}}}}
    assert inlined(schema) == schema
