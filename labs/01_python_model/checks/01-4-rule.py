"""Is there a rule for choosing the model before there are scores, and do its functions follow it?"""

import numpy as np

from course.checks import Module, Question, document, expect, fail, fixture, module

question = Question("A rule, before the models", points=6)
order = ["logistic_regression", "gradient_boosting"]
was_late = np.array([True, True, False, False])
probability = np.array([0.9, 0.1, 0.8, 0.2])


@fixture
def evaluation() -> Module:
    """The shipped module, called in a process of its own."""
    return module("evaluation.py")


def table_of(metric: str, *values: float) -> dict[str, dict[str, float]]:
    """A table in which the other metrics say nothing."""
    return table_of_models(metric, dict(zip(["constant", *order], values, strict=True)))


def table_of_models(metric: str, values: dict[str, float]) -> dict[str, dict[str, float]]:
    """A table of any models."""
    others = {"roc_auc": 0.6, "log_loss": 0.5, "brier": 0.15, "cost": 6.0}
    return {name: {**others, metric: value} for name, value in values.items()}


def winner(evaluation: Module, metric: str, tolerance: float, *values: float) -> str:
    return chosen(evaluation, table_of(metric, *values), metric, tolerance, order)


def chosen(
    evaluation: Module, scores: dict[str, dict[str, float]], metric: str, tolerance: float, simplest_first: list[str]
) -> str:
    """What choose() picks by such a rule."""
    rule = {"metric": metric, "tolerance": tolerance, "simplest_first": simplest_first}
    rule |= {"costs": {"missed_warning": 30, "false_warning": 15}}
    name: str = evaluation.choose(scores, rule)
    return name


@question.check(points=1)
def rule_says_how() -> None:
    """rule.yaml names one of the four metrics, and a tolerance"""
    rule = document("rule.yaml")
    if not isinstance(rule, dict):
        fail("rule.yaml holds no keys", expected="metric: … and tolerance: …", actual=rule)
    for key in ("metric", "tolerance"):
        if rule.get(key) is None:
            fail(f"rule.yaml has no {key} yet", hint=f"add a line {key}: and your choice, at the left margin")
    if rule["metric"] not in ("roc_auc", "log_loss", "brier", "cost"):
        fail("metric is none of the four", expected="roc_auc, log_loss, brier or cost", actual=rule["metric"])
    tolerance = rule["tolerance"]
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 <= tolerance < float("inf"):
        fail(
            "tolerance must be a number of 0 or more" + (", and this is text" if isinstance(tolerance, str) else ""),
            actual=tolerance,
            hint="write it plainly, such as 0.02: no unit, no quotes, and not 2e-2, which YAML reads as text",
        )
    expect(rule.get("simplest_first"), "simplest_first").equals(order, hint="this line was given; leave it as it was")
    expect(rule.get("costs"), "costs").equals(
        {"missed_warning": 30, "false_warning": 15}, hint="this line was given; leave it as it was"
    )


@question.check(points=1)
def either_error_has_its_cost(evaluation: Module) -> None:
    """a missed warning and a false one cost what they cost, per flight"""
    cost = evaluation.expected_cost(was_late, probability, 0.5, 30, 15)
    expect(cost, "the cost of one missed and one false warning in four flights").is_close(
        11.25, abs=1e-9, hint="per flight: divide by all flights"
    )
    cost = evaluation.expected_cost(was_late, probability, 0.05, 40, 10)
    expect(cost, "the cost of two false warnings in four flights, at 10 each").is_close(5.0, abs=1e-9)


@question.check(points=1)
def best_wins_when_far_ahead(evaluation: Module) -> None:
    """the best model wins when it is better by more than the tolerance"""
    expect(
        winner(evaluation, "roc_auc", 0.01, 0.50, 0.61, 0.69), "the winner by roc_auc of 0.50, 0.61 and 0.69"
    ).equals("gradient_boosting")
    expect(
        winner(evaluation, "roc_auc", 0.01, 0.50, 0.69, 0.61), "the winner by roc_auc of 0.50, 0.69 and 0.61"
    ).equals("logistic_regression")
