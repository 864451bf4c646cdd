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
