"""Which safeguard was missing in each of four recorded updates?"""

from course.checks import Question, answer, fail, fixture

question = Question("Which recording is which?", points=4)
NAMES = ("nothing", "readiness", "maxUnavailable", "preStop")


@fixture
def missing() -> dict[str, str]:
    """What was said to be missing in each recording."""
    missing = answer("missing")
    if not isinstance(missing, dict) or set(missing) != set("abcd"):
        fail('answers["missing"] must say something of each recording', expected="a, b, c and d", actual=missing)
    if sorted(map(str, missing.values())) != sorted(NAMES):
        said = ", ".join(map(str, missing.values()))
        fail("each of the four must be missing in one recording", expected=", ".join(NAMES), actual=said)
    return missing


@question.check(points=1)
def all_safeguards(missing: dict[str, str]) -> None:
    """each is named once, and the recording in which nothing was missing is right"""
    if missing["b"] != "nothing":
        hint = "lost(records) tells it: with all safeguards, how many should be lost?"
        fail("requests were lost in the recording in which you say that nothing was missing", hint=hint)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    needs=all_safeguards,
    hint="if all old pods may go at once, who answers until the first new one is ready?",
)
def silence(missing: dict[str, str]) -> None:
    """the recording without maxUnavailable is right"""
    if missing["d"] != "maxUnavailable":
        fail("it is another one")


@question.check(
    points=2,
    hidden=True,
    needs=all_safeguards,
    hint="is a request lost because a pod was asked before it could answer, or after it had ended?",
)
def too_early_and_too_late(missing: dict[str, str]) -> None:
    """the recordings without readiness and without preStop are right"""
    if (missing["a"], missing["c"]) != ("readiness", "preStop"):
        fail("they are others")


### END HIDDEN TESTS
