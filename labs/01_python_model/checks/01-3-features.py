"""Do the tests of the weather features pass on correct code, and catch code that leaks the future or loses flights?"""

from course.checks import Mutation, Question, original, tests, variant
from course.checks.python.suites import Text

reference = original("given/features.py", digest="a02669e11b46463a")
other = original("given/other_features.py", digest="f9b7bd23a86aadba")
question = Question("Tests of the weather and the leak", points=7)
study = Mutation(
    question,
    tests("test_features.py"),
    {"given/features.py": {"features.py": reference}, "given/other_features.py": {"features.py": other}},
    points=1,
    given={"given/features.py": reference, "given/other_features.py": other},
)


def broken(*changes: tuple[str, str]) -> dict[str, Text]:
    """The given features.py with some passages replaced."""
    return {"features.py": variant(reference, *changes)}


everything = "return add_weather(add_calendar(flights), weather, horizon)[FEATURES]"
joined = "return flights.assign(**{column: found[column].to_numpy() for column in WEATHER})"
study.catches(
    "the weather of another airport is caught",
    [
        broken((', on="moment", by="origin")', ', on="moment")')),
        broken(('asked = flights[["origin"]]', 'asked = flights[["dest"]].set_axis(["origin"], axis=1)')),
    ],
    points=1,
    hint="give each airport a temperature of its own",
)
study.catches(
    "a flight dropped because it has no weather is caught",
    broken((joined, f'{joined}.dropna(subset=WEATHER, how="all")')),
    points=1,
    hint="what if a flight leaves before the first observation, or its airport has none?",
)
study.catches(
    "the delay among the features is caught",
    broken((everything, everything.replace("[FEATURES]", ""))),
    points=1,
    hint="which columns may a model see, and no others?",
)
