"""Does the artifact hold one model in three formats that agree, with a schema, metrics and a card that are true?"""

import re
from importlib.metadata import version
from platform import python_version
from typing import Any

import numpy as np
import pandas as pd

from course import flights
from course.checks import Question, Unmet, expect, fail, fixture
from course.checks.model import probability_metrics as measure
from course.checks.model.artifacts import MODELS, Artifact, artifact_folder, flights_as_json
from course.checks.model.flight_schemas import inlined
from course.checks.model.labelled import labelled

question = Question("The artifact", points=16)


@fixture
def shipped() -> Artifact:
    """The shipped artifact."""
    return artifact_folder("artifact")


@fixture
def autumn() -> pd.DataFrame:
    """The planned flights of October and November."""
    return flights.planned(flights.TRAIN_UNTIL, flights.TODAY)


@fixture
def november(autumn: pd.DataFrame) -> pd.DataFrame:
    """Those of November."""
    return autumn[autumn["planned_departure"] >= "2013-11-01"]


def agree(shipped: Artifact, table: pd.DataFrame, *others: str) -> None:
    """Fail unless the models give the same probabilities, within 0.00001."""
    names = ("model.joblib", *(others or MODELS[1:]))
    by = {name: shipped.predict(name, table, dictionaries=True) for name in names}
    for name in names[1:]:
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
def folder_is_complete(shipped: Artifact) -> None:
    """the folder holds all nine files"""
    shipped.complete()


@question.check(points=1, needs=folder_is_complete)
def checksums_agree(shipped: Artifact) -> None:
    """SHA256SUMS covers every other file, and agrees with each"""
    shipped.check_sums()


@question.check(points=1)
def models_open(shipped: Artifact, november: pd.DataFrame) -> None:
    """each of the three models opens in a process of its own, and gives flights a probability"""
    for name in MODELS:
        shipped.predict(name, november.head(200))


@question.check(points=1)
def skops_agrees(shipped: Artifact, november: pd.DataFrame) -> None:
    """model.skops says the same as model.joblib about every flight of November, within 0.00001"""
    agree(shipped, november, "model.skops")


@question.check(points=1)
def onnx_agrees(shipped: Artifact, november: pd.DataFrame) -> None:
    """model.onnx says the same as model.joblib about every flight of November, within 0.00001"""
    agree(shipped, november, "model.onnx")


@question.check(points=1)
def real_flights_are_accepted(shipped: Artifact, autumn: pd.DataFrame) -> None:
    """schema.json accepts real planned flights"""
    sent = flights_as_json(autumn.iloc[::600])
    for flight, problem in zip(sent, shipped.verdicts(sent), strict=True):
        if problem:
            fail("schema.json refuses a real flight", expected=f"accepted: {flight}", actual=problem)
    if not shipped.verdicts([{}])[0]:
        fail("schema.json accepts everything, also an empty object", hint="name the properties that are required")


FIELDS = ("carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival")


def parts(rule: Any) -> list[dict[str, Any]]:
    """A schema and those that it is put together from."""
    if not isinstance(rule, dict):
        return []
    others = [part for name in ("allOf", "anyOf", "oneOf") if isinstance(rule.get(name), list) for part in rule[name]]
    return [rule, *(part for part in others[:50] if isinstance(part, dict))]


@question.check(points=1)
def fields_are_described(shipped: Artifact) -> None:
    """each field in schema.json has a description"""
    named: list[Any] = [part.get("properties") for part in parts(inlined(shipped.object("schema.json")))]
    for name in FIELDS:
        rules = [rule for found in named if isinstance(found, dict) for rule in parts(found.get(name))]
        said = [rule["description"] for rule in rules if isinstance(rule.get("description"), str)]
        if not any(text.strip() for text in said):
            hint = f'"{name}": {{"type": …, "description": "what it is, and in which unit"}}'
            fail(f"the field {name} has no description", hint=hint)


@question.check(points=1)
def metrics_are_this_models(shipped: Artifact) -> None:
    """metrics.json holds the threshold, and the ROC AUC that this model reaches in October and November"""
    threshold = shipped.number("metrics.json", "threshold")
    expect(threshold, "the threshold").is_between(0.01, 0.99)
    said = shipped.number("metrics.json", "validation", "roc_auc")
    arrived = labelled(flights.TRAIN_UNTIL, flights.TODAY)
    reached = measure.roc_auc(arrived.late, shipped.predict("model.onnx", arrived.planned, dictionaries=True))
    expect(said, "the ROC AUC in metrics.json").is_close(
        reached, abs=0.005, hint="compute it with the model that ships"
    )


@question.check(points=1)
def card_is_complete(shipped: Artifact) -> None:
    """card.md has sections on the intended use, the data, the metrics and the limits"""
    shipped.check_card()


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="what does each encoder do with a category that it has not met? One flight alone is worth a try, too",
)
def models_agree_on_what_is_new(shipped: Artifact, november: pd.DataFrame) -> None:
    """the three agree about airports and airlines that are new, and about one flight alone"""
    agree(shipped, november.head(60).assign(dest="XYZ"))
    agree(shipped, november.tail(60).assign(carrier="ZZ", distance=9_999))
    agree(shipped, november.iloc[[77]])


