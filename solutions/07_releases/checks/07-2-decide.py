"""Does the shipped decision keep its promises over hundreds of simulated experiments?"""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from course import experiments
from course.checks import Module, Question, fail, fixture, module
from course.experiments import Plan, World

question = Question("The decision", points=12)
DECISIONS = ("ship", "keep", "wait", "invalid")
BETTER = World(heed=1.0, warned_late=(0.30, 0.67), complaints=(0.01, 0.01))
SAME = BETTER.without_difference()


@fixture
def decide() -> Module:
    """The shipped module, called in a process of its own."""
    return module("decide.py", timeout=20)


def last_day(plan: Plan) -> int:
    """The evening on which all outcomes are known."""
    return plan.days - 1 + plan.outcome_after_days


def decision(decide: Module, world: World, plan: Plan, seed: int, evenings: Iterable[int] = ()) -> str:
    """What becomes of one experiment when somebody asks on these evenings, and on the last one."""
    log, last = experiments.run(world, plan, seed), last_day(plan)
    for today in [*evenings, last]:
        made = decide.decide(plan.as_experiment(), experiments.as_of(log, today), today)
        if not isinstance(made, dict) or made.get("decision") not in DECISIONS:
            fail("decide() returns no decision", expected=f'{{"decision": {" | ".join(DECISIONS)}, …}}', actual=made)
        if made["decision"] != "wait":
            return str(made["decision"])
    return fail(
        f"decide() still waits on day {last}, when all outcomes are known",
        expected="ship, keep or invalid",
        actual=made,
    )


def must_decide(decide: Module, expected: str, world: World, plan: Plan, what: str, seed: int = 1) -> None:
    """Fail unless an experiment, asked about on its last evening, ends like this."""
    made = decision(decide, world, plan, seed)
    if made != expected:
        fail(what, expected=expected, actual=made)


@question.check(points=1)
def a_clear_winner_is_shipped(decide: Module) -> None:
    """a version that saves every passenger two euros is shipped on the last day"""
    must_decide(decide, "ship", BETTER, Plan(passengers=150), "the second version is far better, and all is known")


@question.check(points=1)
def a_draw_is_kept(decide: Module) -> None:
    """where the versions are the same, the control is kept"""
    must_decide(decide, "keep", SAME, Plan(), "the versions are the same", seed=3)


@question.check(points=1)
def a_mismatch_is_invalid(decide: Module) -> None:
    """an experiment that lost a third of one version's passengers is invalid"""
    broken = dataclasses.replace(BETTER, lost=(0.0, 0.34))
    must_decide(decide, "invalid", broken, Plan(), "a third of the second version's passengers is missing")


### BEGIN HIDDEN TESTS
LOOKS = range(6, 88, 3)  # evenings on which somebody asks
LONG = Plan(days=84, passengers=12)


def allowed(share: float, count: int) -> int:
    """How many of so many experiments may go wrong, if a share of them may: three standard errors more."""
    return int(count * share + 3 * (count * share * (1 - share)) ** 0.5)


def decisions(
    decide: Module, world: World, plan: Plan, count: int, *, first: int, evenings: Iterable[int] = ()
) -> Counter[str]:
    """How often each decision was made."""
    return Counter(decision(decide, world, plan, seed, evenings) for seed in range(first, first + count))


def must_ship_at_most(made: Counter[str], share: float, what: str) -> None:
    """Fail where too many experiments without a reason to ship were shipped."""
    if made["ship"] > allowed(share, made.total()):
        fail(f"{what}: shipped", expected=f"at most about {share:.0%} of {made.total()}", actual=made["ship"])


def must_not_be_invalid(made: Counter[str], what: str) -> None:
    """Fail where sound experiments were thrown away."""
    if made["invalid"] > 0.1 * made.total():
        fail(f"{what}: called invalid", expected="hardly any", actual=f"{made['invalid']} of {made.total()}")


@question.check(
    points=2,
    hidden=True,
    needs=a_clear_winner_is_shipped,  # never to ship is worth something only in who can ship
    hint="somebody asks every third evening, and ships at the first yes: fix the day, or use a method for many looks",
)
def looking_often_ships_nothing(decide: Module) -> None:
    """without a difference, daily looks ship at most a share alpha"""
    made = decisions(decide, SAME, LONG, 120, first=1000, evenings=LOOKS)
    must_ship_at_most(made, LONG.alpha, "experiments without a difference, asked about often")
    must_not_be_invalid(made, "sound experiments, asked about often")


@question.check(
    points=2, hidden=True, hint="with the smallest effect, the share `power` of experiments ships; use all passengers"
)
def the_effect_is_found(decide: Module) -> None:
    """with the smallest effect, at least a share `power` is shipped"""
    named = Plan(versions=("paper", "app"))
    made = decisions(decide, BETTER, named, 40, first=2000)
    missed = made.total() - made["ship"]
    if missed > allowed(1 - named.power, made.total()):
        fail("experiments with the smallest effect: shipped", expected=f"{named.power:.0%} or more", actual=dict(made))


@question.check(
    points=2,
    hidden=True,
    needs=a_clear_winner_is_shipped,
    hint="where days were assigned, there are as many observations as days",
)
def days_are_the_unit(decide: Module) -> None:
    """where days were assigned, the promise holds, and a great effect is found"""
    plan = Plan(unit="day", days=56, passengers=40)
    must_ship_at_most(decisions(decide, SAME, plan, 100, first=3000), plan.alpha, "days assigned, no difference")
    great = dataclasses.replace(BETTER, warned_late=(0.1, 0.95), days_apart=0.4)
    made = decisions(decide, great, plan, 15, first=3500)
    if made["ship"] < 10:
        fail("days assigned, a great difference: shipped", expected="nearly all of 15", actual=dict(made))


@question.check(
    points=1, hidden=True, hint="compare the shares of complaints with the guardrail, whatever the costs say"
)
def a_guardrail_stops_it(decide: Module) -> None:
    """a version that saves money and makes passengers complain is not shipped"""
    angry = dataclasses.replace(BETTER, complaints=(0.01, 0.10))
    must_ship_at_most(decisions(decide, angry, Plan(), 25, first=4000), 0.02, "complaints grow by nine points")


@question.check(
    points=1,
    hidden=True,
    needs=a_clear_winner_is_shipped,
    hint="count passengers only when every outcome of their age is known, in both versions",
)
def late_outcomes_do_not_count_as_savings(decide: Module) -> None:
    """a version whose costs are known later is not shipped for that"""
    slow = dataclasses.replace(SAME, slow_after=(1, 7))
    made = decisions(decide, slow, Plan(passengers=40), 30, first=5000, evenings=range(3, 34, 3))
    must_ship_at_most(made, Plan().alpha, "the second version's costs are known later")


@question.check(points=1, hidden=True, hint="a passenger who saw both versions belongs to neither")
def double_passengers_are_invalid(decide: Module) -> None:
    """an experiment in which passengers appear in both versions is invalid"""
    both = dataclasses.replace(BETTER, twice=0.02)
    made = decisions(decide, both, Plan(), 8, first=6000)
    if made["invalid"] < made.total():
        fail("2 % of the passengers appear in both versions", expected="invalid", actual=dict(made))


### END HIDDEN TESTS
