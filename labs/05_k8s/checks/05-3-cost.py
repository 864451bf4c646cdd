"""Do the functions add up what an option costs per month, and find the cheapest that can carry the load?"""

from course.checks import Module, Question, expect, fixture, module

question = Question("What it costs", points=4)
SMALL = {"fixed": 0, "unit": 25, "capacity": 100, "least": 1, "most": 1, "hours": 2, "availability": 0.99}
LARGE = {"fixed": 75, "unit": 40, "capacity": 100, "least": 3, "most": 9, "hours": 10, "availability": 0.9995}
QUIET = {"requests_per_second": 0.1, "value": 0.5, "hour": 50}


@fixture
def cost() -> Module:
    """The shipped module, called in a process of its own."""
    return module("cost.py")


@question.check(points=1)
def all_parts_are_added(cost: Module) -> None:
    """fixed costs, machines, people and unanswered requests are added up"""
    expect(cost.monthly(SMALL, {**QUIET, "value": 0}), "monthly(), where a request is worth nothing,").is_close(
        125.0, abs=0.01
    )
    expect(cost.monthly(LARGE, {**QUIET, "value": 0}), "monthly() of three machines").is_close(695.0, abs=0.01)
    said = cost.monthly(SMALL, QUIET)
    expect(said, "monthly(), where 1 % of 259,200 requests are worth 0.50 each,").is_close(125 + 1296.0, abs=0.01)


@question.check(points=1)
def the_cheapest_is_found(cost: Module) -> None:
    """the cheapest option is found, and it is not always the same"""
    options = {"small": SMALL, "large": LARGE}
    expect(cost.cheapest(options, {**QUIET, "value": 0.01}), "cheapest(), where a request is worth a cent,").equals(
        "small"
    )
    expect(cost.cheapest(options, QUIET), "cheapest(), where a request is worth 0.50,").equals("large")
