"""A description that machines read."""

import json

from course.checks import Question, expect, fail, module
from course.checks.http.contracts import FIELDS, Artifact, bodies, description_problems

question = Question("A description that machines read", points=6)
openapi = module("openapi.py")
OFFERED = {"/health": "get", "/ready": "get", "/model": "get", "/openapi.json": "get", "/predict": "post"}


def schema() -> dict:
    """The schema that the artifact promises."""
    return Artifact("artifact").json("schema.json")


def described() -> dict:
    """What describe() returns."""
    found = openapi.describe(schema())
    expect(found, "what describe() returns").is_instance(dict)
    return found


def at(found, *way: str):
    """What lies at the end of a way through dictionaries; references to components are followed."""
    for name in way:
        for _ in range(5):
            if isinstance(found, dict) and isinstance(target := found.get("$ref"), str):
                found = described()
                for part in target.removeprefix("#/").split("/"):
                    found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict) or name not in found:
            fail(f"the description lacks {name}", expected=" → ".join(way))
        found = found[name]
    return found


@question.check(points=2)
def description_is_valid():
    """openapi-spec-validator accepts the description"""
    if problems := description_problems(json.dumps(described())):
        fail("the description is not valid OpenAPI 3.1", actual=problems[0])


@question.check(points=2, needs=description_is_valid)
def all_paths_are_described():
    """all paths are described, each with its method"""
    for path, method in OFFERED.items():
        offered = at(described(), "paths", path)
        if method not in offered:
            fail(f"{path} is not offered with {method.upper()}", actual=", ".join(offered))
        if other := {"get", "put", "post", "delete", "patch"} & set(offered) - {method}:
            fail(f"{path} is offered with {', '.join(sorted(other)).upper()}, which it should not be")