@question.check(
    points=2,
    hidden=True,
    hint="use the model that was handed over, or one that was trained on the training months alone",
)
def december_is_ranked(shipped: Artifact) -> None:
    """the ONNX model ranks the late flights of December above punctual ones"""
    december, late = flights.holdout()
    p = shipped.predict("model.onnx", december, dictionaries=True)
    expect(measure.roc_auc(late, p)).is_between(0.585, 0.9)
    expect(measure.brier(late, p)).is_at_most(0.997 * measure.brier(late, [0.25] * len(late)))


@fixture
def accepted(shipped: Artifact, november: pd.DataFrame) -> dict[str, Any]:
    """A real flight that the schema accepts: only changes of such a one tell what it refuses."""
    some = flights_as_json(november.iloc[:2000:20])
    found = next((flight for flight, no in zip(some, shipped.verdicts(some), strict=True) if not no), None)
    if found is None:
        raise Unmet("schema.json accepts one of a hundred real flights", "it refuses every one")
    return found


def changed(flight: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A flight that is accepted, with changes; None takes a field away."""
    return {name: value for name, value in {**flight, **changes}.items() if value is not None}


@question.check(
    points=1,
    hidden=True,
    hint="try a flight without one of the fields, one with an extra field, and a value of another type in each field",
)
def other_shapes_are_refused(shipped: Artifact, accepted: dict[str, Any]) -> None:
    """schema.json refuses a missing field, an unknown one, and each field of another type"""
    names = FIELDS
    others: tuple[Any, ...] = ({}, ["UA"], True)
    wrong: list[Any] = [changed(accepted, **{name: None}) for name in names]
    wrong += [
        changed(accepted, dep_delay=3),
        changed(accepted, Carrier="UA"),
        [],
        "flight",
        [changed(accepted)],
        changed(accepted, distance="1400"),
    ]
    wrong += [changed(accepted, **{name: value}) for name in names for value in others]
    wrong += [changed(accepted, **{name: 5}) for name in names if name != "distance"]
    verdicts = shipped.verdicts([changed(accepted), changed(accepted, distance=80.5), *wrong])
    expect(verdicts[:2]).equals(["", ""])
    expect([number for number, verdict in enumerate(verdicts[2:]) if not verdict]).equals([])


@question.check(
    points=1,
    hidden=True,
    hint="try distances just behind the bounds, a time without an offset, a name in place of a code",
)
def what_cannot_be_is_refused(shipped: Artifact, accepted: dict[str, Any]) -> None:
    """schema.json refuses distances, times and codes that cannot be"""
    wrong = [changed(accepted, distance=value) for value in (-5, 0, 12_501, 20_000, 1_000_000)]
    wrong += [
        changed(accepted, planned_departure=value) for value in ("", "tomorrow", "2013-13-45T99:00:00Z", "2013-11-28")
    ]
    wrong += [
        changed(accepted, planned_arrival="2013-11-28T17:30:00"),
        changed(accepted, carrier=""),
        changed(accepted, origin=""),
    ]
    wrong += [changed(accepted, carrier=code) for code in ("U", "UNITED", "x" * 1000)]
    wrong += [changed(accepted, **{name: code}) for name in ("origin", "dest") for code in ("J", "KENNEDY", "A" * 1000)]
    right = [changed(accepted, distance=value) for value in (1, 12_500)]
    verdicts = shipped.verdicts([*right, *wrong])
    expect(verdicts[:2]).equals(["", ""])
    expect([number for number, verdict in enumerate(verdicts[2:]) if not verdict]).equals([])


@question.check(
    points=1,
    hidden=True,
    hint="importlib.metadata.version(name) tells the version of a package, platform.python_version() that of Python",
)
def versions_are_true(shipped: Artifact) -> None:
    """versions.json tells the versions with which this was made"""
    recorded = shipped.object("versions.json")
    expect(str(recorded.get("python"))).equals(python_version())
    packages: Any = recorded.get("packages")
    expect(packages).is_instance(dict)
    for name in ("scikit-learn", "numpy", "pandas", "joblib", "skops", "onnxruntime"):
        expect(str(packages.get(name))).equals(version(name))


@question.check(
    points=1,
    hidden=True,
    hint="which numbers would a colleague look for in the card? Are they there?",
)
def card_tells_the_score(shipped: Artifact) -> None:
    """card.md tells the ROC AUC of metrics.json"""
    said = shipped.number("metrics.json", "validation", "roc_auc")
    text = "\n".join(shipped.card().values()).replace(",", ".")
    numbers = [float(number) for number in re.findall(r"(?<![\d.])\d{0,2}\.?\d+", text)]
    expect(any(min(abs(number - said), abs(number / 100 - said)) < 0.006 for number in numbers)).is_true()


### END HIDDEN TESTS
