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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="the rules come from the schema that problems() gets: another artifact brings another one, with other bounds",
)
def the_schema_that_it_gets_holds(contract: Module, flight: dict[str, Any]) -> None:
    """it checks by the schema that it gets, not by one that it knows"""
    other = schema()
    other["properties"]["distance"]["maximum"] = 3000
    far, near = flight | {"distance": 3001}, flight | {"distance": 3000}
    if not any("distance" in line for line in problems_of(contract, far, other)):
        fail("3001 miles are not refused by a schema that allows 3000")
    if [line for line in problems_of(contract, far) + problems_of(contract, near, other) if "distance" in line]:
        fail("a distance is refused by a schema that allows it")


@question.check(
    points=1,
    hidden=True,
    hint="a format is only a remark unless the validator has a format_checker; and not all that looks so is a date",
)
def dates_are_real(contract: Module, always: list[str], flight: dict[str, Any]) -> None:
    """a date-time is a real one, with an offset"""
    for value in ("tomorrow", "2013-11-27", "2013-11-27T18:30:00", "2013-02-30T18:30:00-05:00", "27.11.2013 18:30", ""):
        expect_problem(contract, always, flight | {"planned_departure": value}, repr(value), "planned_departure")
    expect_problem(contract, always, flight | {"planned_arrival": 1385595000}, "a number", "planned_arrival")


@question.check(
    points=1,
    hidden=True,
    hint="compare moments, not texts: with other offsets, the later moment may have the smaller text",
)
def flights_arrive_after_they_depart(contract: Module, always: list[str], flight: dict[str, Any]) -> None:
    """a flight arrives after it departs"""
    wrong = flight | {"planned_departure": flight["planned_arrival"], "planned_arrival": flight["planned_departure"]}
    expect_problem(contract, always, wrong, "it arrives before it departs")
    moments = {"planned_departure": "2013-11-27T18:30:00-05:00", "planned_arrival": "2013-11-27T17:30:00-08:00"}
    if problems_of(contract, flight | moments):
        fail("a flight to the west is refused")
    at_once = flight | {"planned_arrival": flight["planned_departure"]}
    expect_problem(contract, always, at_once, "it arrives when it departs")
    moments = {"planned_departure": "2013-11-27T18:30:00-05:00", "planned_arrival": "2013-11-28T01:00:00+05:30"}
    expect_problem(contract, always, flight | moments, "it arrives before it departs")


@question.check(
    points=1,
    hidden=True,
    hint="an empty list is refused, 1000 flights are allowed, 1001 are not; and the pointer says which flight is wrong",
)
def lists_have_bounds_and_places(
    contract: Module, always: list[str], good: list[dict[str, Any]], flight: dict[str, Any]
) -> None:
    """a list has 1 to 1000 flights and nothing beside, and a problem says which flight it is"""
    if problems_of(contract, {"flights": [flight] * 1000}):
        fail("a thousand flights are refused")
    for document, what in (
        ({"flights": []}, "no flight"),
        ({"flights": [flight] * 1001}, "1001 flights"),
        ({"flights": flight}, "flights is no list"),
        ({"flights": [flight], "model": "v2"}, "something beside flights"),
    ):
        expect_problem(contract, always, document, what)
    bad = {key: value for key, value in flight.items() if key != "distance"}
    expect_problem(
        contract, always, {"flights": [*good[:7], bad, *good[8:]]}, "the eighth", "/flights/7/distance", "distance"
    )


@question.check(
    points=1,
    hidden=True,
    hint="try a list, a text, null, numbers beyond all bounds, the first day of the calendar and the last",
)
def whatever_comes_is_answered(contract: Module, always: list[str], flight: dict[str, Any]) -> None:
    """whatever comes, it returns a list and raises nothing"""
    for document in (None, [], {}, [flight], "flight", 7, True, {"flights": [None]}, {"flights": {"0": flight}}):
        expect_problem(contract, always, document, "no flight at all")
    expect_problem(contract, always, flight | {"distance": 10**400}, "a distance beyond all bounds")
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2013-11-27T18:30:60-05:00"):
        problems_of(contract, flight | {"planned_departure": moment})
    problems_of(contract, flight | {"\ud800": "\ud800", "": {"": []}})


### END HIDDEN TESTS
