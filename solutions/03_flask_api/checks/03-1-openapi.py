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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=description_is_valid,
    hint="what requests can be made from the description alone? One flight with all its fields, and a list of them",
)
def body_is_described():
    """requests that are made from the description hold one flight, or many, by the shipped schema"""
    body = at(described(), "paths", "/predict", "post", "requestBody")
    expect(body.get("required"), "required").equals(True)
    made = [json.loads(text) for text, allowed in bodies(json.dumps(described()), count=40, seed=1) if allowed]
    single = [one for one in made if isinstance(one, dict) and set(one) == set(FIELDS)]
    many = [one["flights"] for one in made if isinstance(one, dict) and isinstance(one.get("flights"), list)]
    expect(bool(single) and bool(many)).is_true()
    expect(all(set(one) == set(FIELDS) for flights in many for one in flights)).is_true()
    expect(all(1 <= len(flights) <= 1000 for flights in many)).is_true()


@question.check(
    points=1,
    hidden=True,
    needs=description_is_valid,
    hint="responses → 422 → content: which media type do your errors have?",
)
def answers_are_described():
    """the answers of /predict are described, errors as problem details"""
    responses = at(described(), "paths", "/predict", "post", "responses")
    at(responses, "200", "content", "application/json", "schema")
    named = [code for code in ("422", "400", "4XX", "default") if code in responses]
    expect(bool(named)).is_true()
    at(responses, named[0], "content", "application/problem+json")


### END HIDDEN TESTS
