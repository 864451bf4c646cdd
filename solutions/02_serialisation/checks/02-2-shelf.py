"""Does the store hold the three models under their right names, with v1 in production?"""

import numpy as np
import pandas as pd

from course import flights
from course.checks import Question, expect, fail, fixture
from course.checks.model import probability_metrics as measure
from course.checks.model.artifacts import Artifact, artifact_folder
from course.checks.model.stores import Stores, store

question = Question("Three models on the shelf", points=6)


@fixture
def shop() -> Stores:
    """The shipped module of the store."""
    return store("store.py")


@question.check(points=1)
def all_three_are_there(shop: Stores) -> None:
    """baseline, v1 and v2 are in the store, added in this order, each whole"""
    trial = shop.shipped("store")
    names = trial.names()
    if names != ["baseline", "v1", "v2"]:
        shown = ", ".join(map(str, names)) or "none"
        kind = "in another order" if sorted(names) == ["baseline", "v1", "v2"] else "other models"
        fail(f"the store holds {kind}", expected="baseline, v1, v2", actual=shown, hint="the order counts")
    for name in ("baseline", "v1", "v2"):
        trial.find(name)


@question.check(points=1)
def v1_is_in_production(shop: Stores) -> None:
    """v1 is in production"""
    expect(shop.shipped("store").production(), "production()").equals("v1", hint="promote v2, then demote once")


@question.check(points=1)
def v1_is_the_artifact(shop: Stores) -> None:
    """v1 in the store is the artifact that you shipped"""
    digests = shop.shipped("store").find("v1")
    said = artifact_folder("artifact").sums()
    for name, digest in said.items():
        if digests.get(name) != digest:
            fail(
                f"{name} of v1 in the store is not the one in the folder artifact",
                hint="was the artifact shipped again afterwards? Then run the cell that fills the store, too",
            )


### BEGIN HIDDEN TESTS


def artifact_of(shop: Stores, name: str) -> Artifact:
    """The artifact behind a name of the shipped store."""
    return artifact_folder(shop.locate(shop.shipped("store").find(name), "store"))


@question.check(
    points=2,
    hidden=True,
    hint="baseline and v2 are those of given/models/train.py, v1 is your own; were two names exchanged?",
)
def each_is_what_its_name_says(shop: Stores) -> None:
    """the baseline tells everyone the same; v2 looks at the weather, and ranks December better than v1"""
    day_before, late = flights.holdout()
    near, near_late = flights.holdout(horizon="3h")
    models = {name: artifact_of(shop, name) for name in ("baseline", "v1", "v2")}

    def tells(name: str, plan: pd.DataFrame) -> np.ndarray:
        return models[name].predict("model.onnx", plan, dictionaries=True)

    expect(float(np.ptp(tells("baseline", day_before.head(2_000))))).is_at_most(1e-6)
    some = near.head(500)
    weather = some.filter(regex="^weather_(?!observed)")
    other = some.assign(**{name: values.to_numpy()[::-1] for name, values in weather.items()})
    expect(float(np.abs(tells("v2", some) - tells("v2", other)).max())).is_at_least(1e-6)
    v1, v2 = measure.roc_auc(late, tells("v1", day_before)), measure.roc_auc(near_late, tells("v2", near))
    expect(v2).is_at_least(v1 + 0.01)


@question.check(
    points=1,
    hidden=True,
    needs=v1_is_in_production,
    hint="what was in production before v1? The history ends in baseline, v1",
)
def rolling_back_leads_to_the_baseline(shop: Stores) -> None:
    """one more demotion puts the baseline into production"""
    trial = shop.shipped("store")
    trial.demote()
    expect(trial.production()).equals("baseline")


### END HIDDEN TESTS
