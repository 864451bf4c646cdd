"""Which HTTP status fits each of ten situations?"""

from course.checks import Question, answers_in, fail, fixture

question = Question("Which status?", points=4)
FIRST_DIGIT = {"fine": 2, "broken off": 4, "nowhere": 4, "wrong method": 4, "too large": 4, "a form": 4}
FIRST_DIGIT |= {"no distance": 4, "impatient": 4, "a bug": 5, "no model": 5}


@fixture
def statuses() -> dict[str, int]:
    """The shipped statuses, whole numbers all."""
    statuses = answers_in("statuses")
    for name in FIRST_DIGIT:
        if name not in statuses:
            fail(f"there is no status for {name!r}", hint="the comments list all ten, with what they mean")
        if isinstance(statuses[name], bool) or not isinstance(statuses[name], int):
            fail(f"the status for {name!r} is no whole number", actual=statuses[name])
    return statuses


@question.check(points=2)
def first_digit_says_whose_turn_it_is(statuses: dict[str, int]) -> None:
    """every situation has a status that says whose turn it is"""
    for name, status in statuses.items():
        if name in FIRST_DIGIT and status // 100 != FIRST_DIGIT[name]:
            whose = {2: "all is well", 4: "the caller must change something", 5: "the server has a fault"}
            fail(f"{name!r} has a status of the wrong kind", expected=whose[FIRST_DIGIT[name]], actual=status)
