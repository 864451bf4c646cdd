"""Does the OpenAPI description say all that a program needs in order to call the service?"""

import json
from typing import Any
from urllib.parse import unquote

from course.checks import Question, expect, fail, fixture, module
from course.checks.http.contracts import FIELDS, bodies, description_problems
from course.checks.http.course_artifact import course_artifact

question = Question("A description that machines read", points=6)
OFFERED = {"/health": "get", "/ready": "get", "/model": "get", "/openapi.json": "get", "/predict": "post"}
METHODS = {"get", "put", "post", "delete", "patch"}


def schema() -> dict[str, Any]:
    """The schema of lab 02's form that the module gets: the course's."""
    schema: dict[str, Any] = course_artifact().json("schema.json")
    return schema


@fixture
def description() -> dict[str, Any]:
    """What describe() returns for that schema."""
    returned: dict[str, Any] = module("openapi.py").describe(schema())
    expect(returned, "what describe() returns").is_instance(dict)
    return returned


def resolved(description: dict[str, Any], part: Any) -> Any:
    """A part of the description, or what it refers to."""
    for _ in range(10):
        if not isinstance(part, dict) or not isinstance(target := part.get("$ref"), str):
            return part
        here: Any = description
        for name in target.removeprefix("#").removeprefix("/").split("/"):
            key = unquote(name).replace("~1", "/").replace("~0", "~")
            here = here.get(key) if isinstance(here, dict) else None
        part = here
    return part


def at(description: dict[str, Any], *way: str, start: Any = None) -> Any:
    """What lies at the end of a way through dictionaries; references are followed, at the end too.

    Args:
        description: the whole, in which references are looked up.
        way: the names on the way.
        start: where it begins; by default at the top of the description.
    """
    here = resolved(description, description if start is None else start)
    for name in way:
        if not isinstance(here, dict) or name not in here:
            fail(f"the description lacks {name}", expected=" → ".join(way))
        here = resolved(description, here[name])
    return here


@question.check(points=2)
def description_is_valid(description: dict[str, Any]) -> None:
    """openapi-spec-validator accepts the description"""
    if problems := description_problems(json.dumps(description)):
        fail("the description is not valid OpenAPI 3.1", actual=problems[0])


@question.check(points=2)
def all_paths_are_described(description: dict[str, Any]) -> None:
    """all paths are described, each with its method"""
    for path, method in OFFERED.items():
        offered = at(description, "paths", path)
        expect(offered, f"the description of {path}").is_instance(dict)
        if method not in offered:
            found = ", ".join(map(str, offered)) or "nothing"
            fail(f"{path} is not offered with {method.upper()}", expected=f"the key {method!r}", actual=found)
        if other := METHODS & set(offered) - {method}:
            fail(f"{path} is offered with {', '.join(sorted(other)).upper()}, which the service does not answer")
