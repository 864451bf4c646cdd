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


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="how many machines for 100 requests a second, for 101, for 950?",
)
def machines_are_whole(cost: Module) -> None:
    """there are as many machines as are needed, and none where too many are"""
    for rate, machines in ((100, 3), (300, 3), (301, 4), (899, 9), (900, 9)):
        expect(cost.monthly(LARGE, {**QUIET, "value": 0, "requests_per_second": rate})).is_close(
            75 + 40 * machines + 500, abs=0.01
        )
    expect(cost.monthly(SMALL, {**QUIET, "value": 0, "requests_per_second": 100})).is_close(125, abs=0.01)
    for option, rate in ((SMALL, 101), (LARGE, 901)):
        expect(cost.monthly(option, {**QUIET, "requests_per_second": rate})).equals(None)


@question.check(points=1, hidden=True, hint="an option that cannot do it costs None, not 0")
def what_cannot_be_done_is_not_cheap(cost: Module) -> None:
    """an option that cannot carry the load is never the cheapest"""
    options = {"small": SMALL, "large": LARGE}
    expect(cost.cheapest(options, {**QUIET, "value": 0, "requests_per_second": 500})).equals("large")
    expect(cost.cheapest(options, {**QUIET, "value": 0, "requests_per_second": 5000})).equals(None)
    expect(
        cost.cheapest({"large": LARGE, "free": {**SMALL, "unit": 0, "hours": 0, "availability": 1.0}}, QUIET)
    ).equals("free")


### END HIDDEN TESTS
