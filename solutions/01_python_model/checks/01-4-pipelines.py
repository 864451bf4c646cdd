"""Three candidates."""

import numpy as np

from course import flights
from course.checks import Question, expect, fail, recipes
from course.checks.model import probability_metrics as measure

question = Question("Three candidates", points=5)
made = recipes("pipelines.py")
names = ("constant", "logistic_regression", "gradient_boosting")
plan = flights.planned("2013-03-01", "2013-07-01")
plan_late = flights.labels(plan)
given = plan[plan_late.notna()].sample(12_000, random_state=3).sort_index()
given_late = plan_late[given.index].astype(bool)
later = plan[plan_late.notna() & (plan["planned_departure"] >= "2013-06-20")].sample(2_000, random_state=4)
few = given.iloc[::6]


@question.check(points=1)
def each_candidate_predicts():
    """each of the three can be fitted, and predicts planned flights"""
    found = made.names()
    missing = [name for name in names if name not in found]
    if missing:
        fail(
            f"candidates() lacks {', '.join(missing)}",
            actual=", ".join(found) or "nothing",
            hint="the names are the keys of the dictionary",
        )
    for name in names:
        made.fit_predict(name, few, given_late[few.index], later)


@question.check(points=1, needs=each_candidate_predicts)
def same_seed_same_model():
    """the same seed gives the same model"""
    for name in names[1:]:
        first, second = (made.fit_predict(name, given, given_late, later, seed=7).probability for _ in range(2))
        furthest = int(np.argmax(np.abs(first - second)))
        if abs(first[furthest] - second[furthest]) > 1e-6:
            fail(
                f"{name}, fitted twice with seed=7, gives one flight two probabilities",
                expected=f"{first[furthest]:.4f} twice",
                actual=f"{first[furthest]:.4f} and {second[furthest]:.4f}",
                hint="which step leaves something to chance? It takes a random_state",
            )


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="what does your encoder do with a category that it has not met?",
)
def a_new_airport_is_no_accident():
    """an airport or an airline that is new gets a probability, too"""
    new = later.head(50).copy()
    new.loc[new.index[:25], "dest"] = "XYZ"
    new.loc[new.index[25:], "carrier"] = "ZZ"
    for name in names:
        made.fit_predict(name, few, given_late[few.index], new)


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="a model that knows nothing gives everyone the rate of the flights that it was fitted on",
)
def constant_is_the_rate():
    """the constant gives every flight the late rate of the flights it was fitted on"""
    half_late = given.loc[given[given_late].index[:1500].union(given[~given_late].index[:1500])]
    for rows in (few, half_late):
        p = made.fit_predict("constant", rows, given_late[rows.index], later).probability
        expect(p).is_close(np.full(len(p), given_late[rows.index].mean()), abs=0.005)


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="all that is learned from data, a scaler's mean too, is learned in the pipeline's fit, from what it is given",
)
def learns_from_what_it_is_given():
    """a model learns from the flights it is given, and from no others"""
    for name in names[1:]:
        upside_down = made.fit_predict(name, few, ~given_late[few.index], later)
        expect(upside_down.rows_seen).is_at_most(len(few))
        expect(measure.roc_auc(plan_late[later.index].astype(bool), upside_down.probability)).is_at_most(0.5)


### END HIDDEN TESTS
