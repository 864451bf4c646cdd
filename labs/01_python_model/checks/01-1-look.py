"""Are the late rate and the worst month those of the flights so far?"""

from typing import Any

from course import flights
from course.checks import Question, answer, expect
from course.checks.files.documents import amount

question = Question("Two numbers", points=3)


@question.check(points=1)
def late_rate_is_plausible() -> None:
    """the late rate is a plausible share"""
    hint = "a share lies between 0 and 1, and the first figure shows roughly where"
    expect(amount(answer("late_rate"), "late_rate"), "late_rate").is_between(0.15, 0.32, hint=hint)


@question.check()
def worst_month_is_a_month() -> None:
    """the worst month is one of January to November"""
    hint = "ship its number, such as 3 for March"
    shipped = answer("worst_month")
    expect(month(shipped) in range(1, 12)).is_true(f"{shipped!r} is none of them", hint=hint)


def month(value: Any) -> int:
    """The number of a month, also when it came as text or by its name; 0 if it is none."""
    names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    text = str(value).strip().lower()
    if text[:3] in names:
        return names.index(text[:3]) + 1
    number = text.removesuffix(".0")
    return int(number) if number.isdecimal() and len(number) <= 2 else 0
