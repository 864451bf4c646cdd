"""What a request must hold."""

from course import flights
from course.checks import Question, expect, fail, module
from course.checks.http.contracts import Artifact, as_sent

question = Question("What a request must hold", points=10)
contract = module("contract.py")
good = as_sent(flights.planned("2013-11-20").sample(100, random_state=4))
one = good[0]


def schema() -> dict:
    """The schema that the artifact promises."""
    return Artifact("artifact").json("schema.json")


def found(document) -> list[str]:
    """The problems of a body, each as one line."""
    listed = contract.problems(document, schema())
    expect(listed, "what problems() returns").is_instance(list)
    for entry in listed:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("pointer", "detail")):
            fail("a problem must be a dictionary with the texts pointer and detail", actual=entry)
    return [f"{entry['pointer']} {entry['detail']}" for entry in listed]


def expect_problem(document, what: str, *words: str, hint: str | None = None) -> None:
    """One of the problems names all the words."""
    listed = found(document)
    if not listed:
        fail(f"there is a problem, and problems() finds none: {what}", hint=hint)
    if not any(all(word in line for word in words) for line in listed):
        fail(f"no problem names the place of what is wrong: {what}", expected=" ".join(words), actual="; ".join(listed))


@question.check(points=2)
def good_requests_have_no_problems():
    """one good flight, and a list of good flights, have no problems"""
    for document, what in ((one, "one good flight"), ({"flights": good}, "a hundred good flights")):
        if listed := found(document):
            fail(
                f"{what} has a problem",
                actual=listed[0],
                hint="these are real flights; their distance is a whole number",
            )


@question.check(points=2, needs=good_requests_have_no_problems)
def missing_and_unknown_are_named():
    """what is missing, and what is unknown, is named"""
    for name in one:
        expect_problem({key: value for key, value in one.items() if key != name}, f"{name} is missing", name)
    expect_problem(one | {"dep_delay": 12}, "dep_delay is not in the schema", "dep_delay")


@question.check(points=2, needs=good_requests_have_no_problems)
def types_and_ranges_are_checked():
    """what is of a wrong type or out of range is named"""
    for name, value in (("distance", "719"), ("distance", True), ("carrier", 7), ("origin", None), ("dest", ["ORD"])):
        expect_problem(one | {name: value}, f"{name} is {value!r}", name)
    for name, value in (
        ("distance", -5),
        ("distance", 1_000_000),
        ("origin", ""),
        ("carrier", ""),
        ("dest", "A" * 1000),
    ):
        expect_problem(one | {name: value}, f"{name} is {value!r}"[:60], name, hint="all of this stands in schema.json")
