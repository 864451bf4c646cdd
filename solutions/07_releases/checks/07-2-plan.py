"""Is the shipped plan complete, and does it fit the company's question?"""

import math
from typing import Any

from scipy.stats import norm

from course import experiments
from course.checks import Question, as_dict, as_number, as_text, as_whole_number, document, fail, fixture

question = Question("The plan", points=6)
KEYS = [
    *("name", "unit", "versions", "metric", "smallest_effect", "alpha", "power", "days", "outcome_after_days"),
    "guardrails",
]
EFFECT = experiments.WEATHER_COSTS / experiments.COMPANY.passengers


@fixture
def plan() -> dict[str, Any]:
    """The shipped plan."""
    return as_dict(document("experiment.yaml"), "experiment.yaml")


def number(plan: dict[str, Any], key: str) -> float:
    """A number of the plan."""
    if key not in plan:
        fail(f"the key {key} is missing", actual=sorted(map(str, plan)))
    return as_number(plan[key], key)


@question.check(points=1)
def all_keys_are_there(plan: dict[str, Any]) -> None:
    """every key is there, with a value of its kind"""
    if missing := [key for key in KEYS if key not in plan]:
        fail(f"missing keys: {', '.join(missing)}", actual=sorted(map(str, plan)))
    if not as_text(plan["name"], "name").strip():
        fail("the experiment has an empty name", hint="the assignment hashes it, and the log is found by it")
    for key, expected in (("unit", "passenger"), ("metric", "cost")):
        if plan[key] != expected:
            fail(f"{key} of this experiment", expected=expected, actual=plan[key])
    for key, value in (("alpha", 0.05), ("power", 0.8)):
        if not math.isclose(number(plan, key), value):
            fail(key, expected=value, actual=plan[key])


@question.check(points=1)
def shares_are_shares(plan: dict[str, Any]) -> None:
    """v1 is the control, v2 is on trial, and their shares add up to 1"""
    versions = as_dict(plan.get("versions"), "versions")
    if list(versions) != ["v1", "v2"]:
        fail("the versions, control first", expected=["v1", "v2"], actual=list(versions))
    shares = [as_number(share, f"the share of {name}") for name, share in versions.items()]
    if not all(0 < share < 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        fail("the shares are between 0 and 1, and add up to 1", actual=versions)


@question.check(points=1)
def the_effect_pays_for_the_weather(plan: dict[str, Any]) -> None:
    """the smallest effect is what v2 must save to pay for its weather"""
    if not math.isclose(number(plan, "smallest_effect"), EFFECT, rel_tol=0.02):
        fail(
            "smallest_effect",
            expected="what the weather costs per day, divided by the passengers per day",
            actual=plan["smallest_effect"],
        )


### BEGIN HIDDEN TESTS
def needed_days(share: float) -> float:
    """How many days the company's experiment needs when v2 has this share."""
    deviation = experiments.last_month()["cost"].std()
    z = norm.ppf(1 - experiments.COMPANY.alpha / 2) + norm.ppf(experiments.COMPANY.power)
    return float(z**2 * deviation**2 / EFFECT**2 / (share * (1 - share)) / experiments.COMPANY.passengers)


@question.check(
    points=2, hidden=True, hint="the formula above gives passengers; divide by those of a day; round up to whole weeks"
)
def days_are_as_few_as_the_power_allows(plan: dict[str, Any]) -> None:
    """as many whole weeks as the power needs, and no more"""
    days = as_whole_number(plan.get("days"), "days")
    share = as_number(as_dict(plan.get("versions"), "versions").get("v2"), "the share of v2")
    if not 0 < share < 1:
        fail("the share of v2", expected="between 0 and 1", actual=share)
    needed = needed_days(share)
    weeks = {7 * math.ceil(needed * slack / 7) for slack in (0.97, 1.0, 1.03)}  # another estimate of the deviation
    if days not in weeks:
        fail("days", expected=f"{min(weeks)} ({needed:.1f} in whole weeks)", actual=days)


@question.check(points=1, hidden=True, hint="half a percentage point is 0.005; outcomes are known within a week")
def the_rest_is_as_agreed(plan: dict[str, Any]) -> None:
    """the guardrail and the time until outcomes are known are as agreed"""
    margin = as_number(as_dict(plan.get("guardrails"), "guardrails").get("complained"), "guardrails: complained")
    if not math.isclose(margin, experiments.COMPANY.complaint_margin, rel_tol=0.01):
        fail("guardrails: complained", expected=experiments.COMPANY.complaint_margin, actual=margin)
    if as_whole_number(plan.get("outcome_after_days"), "outcome_after_days") != experiments.COMPANY.outcome_after_days:
        fail("outcome_after_days", expected=experiments.COMPANY.outcome_after_days, actual=plan["outcome_after_days"])


### END HIDDEN TESTS
