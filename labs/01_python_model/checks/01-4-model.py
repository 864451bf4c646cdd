"""Is the shipped model the one that the rule picks, with the scores that metrics.json reports?"""

import math
from typing import Any

import numpy as np
import pandas as pd

from course import flights
from course.checks import Model, Question, document, expect, fail, fixture, model, module
from course.checks.model import probability_metrics as measure
from course.checks.model.labelled import Labelled, labelled

question = Question("A model worth shipping", points=5)
NAMES = ("constant", "logistic_regression", "gradient_boosting")
COMPETING = NAMES[1:]
MEASURES = {"roc_auc": measure.roc_auc, "log_loss": measure.log_loss, "brier": measure.brier}


@fixture
def shipped() -> Model:
    """The shipped model, opened in a process of its own."""
    return model("model")


@fixture
def autumn() -> Labelled:
    """The flights of October and November."""
    return labelled(flights.TRAIN_UNTIL, flights.TODAY)


@fixture
def metrics(shipped: Model) -> dict[str, Any]:
    """metrics.json, with what the exercise asks for."""
    metrics = shipped.json("metrics.json")
    if not isinstance(metrics, dict):
        fail("metrics.json is no object", expected='{"chosen": …, "threshold": …, …}', actual=metrics)
    for key in ("chosen", "threshold", "rule", "validation"):
        if key not in metrics:
            fail(f"metrics.json has no {key}", actual=", ".join(map(str, metrics)) or "nothing")
    table = metrics["validation"]
    for name in NAMES:
        for metric in ("roc_auc", "log_loss", "brier", "cost"):
            row = table.get(name) if isinstance(table, dict) else None
            value = row.get(metric) if isinstance(row, dict) else None
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                fail(
                    f"metrics.json has no number for the {metric} of {name}",
                    actual=value,
                    hint="validation holds all of scores",
                )
    if metrics["chosen"] not in COMPETING:
        fail("chosen is none of the models that compete", expected=" or ".join(COMPETING), actual=metrics["chosen"])
    return metrics


@fixture
def reached(shipped: Model, autumn: Labelled) -> dict[str, float]:
    """The scores that the shipped model reaches on October and November."""
    p = shipped.predict_proba(autumn.planned)
    return {name: function(autumn.late, p) for name, function in MEASURES.items()}


@question.check(points=1)
def model_gives_probabilities(shipped: Model, autumn: Labelled) -> None:
    """the shipped model opens, and gives every planned flight a probability"""
    shipped.predict_proba(autumn.planned.head(1000))


@question.check(points=1, needs=model_gives_probabilities)
def scores_are_this_models(metrics: dict[str, Any], reached: dict[str, float]) -> None:
    """the scores reported are those of the shipped model, on October and November"""
    row = metrics["validation"][metrics["chosen"]]
    for name, value in reached.items():
        if not abs(row[name] - value) <= 0.005:
            fail(
                f"the {name} of {metrics['chosen']} is not what the shipped model reaches",
                expected=f"{value:.3f}",
                actual=f"{row[name]:.3f}",
                hint="were the scores computed with this model, on valid, and from its probability of True?",
            )


@question.check(points=1, needs=scores_are_this_models)
def rule_was_kept(metrics: dict[str, Any], reached: dict[str, float]) -> None:
    """the shipped model is the one that your rule picks from your scores"""
    rule = document("rule.yaml")
    if metrics["rule"] != rule:
        fail(
            "the rule in metrics.json is not the one in rule.yaml",
            expected=rule,
            actual=metrics["rule"],
            hint="a rule that changes after the scores are known is no rule; run all again from the rule on",
        )
    try:
        sign = -1 if rule["metric"] == "roc_auc" else 1
        loss = {name: sign * metrics["validation"][name][rule["metric"]] for name in COMPETING}
        order, tolerance = list(rule["simplest_first"]), float(rule["tolerance"])
        best = min(loss.values())
        wins = next(name for name in order if loss[name] - best <= tolerance + 1e-9)
    except (KeyError, TypeError, ValueError, StopIteration):
        fail("rule.yaml does not lead to a model", hint="the question about the rule, above, says what it lacks")
    if metrics["chosen"] != wins:
        near = math.isclose(loss[metrics["chosen"]] - best, tolerance, abs_tol=1e-6)
        if not near:
            fail("another model wins by this rule", expected=wins, actual=metrics["chosen"])
    table = metrics["validation"]
    distance = {name: sum(abs(table[name][key] - value) for key, value in reached.items()) for name in NAMES}
    nearest = min(distance, key=distance.__getitem__)
    if nearest != metrics["chosen"] and distance[nearest] < distance[metrics["chosen"]] - 1e-4:
        fail(
            "the model in the folder is not the one that metrics.json names as chosen",
            expected=f"a model that scores like {metrics['chosen']}",
            actual=f"one that scores like {nearest}",
        )
