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
### BEGIN HIDDEN TESTS
local = 'local = flights["planned_departure"].dt.tz_convert(ZONE)'
iso = ("local.dt.day_of_week", "local.dt.isocalendar().day - 1")
texts = (
    "local.dt.hour * 60 + local.dt.minute",
    'local.dt.strftime("%H").astype(int) * 60 + local.dt.strftime("%M").astype(int)',
)
study.accepts("a third correct version", broken(iso, texts), hidden=True)
study.accepts(
    "a fourth correct version",
    {
        "features.py": variant(
            other, ("moment.isoweekday() - 1 for", "moment.weekday() for"), ("flights.copy()", "flights[list(flights)]")
        )
    },
    hidden=True,
)
study.catches(
    "a week that begins on another day, or a mistake around midnight, is caught",
    [
        broken(("local.dt.day_of_week", "(local.dt.dayofweek + 1) % 7")),
        broken(("local.dt.day_of_week", '(local - pd.Timedelta("3h")).dt.dayofweek')),
        broken(("local.dt.hour * 60 + local.dt.minute", "(local.dt.hour * 60 + local.dt.minute).replace(0, 1440)")),
    ],
    points=1,
    hidden=True,
    hint="try each day of a week that you know; and which day, and which minute, are 00:00 and 00:05?",
)
study.catches(
    "the clock of another time zone is caught",
    [
        broken((local, 'local = flights["planned_departure"]')),
        broken((local, 'local = flights["planned_departure"].dt.tz_convert("UTC")')),
    ],
    points=1,
    hidden=True,
    hint="tell the same moment in New York's time and in another zone's: what must be the same?",
)
study.catches(
    "flights that lose their place or their label are caught",
    [
        broken(("    local =", '    flights = flights.sort_values("planned_departure")\n    local =')),
        broken(("+ local.dt.minute,\n    )", "+ local.dt.minute,\n    ).reset_index(drop=True)")),
    ],
    points=1,
    hidden=True,
    hint="let flights come in an order, and with an index, that nobody would get by accident",
)
### END HIDDEN TESTS
