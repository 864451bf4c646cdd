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
### BEGIN HIDDEN TESTS
merging = """found = pd.merge_asof(asked.sort_values("moment"), seen.sort_values("moment"), on="moment", by="origin")
    found = found.sort_values("row")
    """
by_hand = """known = {place: rows.sort_values("moment") for place, rows in seen.groupby("origin")}
    values = []
    for origin, moment in zip(asked["origin"], asked["moment"]):
        rows = known.get(origin)
        last = -1 if rows is None else rows["moment"].searchsorted(moment, side="right") - 1
        values.append([float("nan")] * len(WEATHER) if last < 0 else rows[WEATHER].iloc[last].tolist())
    found = pd.DataFrame(values, columns=WEATHER, index=flights.index, dtype=float)
    """
study.accepts("a third correct version", broken((merging, by_hand)), hidden=True)
study.accepts(
    "a fourth correct version",
    {
        "features.py": variant(
            other,
            (
                "return add_calendar(add_weather(flights, weather, horizon)).loc[:, FEATURES]",
                "plan = flights[[c for c in FEATURES[:4]] + ['planned_departure']]\n"
                "    weather = weather.drop_duplicates().sort_values('observed_at')\n"
                "    return add_weather(add_calendar(plan), weather, horizon).reindex(columns=FEATURES)",
            ),
        )
    },
    hidden=True,
)
doubling = """seen = seen.assign(observed=seen["moment"])
    last = seen[["origin", "moment", "observed"]].sort_values("moment")
    found = pd.merge_asof(asked.sort_values("moment"), last, on="moment", by="origin")
    found = found.merge(seen.drop(columns="moment"), on=["origin", "observed"], how="left").sort_values("row")
    flights = flights.iloc[found["row"]]
    """
study.catches(
    "weather from the wrong moment is caught",
    [
        broken((' - pd.Timedelta(horizon)).dt.tz_convert("UTC")', ').dt.tz_convert("UTC")')),
        broken((', by="origin")', ', by="origin", direction="nearest")')),
    ],
    points=1,
    hidden=True,
    hint="which observations were not yet made when the prediction is?",
)
calendar = 'local = flights["planned_departure"].dt.tz_convert(ZONE)'
actual = """local = flights["planned_departure"].dt.tz_convert(ZONE)
    if "dep_delay" in flights:
        local = local + pd.to_timedelta(flights["dep_delay"].astype(float).fillna(0), unit="min")"""
flown = """if "cancelled" in flights:
        flights = flights[~flights["cancelled"].astype(bool)]
    return"""
study.catches(
    "a feature that knows the outcome is caught",
    [broken((calendar, actual)), broken((everything, everything.replace("return", flown)))],
    points=1,
    hidden=True,
    hint="rewrite what happened to the flights: what may change in their features?",
)
study.catches(
    "flights that come out twice, or lose their place or their label, are caught",
    [
        broken((merging, doubling)),
        broken(('    found = found.sort_values("row")\n', "")),
        broken((everything, f"{everything}.reset_index(drop=True)")),
    ],
    points=1,
    hidden=True,
    hint="stations sometimes report twice; let the later flight come first, and give the flights labels",
)
### END HIDDEN TESTS
