"""Can each of the three candidates be fitted, and does it learn only from the flights that it is given?"""

import numpy as np

from course.checks import Question, Recipes, expect, fail, fixture, recipes
from course.checks.model import probability_metrics as measure
from course.checks.model.labelled import Labelled, labelled

question = Question("Three candidates", points=5)
NAMES = ("constant", "logistic_regression", "gradient_boosting")


@fixture
def made() -> Recipes:
    """The shipped module that makes the models."""
    return recipes("pipelines.py")


@fixture
def spring() -> Labelled:
    """The flights of March to June."""
    return labelled("2013-03-01", "2013-07-01")


@fixture
def many(spring: Labelled) -> Labelled:
    """Flights to train on."""
    planned = spring.planned.sample(12_000, random_state=3).sort_index()
    return Labelled(planned, spring.late[planned.index])


@fixture
def few(many: Labelled) -> Labelled:
    """Fewer flights to train on, where a fit is only tried."""
    planned = many.planned.iloc[::6]
    return Labelled(planned, many.late[planned.index])


@fixture
def later(spring: Labelled) -> Labelled:
    """Flights to predict, from the end of June."""
    planned = spring.planned[spring.planned["planned_departure"] >= "2013-06-20"].sample(2_000, random_state=4)
    return Labelled(planned, spring.late[planned.index])


@question.check(points=1)
def each_candidate_predicts(made: Recipes, few: Labelled, later: Labelled) -> None:
    """each of the three can be fitted, and predicts planned flights"""
    names = made.names()
    missing = [name for name in NAMES if name not in names]
    if missing:
        fail(
            f"candidates() lacks {', '.join(missing)}",
            actual=", ".join(names) or "nothing",
            hint="the names are the keys of the dictionary",
        )
    for name in NAMES:
        made.fit_predict(name, few.planned, few.late, later.planned)


@question.check(points=1, needs=each_candidate_predicts)
def same_seed_same_model(made: Recipes, many: Labelled, later: Labelled) -> None:
    """the same seed gives the same model"""
    for name in NAMES[1:]:
        first, second = (
            made.fit_predict(name, many.planned, many.late, later.planned, seed=7).probability for _ in range(2)
        )
        furthest = int(np.argmax(np.abs(first - second)))
        if abs(first[furthest] - second[furthest]) > 1e-6:
            fail(
                f"{name}, fitted twice with seed=7, gives one flight two probabilities",
                expected=f"{first[furthest]:.4f} twice",
                actual=f"{first[furthest]:.4f} and {second[furthest]:.4f}",
                hint="which step leaves something to chance? It takes a random_state",
            )
