"""The exam."""

from course import flights
from course.checks import Question, expect, fail, model
from course.checks.model import probability_metrics as measure

question = Question("The exam", points=5)
shipped = model("model")
november = flights.planned("2013-11-01", flights.TODAY)
november_late = flights.labels(november)
november = november[november_late.notna()]
november_late = november_late[november.index].astype(bool)
base_rate = float(flights.labels(flights.planned("2013-01-01", flights.TRAIN_UNTIL)).mean())


def brier_of_constant(late) -> float:
    """The Brier score of giving every flight the late rate of January to September."""
    return measure.brier(late, [base_rate] * len(late))


@question.check(points=1)
def november_is_ranked():
    """late flights of November are ranked above punctual ones, more often than not"""
    auc = measure.roc_auc(november_late, shipped.predict_proba(november))
    expect(auc, "the ROC AUC in November").is_at_least(
        0.60, hint="0.5 is a coin; the time of day alone gives 0.61. Is it the probability of late, not of punctual?"
    )


@question.check(points=1, needs=november_is_ranked)
def november_probabilities_mean_something():
    """the probabilities for November are better than a constant, and not far off"""
    p = shipped.predict_proba(november)
    expect(measure.brier(november_late, p), "the Brier score in November").is_at_most(
        brier_of_constant(november_late),
        hint="a constant does better: are the probabilities too bold, or too high? Balanced classes make them so",
    )
    expect(measure.calibration_error(november_late, p), "the mean gap between predicted and observed rates").is_at_most(
        0.10, hint="look at the reliability curve; the season alone explains 0.07"
    )
