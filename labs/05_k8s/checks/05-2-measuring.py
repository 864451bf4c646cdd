"""Do the functions report from recorded requests what was lost, and which versions answered when?"""

import random
from typing import Any

from course.checks import Module, Question, expect, fixture, module

question = Question("What callers saw", points=6)


@fixture
def measuring() -> Module:
    """The shipped module, called in a process of its own."""
    return module("measuring.py")


def record(at: float, status: int | None = 200, version: str = "v1") -> dict[str, Any]:
    return {"at": at, "seconds": 0.01, "status": status, "version": version if status == 200 else None}


calm = [record(n / 10) for n in range(40)]
update = [record(n / 10, version="v1" if n < 18 or n in (20, 23) else "v2") for n in range(40)]


@question.check(points=1)
def what_got_no_answer_is_lost(measuring: Module) -> None:
    """what got no answer is lost, and what got one is not"""
    expect(measuring.lost(calm), "lost() where all were answered").equals(0)
    expect(
        measuring.lost([*calm, record(4.0, None), record(4.1, None)]), "lost() with two that nobody answered"
    ).equals(2)


@question.check(points=2)
def versions_are_counted(measuring: Module) -> None:
    """answers are counted by version, second by second"""
    expect(measuring.versions_over_time(calm, 1.0), "versions_over_time() before an update").equals([{"v1": 10}] * 4)
    expected = [{"v1": 10}, {"v1": 8, "v2": 2}, {"v1": 2, "v2": 8}, {"v2": 10}]
    expect(measuring.versions_over_time(update, 1.0), "versions_over_time() during an update").equals(expected)


@question.check(points=1)
def both_versions_answer_for_a_while(measuring: Module) -> None:
    """together() returns for how many seconds both versions answered"""
    expect(measuring.together(update, "v2"), "together() during an update").is_close(2.3 - 1.8, abs=1e-6)
    expect(measuring.together(calm, "v2"), "together() before an update").is_close(0.0, abs=1e-9)
