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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="what requests can be made from the description alone? One flight with all its fields, and a list of them, as "
    "the schema that describe() gets allows them",
)
def body_is_described(description: dict[str, Any]) -> None:
    """requests that are made from the description hold one flight, or many, by the schema that describe() gets"""
    request = at(description, "paths", "/predict", "post", "requestBody")
    expect(request.get("required"), "required").equals(True)
    made = [json.loads(text) for text, allowed in bodies(json.dumps(description), count=40, seed=1) if allowed]
    single = [body for body in made if isinstance(body, dict) and set(FIELDS) <= set(body)]
    many = [body["flights"] for body in made if isinstance(body, dict) and isinstance(body.get("flights"), list)]
    expect(bool(single) and bool(many)).is_true()
    expect(all(set(flight) == set(FIELDS) for flights in [single, *many] for flight in flights)).is_true()
    expect(all(1 <= len(flights) <= 1000 for flights in many)).is_true()
    other = schema()
    other["properties"]["distance"] = {"type": "integer", "minimum": 3, "maximum": 4}
    text = json.dumps(module("openapi.py").describe(other))
    again = [json.loads(body) for body, allowed in bodies(text, count=10, seed=2) if allowed]
    miles = {flight["distance"] for body in again for flight in body.get("flights", [body])}
    expect(bool(miles) and miles <= {3, 4}).is_true()


@question.check(
    points=1,
    hidden=True,
    hint="responses → 422 → content: which media type do your errors have?",
)
def answers_are_described(description: dict[str, Any]) -> None:
    """the answers of /predict are described, errors as problem details"""
    responses = at(description, "paths", "/predict", "post", "responses")
    at(description, "200", "content", "application/json", "schema", start=responses)
    named = [code for code in ("422", "400", "4XX", "default") if code in responses]
    expect(bool(named)).is_true()
    at(description, named[0], "content", "application/problem+json", start=responses)


### END HIDDEN TESTS
