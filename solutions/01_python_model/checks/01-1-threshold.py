"""Does the threshold follow from the costs of both errors, and what do the two simplest rules cost?"""

from course import flights
from course.checks import Question, answer, expect, fail
from course.checks.files.documents import amount

question = Question("When to warn", points=4)


def number(key: str) -> float:
    """An answer that is a number, perhaps written with its currency."""
    return amount(answer(key), f"answers[{key!r}]")


@question.check()
def both_errors_have_a_cost() -> None:
    """both errors have a cost above zero"""
    for key in ("cost_missed", "cost_false"):
        hint = "an error that costs nothing is no error: choose an amount above 0"
        expect(number(key) > 0).is_true(f"answers[{key!r}] is {number(key):g}", hint=hint)


@question.check(points=2, needs=both_errors_have_a_cost)
def both_choices_cost_the_same_at_the_threshold() -> None:
    """at the threshold, warning and not warning cost the same"""
    p = number("threshold")
    expect(p, "the threshold").is_between(0, 1, hint="it is a probability")
    missed, false = number("cost_missed"), number("cost_false")
    silent, warned = p * missed, (1 - p) * false
    if abs(p - false / (missed + false)) > 0.00501:  # two decimals are fine
        fail(
            f"at a probability of {p:.4g}, they do not cost the same",
            expected="equal costs",
            actual=f"{silent:.2f} euros if you do not warn, {warned:.2f} if you do",
            hint="which error do you risk by warning, and with what probability?",
        )


@question.check(hint="set both in answers; whether they are right is checked when your work is graded")
def both_simple_rules_have_a_cost() -> None:
    """what it costs never to warn, and always to warn, is there"""
    for key in ("cost_never", "cost_always"):
        expect(number(key) > 0).is_true(f"answers[{key!r}] is {number(key):g}")


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    needs=both_errors_have_a_cost,
    hidden=True,
    hint="of 1,000 flights that arrive, how many are late, and what does each cost you?",
)
def never_warning_misses_every_late_flight() -> None:
    """never warning costs as much as all the late flights of 1,000"""
    late_rate = float(flights.history(flights.TODAY)["late"].mean())
    expect(number("cost_never")).is_close(1000 * late_rate * number("cost_missed"), rel=0.005)


@question.check(
    points=1,
    needs=both_errors_have_a_cost,
    hidden=True,
    hint="you warn about all of 1,000 flights that arrive: how many of these warnings are false?",
)
def always_warning_is_wrong_of_every_other_flight() -> None:
    """always warning costs as much as all the flights of 1,000 that are on time"""
    late_rate = float(flights.history(flights.TODAY)["late"].mean())
    expect(number("cost_always")).is_close(1000 * (1 - late_rate) * number("cost_false"), rel=0.005)


### END HIDDEN TESTS
