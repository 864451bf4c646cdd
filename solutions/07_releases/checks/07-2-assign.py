"""Does the shipped assignment keep passengers where they are, and treat them alike?"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from scipy.stats import binomtest, chi2_contingency

from course.checks import Module, Question, fail, fixture, module, text

question = Question("The assignment", points=7)
HALVES = {"name": "warnings-v2", "versions": {"v1": 0.5, "v2": 0.5}}
PASSENGERS = [f"P-{100_000 + number}" for number in range(1500)]
UNLIKELY = 1e-6  # what chance gives less often than this is not chance


@fixture
def assign() -> Module:
    """The shipped module, called in a process of its own."""
    return module("assign.py")


def versions(assign: Module, experiment: Mapping[str, Any], passengers: list[str]) -> list[str]:
    """The version of each passenger."""
    named = experiment["versions"]
    given = []
    for passenger in passengers:
        given.append(version := assign.version(experiment, passenger))
        if version not in named:
            fail(f"version() of the passenger {passenger!r}", expected=" or ".join(named), actual=version)
    return given


def must_have(share: float, given: list[str], version: str, which: str) -> None:
    """Fail where the share of a version is not what was planned."""
    count = given.count(version)
    if binomtest(count, len(given), share).pvalue < UNLIKELY:
        fail(f"{which}: the share of {version}", expected=f"{share:.0%}", actual=f"{count} of {len(given)}")


@question.check(points=1)
def a_version_is_one_of_two(assign: Module) -> None:
    """every passenger gets one of the two versions, and both occur"""
    given = versions(assign, HALVES, PASSENGERS[:200])
    if len(set(given)) == 1:
        fail("200 passengers all get the same version", expected="about half and half", actual=given[0])


@question.check(points=1)
def a_passenger_keeps_the_version(assign: Module) -> None:
    """a passenger has the same version in another process, whoever asked before"""
    calls = [node for node in ast.walk(ast.parse(text("assign.py"))) if isinstance(node, ast.Call)]
    if any(isinstance(call.func, ast.Name) and call.func.id == "hash" for call in calls):
        fail("hash() of a text differs from process to process", hint="hashlib's functions do not")
    first = versions(assign, HALVES, PASSENGERS[:100])
    again = versions(module("assign.py"), HALVES, PASSENGERS[99::-1])[::-1]
    moved = [name for name, one, other in zip(PASSENGERS, first, again, strict=False) if one != other]
    if moved:
        fail(
            f"{len(moved)} of 100 passengers have another version in another process",
            expected=f"{moved[0]} keeps {first[PASSENGERS.index(moved[0])]}",
            actual=again[PASSENGERS.index(moved[0])],
        )


### BEGIN HIDDEN TESTS
NAMES: dict[str, Callable[[int], str]] = {
    "numbered passengers": lambda number: f"P-{200_000 + number}",
    "even numbers": lambda number: str(2 * number),
    "mail addresses": lambda number: f"passenger.{number:05d}@example.com",
    "names that end alike": lambda number: f"{number * 7919:x}-NYC",
}


@question.check(points=2, hidden=True, hint="whatever names look like, each version gets its share")
def shares_hold(assign: Module) -> None:
    """the versions get their shares, whatever passengers are called"""
    for trial in (0.5, 0.1):
        experiment = {"name": "other", "versions": {"old": 1 - trial, "new": trial}}
        for which, name in NAMES.items():
            must_have(trial, versions(assign, experiment, [name(number) for number in range(700)]), "new", which)


@question.check(points=1, hidden=True, hint="the name of the experiment takes part in the hash")
def experiments_are_independent(assign: Module) -> None:
    """who is in v2 of one experiment tells nothing about another"""
    first = versions(assign, HALVES, PASSENGERS)
    for other in ("warnings-v3", "warnings-v2-again", "prices"):
        second = versions(assign, {**HALVES, "name": other}, PASSENGERS)
        table = [
            [sum((a, b) == (x, y) for a, b in zip(first, second, strict=True)) for y in ("v1", "v2")]
            for x in ("v1", "v2")
        ]
        if min(map(sum, table)) == 0 or min(map(sum, zip(*table, strict=True))) == 0:
            fail(f"the experiment {other!r} gives everybody the same version")
        if chi2_contingency(table).pvalue < UNLIKELY:
            fail(f"'warnings-v2' and {other!r} assign the same passengers together", actual=table)


@question.check(points=2, hidden=True, hint="compare the number between 0 and 1 with the second version's share")
def a_growing_share_takes_nobody_back(assign: Module) -> None:
    """a passenger who has the second version keeps it when its share grows"""
    before: set[str] = set()
    for trial in (0.05, 0.2, 0.5, 0.9):
        experiment = {"name": "ramp", "versions": {"v1": 1 - trial, "v2": trial}}
        given = versions(assign, experiment, PASSENGERS[:600])
        must_have(trial, given, "v2", f"planned {trial:.0%}")
        now = {name for name, version in zip(PASSENGERS, given, strict=False) if version == "v2"}
        if lost := before - now:
            fail(f"{len(lost)} passengers lose v2 when its share grows to {trial:.0%}", expected="nobody")
        before = now


### END HIDDEN TESTS
