"""Which status?."""

from course.checks import Question, answer, fail

question = Question("Which status?", points=4)
first_digit = {"fine": 2, "broken off": 4, "nowhere": 4, "wrong method": 4, "too large": 4, "a form": 4}
first_digit |= {"no distance": 4, "impatient": 4, "a bug": 5, "no model": 5}


def statuses() -> dict:
    """The shipped statuses, whole numbers all."""
    found = answer("statuses")
    if not isinstance(found, dict):
        fail('answers["statuses"] is no dictionary', actual=found)
    for name in first_digit:
        if name not in found:
            fail(f"there is no status for {name!r}", hint="the comments list all ten, with what they mean")
        if isinstance(found[name], bool) or not isinstance(found[name], int):
            fail(f"the status for {name!r} is no whole number", actual=found[name])
    return found


@question.check(points=2)
def first_digit_says_whose_turn_it_is():
    """every situation has a status that says whose turn it is"""
    for name, status in statuses().items():
        if name in first_digit and status // 100 != first_digit[name]:
            whose = {2: "all is well", 4: "the caller must change something", 5: "the server has a fault"}
            fail(f"{name!r} has a status of the wrong kind", expected=whose[first_digit[name]], actual=status)


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    needs=first_digit_says_whose_turn_it_is,
    hint="400 says that something is wrong; nearly always there is one that says what",
)
def status_says_what_is_the_matter():
    """each status says what is the matter"""
    fits = {"fine": {200}, "broken off": {400}, "nowhere": {404}, "wrong method": {405}, "too large": {413}}
    fits |= {"a form": {415}, "no distance": {400, 422}, "impatient": {429}, "a bug": {500}, "no model": {503}}
    found = statuses()
    wrong = [name for name, right in fits.items() if found[name] not in right]
    if wrong:
        fail(f"another status fits {wrong[0]!r} better")


### END HIDDEN TESTS
