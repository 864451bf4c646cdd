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


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="what does your encoder do with a category that it has not met?",
)
def a_new_airport_is_no_accident(made: Recipes, few: Labelled, later: Labelled) -> None:
    """an airport or an airline that is new gets a probability, too"""
    new = later.planned.head(50).copy()
    new.loc[new.index[:25], "dest"] = "XYZ"
    new.loc[new.index[25:], "carrier"] = "ZZ"
    for name in NAMES:
        made.fit_predict(name, few.planned, few.late, new)


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="a model that knows nothing gives everyone the rate of the flights that it was fitted on",
)
def constant_is_the_rate(made: Recipes, many: Labelled, few: Labelled, later: Labelled) -> None:
    """the constant gives every flight the late rate of the flights it was fitted on"""
    late, punctual = many.planned[many.late].index, many.planned[~many.late].index
    half_late = many.planned.loc[late[:1500].union(punctual[:1500])]
    for rows in (few, Labelled(half_late, many.late[half_late.index])):
        p = made.fit_predict("constant", rows.planned, rows.late, later.planned).probability
        expect(p).is_close(np.full(len(p), rows.late.mean()), abs=0.005)


@question.check(
    points=1,
    hidden=True,
    needs=each_candidate_predicts,
    hint="all that is learned from data, a scaler's mean too, is learned in the pipeline's fit, from what it is given",
)
def learns_from_what_it_is_given(made: Recipes, few: Labelled, later: Labelled) -> None:
    """a model learns from the flights it is given, and from no others"""
    for name in NAMES[1:]:
        upside_down = made.fit_predict(name, few.planned, ~few.late, later.planned)
        expect(upside_down.rows_seen).is_at_most(len(few.planned))
        expect(measure.roc_auc(later.late, upside_down.probability)).is_at_most(0.5)


### END HIDDEN TESTS
