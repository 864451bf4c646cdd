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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=good_requests_have_no_problems,
    hint="a format is only a remark unless the validator has a format_checker; and not all that looks so is a date",
)
def dates_are_real():
    """a date-time is a real one, with an offset"""
    for value in ("tomorrow", "2013-11-27", "2013-11-27T18:30:00", "2013-02-30T18:30:00-05:00", "27.11.2013 18:30", ""):
        expect_problem(one | {"planned_departure": value}, repr(value), "planned_departure")
    expect_problem(one | {"planned_arrival": 1385595000}, "a number", "planned_arrival")


@question.check(
    points=1,
    hidden=True,
    needs=good_requests_have_no_problems,
    hint="compare moments, not texts: with other offsets, the later moment may have the smaller text",
)
def flights_arrive_after_they_depart():
    """a flight arrives after it departs"""
    wrong = one | {"planned_departure": one["planned_arrival"], "planned_arrival": one["planned_departure"]}
    expect_problem(wrong, "it arrives before it departs")
    moments = {"planned_departure": "2013-11-27T18:30:00-05:00", "planned_arrival": "2013-11-27T17:30:00-08:00"}
    if found(one | moments):
        fail("a flight to the west is refused")
    moments = {"planned_departure": "2013-11-27T18:30:00-05:00", "planned_arrival": "2013-11-28T01:00:00+05:30"}
    expect_problem(one | moments, "it arrives before it departs")


@question.check(
    points=1,
    hidden=True,
    needs=good_requests_have_no_problems,
    hint="an empty list is refused, 1000 flights are allowed, 1001 are not; and the pointer says which flight is wrong",
)
def lists_have_bounds_and_places():
    """a list has 1 to 1000 flights and nothing beside, and a problem says which flight it is"""
    if found({"flights": [one] * 1000}):
        fail("a thousand flights are refused")
    for document, what in (
        ({"flights": []}, "no flight"),
        ({"flights": [one] * 1001}, "1001 flights"),
        ({"flights": one}, "flights is no list"),
        ({"flights": [one], "model": "v2"}, "something beside flights"),
    ):
        expect_problem(document, what)
    bad = {key: value for key, value in one.items() if key != "distance"}
    expect_problem({"flights": [*good[:7], bad, *good[8:]]}, "the eighth", "7", "distance")


@question.check(
    points=1,
    hidden=True,
    needs=good_requests_have_no_problems,
    hint="try a list, a text, null, numbers beyond all bounds, the first day of the calendar and the last",
)
def whatever_comes_is_answered():
    """whatever comes, it returns a list and raises nothing"""
    for document in (None, [], {}, [one], "flight", 7, True, {"flights": [None]}, {"flights": {"0": one}}):
        expect_problem(document, "no flight at all")
    expect_problem(one | {"distance": 10**400}, "a distance beyond all bounds")
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2013-11-27T18:30:60-05:00"):
        found(one | {"planned_departure": moment})
    found(one | {"\ud800": "\ud800", "": {"": []}})


### END HIDDEN TESTS
