"""Do the functions compute what the autoscaler of Kubernetes would decide?"""

from course.checks import Module, Question, expect, fixture, module

question = Question("What the autoscaler computes", points=5)


@fixture
def scaling() -> Module:
    """The shipped module, called in a process of its own."""
    return module("scaling.py")


def expect_wish(
    scaling: Module,
    wanted: int,
    pods: int,
    usage: int,
    target: int = 60,
    least: int = 1,
    most: int = 20,
    hint: str | None = None,
) -> None:
    """The wish is as expected."""
    said = scaling.wish(pods, usage, target, least, most)
    what = f"wish() with {pods} pods at {usage} %, target {target} %, from {least} to {most}"
    expect(said, what).equals(wanted, hint=hint)


@question.check(points=1)
def busy_pods_get_help(scaling: Module) -> None:
    """it goes up and down with how busy the pods are"""
    expect_wish(scaling, 5, 3, 90)
    expect_wish(scaling, 8, 4, 120)
    expect_wish(scaling, 2, 4, 30)
    expect_wish(scaling, 3, 4, 40, hint="a part of a pod counts as a whole pod")


@question.check(points=1)
def bounds_hold(scaling: Module) -> None:
    """it stays within its bounds"""
    expect_wish(scaling, 6, 4, 240, least=2, most=6)
    expect_wish(scaling, 2, 4, 1, least=2, most=6)


@question.check(points=1)
def a_larger_wish_is_remembered(scaling: Module) -> None:
    """the largest wish of the last five minutes is decided"""
    wishes = [(0, 2), (15, 6), (30, 4), (45, 3)]
    expect(scaling.decision(wishes, 45, 300), "decision() 30 seconds after a wish for 6").equals(6)
    expect(scaling.decision([(600, 3), (15, 6)], 600, 300), "decision() ten minutes after a wish for 6").equals(3)
