"""Do the tests of `is_late` pass on correct code, and catch code that is broken?"""

from course.checks import Mutation, Question, original, tests, variant

reference = original("given/features.py", digest="a02669e11b46463a")
other = original("given/other_features.py", digest="f9b7bd23a86aadba")
question = Question("Tests of what is late", points=3)
study = Mutation(
    question,
    tests("test_late.py"),
    {"given/features.py": {"features.py": reference}, "given/other_features.py": {"features.py": other}},
    given={"given/features.py": reference, "given/other_features.py": other},
)
study.catches(
    "more than 15 minutes, instead of 15 or more, is caught",
    {"features.py": variant(reference, (">= minutes", "> minutes"))},
    points=1,
    hint="try a delay that is exactly at the edge",
)
study.catches(
    "a flight that never arrived and counts as punctual is caught",
    {"features.py": variant(reference, ('return late.mask(flights["arr_delay"].isna())', "return late"))},
    points=1,
    hint="what does is_late say of a flight without arr_delay?",
)
### BEGIN HIDDEN TESTS
nullable = '(flights["arr_delay"].astype("Float64") >= minutes).astype("boolean")'
masked = """values = flights["arr_delay"].to_numpy(dtype=float, na_value=float("nan"))
    masked = pd.arrays.BooleanArray(values > minutes - 1e-9, values != values)
    return pd.Series(masked, index=flights.index)"""
late = """late = (flights["arr_delay"] >= minutes).astype("boolean")
    return late.mask(flights["arr_delay"].isna())"""
third = {"features.py": variant(reference, (late, f"return {nullable}"))}
study.accepts("a third correct version", third, hidden=True)
study.accepts("a fourth correct version", {"features.py": variant(reference, (late, masked))}, hidden=True)
study.catches(
    "a delay that is read wrongly away from the edge is caught",
    [
        {"features.py": variant(reference, ('flights["arr_delay"] >=', 'flights["arr_delay"].abs() >='))},
        {"features.py": variant(reference, (">= minutes", ">= 15"))},
    ],
    points=1,
    hidden=True,
    hint="read the promises again: is every argument, and every kind of delay, in one of your tests?",
)
### END HIDDEN TESTS
