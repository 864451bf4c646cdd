"""Do the tests of the calendar features pass on correct code, and catch code that is broken?"""

from course.checks import Mutation, Question, original, tests, variant
from course.checks.python.suites import Text

reference = original("given/features.py", digest="a02669e11b46463a")
other = original("given/other_features.py", digest="f9b7bd23a86aadba")
question = Question("Tests of the calendar", points=7)
study = Mutation(
    question,
    tests("test_calendar.py"),
    {"given/features.py": {"features.py": reference}, "given/other_features.py": {"features.py": other}},
    points=1,
    given={"given/features.py": reference, "given/other_features.py": other},
)


def broken(*changes: tuple[str, str]) -> dict[str, Text]:
    """The given features.py with some passages replaced."""
    return {"features.py": variant(reference, *changes)}


study.catches(
    "a day of week that is off by one is caught",
    broken(("local.dt.day_of_week", "local.dt.dayofweek + 1")),
    points=1,
    hint="of which date do you know the day of the week, from a calendar?",
)
study.catches(
    "17:30 as 1730 minutes is caught",
    broken(("local.dt.hour * 60", "local.dt.hour * 100")),
    points=1,
    hint="how many minutes are there from midnight to half past five in the afternoon?",
)
study.catches(
    "a function that changes its caller's table is caught",
    broken(("ZONE)\n    return", 'ZONE)\n    flights["month"] = local.dt.month\n    return')),
    points=1,
    hint="compare the table that went in with a copy made before",
)
