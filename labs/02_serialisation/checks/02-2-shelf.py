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
