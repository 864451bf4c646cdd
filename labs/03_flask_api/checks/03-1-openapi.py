"""Does the OpenAPI description say all that a program needs in order to call the service?"""

import json
from typing import Any

from course.checks import Question, expect, fail, fixture, module
from course.checks.http.contracts import FIELDS, Artifact, bodies, description_problems

question = Question("A description that machines read", points=6)
OFFERED = {"/health": "get", "/ready": "get", "/model": "get", "/openapi.json": "get", "/predict": "post"}


@fixture
def description() -> dict[str, Any]:
    """What describe() returns for the artifact's schema."""
    returned: dict[str, Any] = module("openapi.py").describe(Artifact("artifact").json("schema.json"))
    expect(returned, "what describe() returns").is_instance(dict)
    return returned


def at(description: dict[str, Any], *way: str, start: Any = None) -> Any:
    """What lies at the end of a way through dictionaries; references to components are followed.

    Args:
        description: the whole, in which components are looked up.
        way: the names on the way.
        start: where it begins; by default at the top of the description.
    """
    here = description if start is None else start
    for name in way:
        for _ in range(5):
            if isinstance(here, dict) and isinstance(target := here.get("$ref"), str):
                here = description
                for part in target.removeprefix("#/").split("/"):
                    here = here.get(part) if isinstance(here, dict) else None
        if not isinstance(here, dict) or name not in here:
            fail(f"the description lacks {name}", expected=" → ".join(way))
        here = here[name]
    return here


@question.check(points=2)
def description_is_valid(description: dict[str, Any]) -> None:
    """openapi-spec-validator accepts the description"""
    if problems := description_problems(json.dumps(description)):
        fail("the description is not valid OpenAPI 3.1", actual=problems[0])


@question.check(points=2, needs=description_is_valid)
def all_paths_are_described(description: dict[str, Any]) -> None:
    """all paths are described, each with its method"""
    for path, method in OFFERED.items():
        offered = at(description, "paths", path)
        if method not in offered:
            fail(f"{path} is not offered with {method.upper()}", actual=", ".join(offered))
        if other := {"get", "put", "post", "delete", "patch"} & set(offered) - {method}:
            fail(f"{path} is offered with {', '.join(sorted(other)).upper()}, which it should not be")
