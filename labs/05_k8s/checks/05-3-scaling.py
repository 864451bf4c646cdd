"""What the autoscaler computes."""

from course.checks import Question, expect, module

question = Question("What the autoscaler computes", points=5)
scaling = module("scaling.py")


def expect_wish(wanted, pods, usage, target=60, least=1, most=20, hint=None):
    """The wish is as expected."""
    said = scaling.wish(pods, usage, target, least, most)
    what = f"wish() with {pods} pods at {usage} %, target {target} %, from {least} to {most}"
    expect(said, what).equals(wanted, hint=hint)


@question.check(points=1)
def busy_pods_get_help():
    """it goes up and down with how busy the pods are"""
    expect_wish(5, 3, 90)
    expect_wish(8, 4, 120)
    expect_wish(2, 4, 30)
    expect_wish(3, 4, 40, hint="a part of a pod counts as a whole pod")


@question.check(points=1, needs=busy_pods_get_help)
def bounds_hold():
    """it stays within its bounds"""
    expect_wish(6, 4, 240, least=2, most=6)
    expect_wish(2, 4, 1, least=2, most=6)


@question.check(points=1)
def a_larger_wish_is_remembered():
    """the largest wish of the last five minutes is decided"""
    wishes = [(0, 2), (15, 6), (30, 4), (45, 3)]
    expect(scaling.decision(wishes, 45, 300), "decision() 30 seconds after a wish for 6").equals(6)
    expect(scaling.decision([(600, 3), (15, 6)], 600, 300), "decision() ten minutes after a wish for 6").equals(3)
