"""Does `problems()` accept good requests, and name the place of everything that is wrong in a bad one?"""

from typing import Any

from course import flights
from course.checks import Module, Question, expect, fail, fixture, module
from course.checks.http.contracts import FIELDS, as_sent
from course.checks.http.course_artifact import course_artifact

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
    """The schema that problems() gets: the course's, in the form of lab 02."""
    schema: dict[str, Any] = course_artifact().json("schema.json")
    return schema


def problems_of(contract: Module, document: Any, by: dict[str, Any] | None = None) -> list[str]:
    """The problems of a body, each as one line."""
    listed = contract.problems(document, by or schema())
    expect(listed, "what problems() returns").is_instance(list)
    for entry in listed:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("pointer", "detail")):
            fail("a problem must be a dictionary with the texts pointer and detail", actual=entry)
    return [f"{entry['pointer']} {entry['detail']}" for entry in listed]


@fixture
def always(contract: Module, flight: dict[str, Any]) -> list[str]:
    """What is said of a good flight: nothing, if all is well; and it does not count where something is wrong."""
    return problems_of(contract, flight)


def expect_problem(
    contract: Module, always: list[str], document: Any, what: str, *words: str, hint: str | None = None
) -> None:
    """One of the problems, which a good flight does not have, names all the words, and no field that is right."""
    listed = [line for line in problems_of(contract, document) if line not in always]
    if not listed:
        fail(f"problems() finds no problem where there is one: {what}", hint=hint)
    others = [name for name in FIELDS if words and name not in words]
    if not any(all(word in line for word in words) and not any(name in line for name in others) for line in listed):
        place = " and ".join(words)
        fail(
            f"no problem names the place of what is wrong: {what}",
            expected=f"a problem that names {place}, and no field that is right",
            actual="; ".join(listed),
        )


@question.check(points=1)
def good_requests_have_no_problems(contract: Module, good: list[dict[str, Any]], flight: dict[str, Any]) -> None:
    """one good flight, and a list of good flights, have no problems"""
    for document, what in ((flight, "one good flight"), ({"flights": good}, "a hundred good flights")):
        if listed := problems_of(contract, document):
            fail(
                f"{what} has a problem",
                actual=listed[0],
                hint="these are real flights; their distance is a whole number",
            )


@question.check(points=2)
def missing_and_unknown_are_named(contract: Module, always: list[str], flight: dict[str, Any]) -> None:
    """what is missing, and what is unknown, is named"""
    for name in flight:
        expect_problem(
            contract, always, {key: value for key, value in flight.items() if key != name}, f"{name} is missing", name
        )
    expect_problem(contract, always, flight | {"dep_delay": 12}, "dep_delay is not in the schema", "dep_delay")


@question.check(points=2)
def types_and_ranges_are_checked(contract: Module, always: list[str], flight: dict[str, Any]) -> None:
    """what is of a wrong type or out of range is named"""
    for name, value in (("distance", "719"), ("distance", True), ("carrier", 7), ("origin", None), ("dest", ["ORD"])):
        expect_problem(contract, always, flight | {name: value}, f"{name} is {value!r}", name)
    for name, value in (
        ("distance", -5),
        ("distance", 1_000_000),
        ("origin", ""),
        ("carrier", ""),
        ("dest", "A" * 1000),
    ):
        expect_problem(
            contract,
            always,
            flight | {name: value},
            f"{name} is {value!r}"[:60],
            name,
            hint="all of this stands in schema.json",
        )
