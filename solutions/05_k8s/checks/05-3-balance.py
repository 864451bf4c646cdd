"""Do the functions count requests per pod from logs, and tell an uneven spread from chance?"""

import json
from typing import Any

from course.checks import Module, Question, expect, fixture, module

question = Question("Do requests spread over pods?", points=5)


@fixture
def balance() -> Module:
    """The shipped module, called in a process of its own."""
    return module("balance.py", timeout=30)


def line(request_id: str, **more: Any) -> str:
    """A line of a log."""
    return json.dumps(
        {"time": "2026-01-12T17:00:00Z", "request_id": request_id, "path": "/predict", "status": 200, **more}
    )


LOGS = {
    "flights-x7": "\n".join(["booting", *(line(f"try-{n}") for n in range(7)), line("other-1")]),
    "flights-q2": "\n".join([*(line(f"try-{n}") for n in range(7, 12)), "", line("probe")]),
    "flights-m4": "booting\n" + line("other-2"),
}


@question.check(points=1)
def requests_are_counted(balance: Module) -> None:
    """requests are counted for each pod by the prefix of their ids"""
    counts = balance.requests_per_pod({key: LOGS[key] for key in ("flights-x7", "flights-q2")}, "try-")
    expect(counts, "requests_per_pod()").equals({"flights-x7": 7, "flights-q2": 5})


@question.check(points=1)
def idle_pods_are_seen(balance: Module) -> None:
    """a pod that got no request is in the result"""
    expect(balance.requests_per_pod(LOGS, "try-"), "requests_per_pod()").equals(
        {"flights-x7": 7, "flights-q2": 5, "flights-m4": 0}
    )


@question.check(points=1)
def chance_is_allowed_for(balance: Module) -> None:
    """what chance makes looks even, and one busy pod does not"""
    for counts, wanted in (
        ((93, 110, 97), True),
        ((100, 100, 100), True),
        ((300, 0, 0), False),
        ((160, 75, 65), False),
    ):
        said = balance.looks_even({f"pod-{n}": count for n, count in enumerate(counts)})
        expect(said, f"looks_even() of {', '.join(map(str, counts))}").equals(wanted)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="lines that are no JSON, or JSON but no object; ids that are no text; two lines of one request; no line",
)
def logs_are_as_they_are(balance: Module) -> None:
    """strange lines do no harm, and a request with several lines counts once"""
    strange = ["{", "[1, 2]", "null", '"try-9"', "7", '{"request_id": null}', '{"request_id": 7}', "{}", "}{"]
    twice = [line("try-1"), line("try-1", error="Traceback …"), line("try-2"), "note: try-3 was slow", line("retry-4")]
    counts = balance.requests_per_pod({"a": "\n".join([*strange, *twice]), "b": "", "c": "}{"}, "try-")
    expect(counts).equals({"a": 2, "b": 0, "c": 0})


@question.check(
    points=1,
    hidden=True,
    hint="how uneven chance makes it depends on how many requests there were; try 12, and 100,000",
)
def few_and_many(balance: Module) -> None:
    """few requests may be uneven, many may not, and none prove nothing"""
    cases = [((5, 3, 4), True), ((1, 0, 0), True), ((9, 0, 0), False), ((0, 0, 0), False), ((41, 52, 48, 59), True)]
    cases += [((33_500, 33_200, 33_300), True), ((34_600, 32_900, 32_500), False), ((10_350, 9_650), False)]
    for counts, wanted in cases:
        expect(balance.looks_even({f"pod-{n}": count for n, count in enumerate(counts)})).equals(wanted)


### END HIDDEN TESTS
