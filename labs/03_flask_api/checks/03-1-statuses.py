"""Which HTTP status fits each of ten situations?"""

from typing import Any

from course.checks import Question, answers_in, fail, fixture

question = Question("Which status?", points=4)
FIRST_DIGIT = {"fine": 2, "broken off": 4, "nowhere": 4, "wrong method": 4, "too large": 4, "a form": 4}
FIRST_DIGIT |= {"no distance": 4, "impatient": 4, "a bug": 5, "no model": 5}


@fixture
def statuses() -> dict[str, Any]:
    """The shipped statuses, by situation."""
    statuses: dict[str, Any] = answers_in("statuses")
    return statuses


def is_status(value: Any) -> bool:
    """Whether it is a whole number that can be a status."""
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


@question.check(points=2)
def first_digit_says_whose_turn_it_is(statuses: dict[str, Any]) -> None:
    """every situation has a status that says whose turn it is"""
    for name, digit in FIRST_DIGIT.items():
        if name not in statuses:
            fail(f"there is no status for {name!r}", hint="the comments list all ten, with what they mean")
        if not is_status(statuses[name]):
            fail(f"the status for {name!r} must be a whole number, such as 200", actual=repr(statuses[name]))
        if statuses[name] // 100 != digit:
            whose = {2: "all is well", 4: "the caller must change something", 5: "the server has a fault"}
            wanted = f"{digit}xx: {whose[digit]}"
            fail(f"{name!r} has a status of the wrong kind", expected=wanted, actual=statuses[name])
