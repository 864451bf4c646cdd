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
