"""Does the shipped promote.py wait, promote and roll back for the right reasons, and count what really happened?"""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from course import rollouts
from course.checks import Module, Question, as_dict, as_text, as_whole_number, fail, fixture, module
from course.rollouts import Canary

question = Question("Wait, promote or roll back", points=7)
DECISIONS = ("wait", "promote", "roll back")
PLAN = {"min_requests": 300, "margin": 0.01, "error_limit": 0.05}
BUSY = Canary(per_minute=2000)


@fixture
def promote() -> Module:
    """The shipped module, called in a process of its own."""
    return module("promote.py", timeout=10)


def made(promote: Module, series: pd.DataFrame) -> dict[str, Any]:
    """What decide() returns, with a decision that is one of three."""
    result = as_dict(promote.decide(series, PLAN), "what decide() returns")
    if result.get("decision") not in DECISIONS:
        fail("decide() returns no decision", expected=f'{{"decision": {" | ".join(DECISIONS)}, …}}', actual=result)
    return result


def must_decide(promote: Module, expected: str, series: pd.DataFrame, what: str) -> None:
    """Fail unless this is decided, with a reason."""
    result = made(promote, series)
    if result["decision"] != expected:
        fail(what, expected=expected, actual=f"{result['decision']}, because {str(result.get('because'))[:150]}")
    if not as_text(result.get("because"), "because").strip():
        fail("because is empty", hint="Ravi reads it at night: name the numbers that decided")


def grown(series: pd.DataFrame) -> dict[str, dict[str, int]]:
    """What each version's counters grew by, where a counter that falls has begun again at zero."""
    totals: dict[str, dict[str, int]] = {
        version: dict.fromkeys(rollouts.COUNTERS, 0) for version in ("stable", "canary")
    }
    for (version, _), rows in series.groupby(["version", "pod"]):
        for counter in rollouts.COUNTERS:
            values = list(map(int, rows[counter]))
            steps = (now - before if now >= before else now for before, now in itertools.pairwise(values))
            totals[str(version)][counter] += sum(steps)
    return totals


def must_count(promote: Module, series: pd.DataFrame) -> None:
    """Fail unless the evidence is what the counters grew by."""
    evidence = as_dict(made(promote, series).get("evidence"), "evidence")
    for version, counters in grown(series).items():
        own = as_dict(evidence.get(version), f"evidence: {version}")
        for counter, expected in counters.items():
            actual = as_whole_number(own.get(counter), f"evidence: {version}: {counter}")
            if actual != expected:
                fail(f"{version}: {counter} during the canary", expected=expected, actual=actual)


@question.check(points=1)
def good_and_bad_are_told_apart(promote: Module) -> None:
    """after an hour, a canary as good as stable is promoted, and one that fails ten times as often is rolled back"""
    must_decide(promote, "promote", rollouts.scrape(BUSY, 1), "both versions fail once in 100 requests")
    bad = Canary(per_minute=2000, errors=(0.01, 0.1))
    must_decide(promote, "roll back", rollouts.scrape(bad, 2), "the canary fails 10 times in 100 requests, stable once")


@question.check(points=1, needs=good_and_bad_are_told_apart)
def too_few_requests_mean_wait(promote: Module) -> None:
    """with fewer than min_requests requests to the canary, it waits, whatever they look like"""
    for errors, seed in ((0.0, 3), (0.5, 4)):
        few = rollouts.until(rollouts.scrape(Canary(errors=(0.01, errors)), seed), 4)
        must_decide(promote, "wait", few, f"{grown(few)['canary']['requests']} requests to the canary")


@question.check(points=1)
def the_evidence_counts_the_canary_only(promote: Module) -> None:
    """evidence holds the requests, errors and slow answers of both versions since the first row"""
    must_count(promote, rollouts.scrape(BUSY, 5))


### BEGIN HIDDEN TESTS
LOOKS = range(6, 61, 6)  # minutes at which somebody asks


def allowed(share: float, count: int) -> int:
    """How many of so many canaries may end wrongly, if a share of them may: three standard errors more."""
    return int(count * share + 3 * (count * share * (1 - share)) ** 0.5)


def ends(promote: Module, canary: Canary, seeds: Iterable[int]) -> Counter[str]:
    """How canaries end when somebody asks again and again, and does what is decided."""
    ended: Counter[str] = Counter()
    for seed in seeds:
        series, decision = rollouts.scrape(canary, seed), "wait"
        for minute in LOOKS:
            if (decision := made(promote, rollouts.until(series, minute))["decision"]) != "wait":
                break
        ended[decision] += 1
    return ended


@question.check(points=1, hidden=True, hint="a pod that restarts begins at zero; what it counted before still happened")
def resets_are_understood(promote: Module) -> None:
    """restarts of pods and missing scrapes change neither the counts nor the decision"""
    restarting = Canary(errors=(0.01, 0.06), restarts=((20,), (15, 30, 45)), lost=0.1)
    must_count(promote, rollouts.scrape(restarting, 11))
    must_decide(promote, "roll back", rollouts.scrape(restarting, 12), "a canary that fails, and restarts")


@question.check(
    points=1,
    hidden=True,
    needs=good_and_bad_are_told_apart,
    hint="when stable fails as often, something else is broken: nothing is promoted then, and nothing rolled back",
)
def the_canary_is_not_to_blame(promote: Module) -> None:
    """when both versions fail above error_limit, it waits; it rolls back a canary that is far worse even then"""
    for seed in (21, 22, 23):
        series = rollouts.scrape(Canary(per_minute=2000, errors=(0.12, 0.12)), seed)
        must_decide(promote, "wait", series, "both versions fail 12 times in 100 requests")
    worse = rollouts.scrape(Canary(per_minute=2000, errors=(0.12, 0.40)), 24)
    must_decide(promote, "roll back", worse, "stable fails 12 times in 100 requests, and the canary 40 times")


@question.check(points=1, hidden=True, hint="compare the shares of slow answers as you compare those of errors")
def a_slow_canary_is_rolled_back(promote: Module) -> None:
    """a canary that is slow is rolled back, although it fails less often"""
    slow = Canary(per_minute=2000, errors=(0.01, 0.002), slow=(0.03, 0.12))
    must_decide(
        promote, "roll back", rollouts.scrape(slow, 31), "12 of 100 answers of the canary are slow, 3 of stable's"
    )


@question.check(
    points=1,
    hidden=True,
    needs=good_and_bad_are_told_apart,
    hint="somebody asks every six minutes: leave room for chance on both sides, and wait while it is open",
)
def chance_decides_nothing(promote: Module) -> None:
    """over many canaries, hardly a good one is rolled back, and one that is worse by the margin is seldom promoted"""
    good = ends(promote, Canary(), range(100, 125))
    if good["roll back"] > allowed(0.05, good.total()):
        fail("canaries as good as stable: rolled back", expected=f"hardly any of {good.total()}", actual=dict(good))
    worse = ends(promote, Canary(errors=(0.01, 0.02)), range(200, 225))
    if worse["promote"] > 0.4 * worse.total():
        fail("canaries that are worse by the margin: promoted", expected="the lesser part of 25", actual=dict(worse))


### END HIDDEN TESTS
