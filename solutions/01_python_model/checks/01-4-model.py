"""A model worth shipping."""

import functools
import math

from course import flights
from course.checks import Question, document, expect, fail, model
from course.checks.model import probability_metrics as measure

question = Question("A model worth shipping", points=5)
shipped = model("model")
autumn = flights.planned(flights.TRAIN_UNTIL, flights.TODAY)
autumn_late = flights.labels(autumn)
autumn = autumn[autumn_late.notna()]
autumn_late = autumn_late[autumn.index].astype(bool)
names = ("constant", "logistic_regression", "gradient_boosting")
competing = names[1:]
measures = {"roc_auc": measure.roc_auc, "log_loss": measure.log_loss, "brier": measure.brier}


def metrics() -> dict:
    """metrics.json, with what the exercise asks for."""
    found = shipped.json("metrics.json")
    if not isinstance(found, dict):
        fail("metrics.json is no object", expected='{"chosen": …, "threshold": …, …}', actual=found)
    for key in ("chosen", "threshold", "rule", "validation"):
        if key not in found:
            fail(f"metrics.json has no {key}", actual=", ".join(map(str, found)) or "nothing")
    table = found["validation"]
    for name in names:
        for metric in ("roc_auc", "log_loss", "brier", "cost"):
            row = table.get(name) if isinstance(table, dict) else None
            value = row.get(metric) if isinstance(row, dict) else None
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                fail(
                    f"metrics.json has no number for the {metric} of {name}",
                    actual=value,
                    hint="validation holds all of scores",
                )
    if found["chosen"] not in competing:
        fail("chosen is none of the models that compete", expected=" or ".join(competing), actual=found["chosen"])
    return found


@functools.cache
def reached() -> dict:
    """The scores that the shipped model reaches on October and November."""
    p = shipped.predict_proba(autumn)
    return {name: function(autumn_late, p) for name, function in measures.items()}


@question.check(points=1)
def model_gives_probabilities():
    """the shipped model opens, and gives every planned flight a probability"""
    shipped.predict_proba(autumn.head(1000))


@question.check(points=1, needs=model_gives_probabilities)
def scores_are_this_models():
    """the scores reported are those of the shipped model, on October and November"""
    found = metrics()
    row = found["validation"][found["chosen"]]
    for name, value in reached().items():
        if not abs(row[name] - value) <= 0.005:
            fail(
                f"the {name} of {found['chosen']} is not what the shipped model reaches",
                expected=f"{value:.3f}",
                actual=f"{row[name]:.3f}",
                hint="were the scores computed with this model, on valid, and from its probability of True?",
            )


@question.check(points=1, needs=scores_are_this_models)
def rule_was_kept():
    """the shipped model is the one that your rule picks from your scores"""
    found, rule = metrics(), document("rule.yaml")
    if found["rule"] != rule:
        fail(
            "the rule in metrics.json is not the one in rule.yaml",
            expected=rule,
            actual=found["rule"],
            hint="a rule that changes after the scores are known is no rule; run all again from the rule on",
        )
    try:
        sign = -1 if rule["metric"] == "roc_auc" else 1
        loss = {name: sign * found["validation"][name][rule["metric"]] for name in competing}
        order, tolerance = list(rule["simplest_first"]), float(rule["tolerance"])
        best = min(loss.values())
        wins = next(name for name in order if loss[name] - best <= tolerance + 1e-9)
    except (KeyError, TypeError, ValueError, StopIteration):
        fail("rule.yaml does not lead to a model", hint="the question about the rule, above, says what it lacks")
    if found["chosen"] != wins:
        near = math.isclose(loss[found["chosen"]] - best, tolerance, abs_tol=1e-6)
        if not near:
            fail("another model wins by this rule", expected=wins, actual=found["chosen"])
    table = found["validation"]
    distance = {name: sum(abs(table[name][key] - value) for key, value in reached().items()) for name in names}
    nearest = min(distance, key=distance.get)
    if nearest != found["chosen"] and distance[nearest] < distance[found["chosen"]] - 1e-4:
        fail(
            "the model in the folder is not the one that metrics.json names as chosen",
            expected=f"a model that scores like {found['chosen']}",
            actual=f"one that scores like {nearest}",
        )


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=model_gives_probabilities,
    hint="the model and every step before it are fitted on train alone, each flight once; else valid proves nothing",
)
def validation_months_are_unseen():
    """nothing shows that the model was fitted on the months that it is validated on"""
    # Two signs: a part remembers more flights than January to September have, or the ranking is better than a plan
    # allows (honest models reach about 0.66). A sample of all months without dates shows neither.
    expect(reached()["roc_auc"]).is_at_most(0.72)
    expect(shipped.rows_seen()).is_at_most(len(flights.planned("2013-01-01", flights.TRAIN_UNTIL)))


@question.check(
    points=1,
    hidden=True,
    needs=model_gives_probabilities,
    hint="given only the columns that columns.json names, does it still predict? Are all of them from the schedule?",
)
def columns_are_told_truly():
    """columns.json names what the model needs, and it is all in the schedule"""
    columns = shipped.json("columns.json")
    expect(columns).is_instance((dict, list))
    columns = [str(column) for column in columns]
    schedule = {c.name for c in flights.SCHEMA.values() if c.table == "planned" and c.known == "schedule"}
    expect(set(columns) <= schedule and bool(columns)).is_true()
    few = autumn.head(500)
    expect(shipped.predict_proba(few[columns])).is_close(shipped.predict_proba(few), abs=1e-6)


### END HIDDEN TESTS
