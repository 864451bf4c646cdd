"""Does the model rank flights that nobody has seen, with probabilities that mean something and warnings that pay?"""

import pandas as pd

from course import flights
from course.checks import Model, Question, expect, fail, fixture, model
from course.checks.model import probability_metrics as measure
from course.checks.model.labelled import Labelled, labelled, late_rate

question = Question("The exam", points=5)


@fixture
def shipped() -> Model:
    """The shipped model, opened in a process of its own."""
    return model("model")


@fixture
def november() -> Labelled:
    """The flights of November."""
    return labelled("2013-11-01", flights.TODAY)


@fixture
def base_rate() -> float:
    """The late rate of January to September."""
    return late_rate()


def brier_of_constant(late: pd.Series, base_rate: float) -> float:
    """The Brier score of giving every flight the late rate of January to September."""
    return measure.brier(late, [base_rate] * len(late))


@question.check(points=1)
def november_is_ranked(shipped: Model, november: Labelled) -> None:
    """late flights of November are ranked above punctual ones, more often than not"""
    auc = measure.roc_auc(november.late, shipped.predict_proba(november.planned))
    expect(auc, "the ROC AUC in November").is_at_least(
        0.60, hint="0.5 is a coin; the time of day alone gives 0.61. Is it the probability of late, not of punctual?"
    )


@question.check(points=1, needs=november_is_ranked)
def november_probabilities_mean_something(shipped: Model, november: Labelled, base_rate: float) -> None:
    """the probabilities for November are better than a constant, and not far off"""
    p = shipped.predict_proba(november.planned)
    expect(measure.brier(november.late, p), "the Brier score in November").is_at_most(
        brier_of_constant(november.late, base_rate),
        hint="a constant does better: are the probabilities too bold, or too high? Balanced classes make them so",
    )
    expect(measure.calibration_error(november.late, p), "the mean gap between predicted and observed rates").is_at_most(
        0.10, hint="look at the reliability curve; the season alone explains 0.07"
    )
