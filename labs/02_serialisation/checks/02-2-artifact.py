"""The artifact."""

import re

import numpy as np

from course import flights
from course.checks import Question, expect, fail
from course.checks.model import probability_metrics as measure
from course.checks.model.artifacts import MODELS, artifact_folder, flights_as_json

question = Question("The artifact", points=16)
shipped = artifact_folder("artifact")
autumn = flights.planned(flights.TRAIN_UNTIL, flights.TODAY)
autumn_late = flights.labels(autumn)
november = autumn[autumn["planned_departure"] >= "2013-11-01"]


def agree(table) -> None:
    """Fail unless the three models give the same probabilities, within 0.00001."""
    by = {name: shipped.predict(name, table) for name in MODELS}
    for name in MODELS[1:]:
        furthest = int(np.argmax(np.abs(by[name] - by["model.joblib"])))
        said = {key: float(p[furthest]) for key, p in by.items()}
        if abs(said[name] - said["model.joblib"]) > 1e-5:
            fail(
                f"{name} says something else than model.joblib",
                expected=f"{said['model.joblib']:.6f} for flight {furthest}",
                actual=f"{said[name]:.6f}",
                hint="are both of the same fitted model? model.onnx and model.skops get the columns of features.py",
            )


@question.check(points=1)
def folder_is_complete():
    """the folder holds all nine files"""
    shipped.complete()


@question.check(points=1, needs=folder_is_complete)
def checksums_agree():
    """SHA256SUMS covers every other file, and agrees with each"""
    shipped.check_sums()


@question.check(points=1)
def models_open():
    """each of the three models opens in a process of its own, and gives flights a probability"""
    for name in MODELS:
        shipped.predict(name, november.head(200))


@question.check(points=2, needs=models_open)
def models_agree():
    """the three say the same about every flight of November, within 0.00001"""
    agree(november)


@question.check(points=1)
def real_flights_are_accepted():
    """schema.json accepts real planned flights"""
    sent = flights_as_json(autumn.iloc[::600])
    for flight, problem in zip(sent, shipped.verdicts(sent), strict=True):
        if problem:
            fail("schema.json refuses a real flight", expected=f"accepted: {flight}", actual=problem)
    if not shipped.verdicts([{}])[0]:
        fail("schema.json accepts everything, also an empty object", hint="name the properties that are required")


@question.check(points=1)
def metrics_are_this_models():
    """metrics.json holds the threshold, and the ROC AUC that this model reaches in October and November"""
    threshold = shipped.number("metrics.json", "threshold")
    expect(threshold, "the threshold").is_between(0.01, 0.99)
    said = shipped.number("metrics.json", "validation", "roc_auc")
    known = autumn_late.notna()
    reached = measure.roc_auc(autumn_late[known].astype(bool), shipped.predict("model.onnx", autumn[known]))
    expect(said, "the ROC AUC in metrics.json").is_close(
        reached, abs=0.005, hint="compute it with the model that ships"
    )


@question.check(points=1)
def card_is_complete():
    """card.md has sections on the intended use, the data, the metrics and the limits"""
    shipped.check_card()
