"""Which recording is which?."""

from course.checks import Question, answer, fail

question = Question("Which recording is which?", points=4)
NAMES = ("nothing", "readiness", "maxUnavailable", "preStop")


def told() -> dict:
    """What was said of each recording."""
    found = answer("missing")
    if not isinstance(found, dict) or set(found) != set("abcd"):
        fail('answers["missing"] must say something of each recording', expected="a, b, c and d", actual=found)
    if sorted(map(str, found.values())) != sorted(NAMES):
        said = ", ".join(map(str, found.values()))
        fail("each of the four must be missing in one recording", expected=", ".join(NAMES), actual=said)
    return found


@question.check(points=1)
def all_safeguards():
    """each is named once, and the recording in which nothing was missing is right"""
    if told()["b"] != "nothing":
        hint = "lost(records) tells it: with all safeguards, how many should be lost?"
        fail("requests were lost in the recording in which you say that nothing was missing", hint=hint)
