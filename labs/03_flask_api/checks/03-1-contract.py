"""Does `problems()` accept good requests, and name the place of everything that is wrong in a bad one?"""

from typing import Any

from course import flights
from course.checks import Module, Question, expect, fail, fixture, module
from course.checks.http.contracts import Artifact, as_sent

question = Question("What a request must hold", points=10)


@fixture
def contract() -> Module:
    """The shipped module, called in a process of its own."""
    return module("contract.py")


@fixture
def good() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(100, random_state=4))


@fixture
def flight(good: list[dict[str, Any]]) -> dict[str, Any]:
    """One of them."""
    return good[0]


def schema() -> dict[str, Any]:
    """The schema that the artifact promises."""
    schema: dict[str, Any] = Artifact("artifact").json("schema.json")
    return schema


def problems_of(contract: Module, document: Any) -> list[str]:
    """The problems of a body, each as one line."""
    listed = contract.problems(document, schema())
    expect(listed, "what problems() returns").is_instance(list)
    for entry in listed:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("pointer", "detail")):
            fail("a problem must be a dictionary with the texts pointer and detail", actual=entry)
    return [f"{entry['pointer']} {entry['detail']}" for entry in listed]


def expect_problem(contract: Module, document: Any, what: str, *words: str, hint: str | None = None) -> None:
    """One of the problems names all the words."""
    listed = problems_of(contract, document)
    if not listed:
        fail(f"there is a problem, and problems() finds none: {what}", hint=hint)
    if not any(all(word in line for word in words) for line in listed):
        fail(f"no problem names the place of what is wrong: {what}", expected=" ".join(words), actual="; ".join(listed))


@question.check(points=2)
def good_requests_have_no_problems(contract: Module, good: list[dict[str, Any]], flight: dict[str, Any]) -> None:
    """one good flight, and a list of good flights, have no problems"""
    for document, what in ((flight, "one good flight"), ({"flights": good}, "a hundred good flights")):
        if listed := problems_of(contract, document):
            fail(
                f"{what} has a problem",
                actual=listed[0],
                hint="these are real flights; their distance is a whole number",
            )


@question.check(points=2, needs=good_requests_have_no_problems)
def missing_and_unknown_are_named(contract: Module, flight: dict[str, Any]) -> None:
    """what is missing, and what is unknown, is named"""
    for name in flight:
        expect_problem(
            contract, {key: value for key, value in flight.items() if key != name}, f"{name} is missing", name
        )
    expect_problem(contract, flight | {"dep_delay": 12}, "dep_delay is not in the schema", "dep_delay")


@question.check(points=2, needs=good_requests_have_no_problems)
def types_and_ranges_are_checked(contract: Module, flight: dict[str, Any]) -> None:
    """what is of a wrong type or out of range is named"""
    for name, value in (("distance", "719"), ("distance", True), ("carrier", 7), ("origin", None), ("dest", ["ORD"])):
        expect_problem(contract, flight | {name: value}, f"{name} is {value!r}", name)
    for name, value in (
        ("distance", -5),
        ("distance", 1_000_000),
        ("origin", ""),
        ("carrier", ""),
        ("dest", "A" * 1000),
    ):
        expect_problem(
            contract,
            flight | {name: value},
            f"{name} is {value!r}"[:60],
            name,
            hint="all of this stands in schema.json",
        )
