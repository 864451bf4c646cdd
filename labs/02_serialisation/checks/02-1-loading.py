"""Does the loader open an honest artifact, and refuse every one that was changed or is hostile?"""

import io
import json
from typing import Any

import joblib
import pandas as pd

from course import flights
from course.checks import Question, expect, fail, fixture
from course.checks import model as shipped_model
from course.checks.model import pickles

question = Question("A loader that refuses", points=18)


@fixture
def loading() -> pickles.Loading:
    """The shipped loader, and a folder for what it loads."""
    return pickles.Loading("loading.py", "predict")


@fixture
def plan() -> pd.DataFrame:
    """Some flights as they are planned."""
    return flights.planned("2013-11-07").head(40)


def yours() -> dict[str, bytes]:
    """The files of pickled/, without the checksums, which are made anew for each folder."""
    return pickles.folder_of("pickled", ("model.joblib", "features.py", "versions.json"))


def with_model(data: bytes) -> dict[str, bytes]:
    """Your folder with another model in it."""
    return {**yours(), "model.joblib": data}


def loads(loading: pickles.Loading, plan: pd.DataFrame, content: dict[str, bytes], what: str) -> Any:
    """What the loader predicts by a folder that it must not refuse."""
    attempt = loading.attempt(content, plan)
    if attempt.refused:
        fail(f"{what} was refused: {attempt.reply.message}", hint="is every name of imports(…) on your list?")
    if attempt.reply.error is not None:
        raise attempt.reply.failure("predict()", "loading.py")
    return attempt.reply.value


@question.check(points=3)
def loads_what_you_shipped(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """what you shipped is loaded, and predicts what it should"""
    wanted = shipped_model("pickled", modules="pickled").predict_proba(plan)
    expect(loads(loading, plan, yours(), "your own folder"), "the list of probabilities").is_close(wanted, abs=1e-9)


@question.check(points=2, needs=loads_what_you_shipped)
def a_changed_byte_is_refused(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """a model in which one byte has changed is refused"""
    content = yours()
    data = bytearray(content["model.joblib"])
    data[len(data) // 2] ^= 1
    changed = loading.attempt(with_model(bytes(data)), plan, sums=content)
    changed.must_be_refused("one byte of model.joblib was changed", hint="does its checksum still agree?")


@question.check(points=2, needs=loads_what_you_shipped)
def another_version_is_refused(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """a model of another scikit-learn is refused, and the message names both"""
    attempt = loading.attempt(pickles.with_versions(yours(), scikit_learn="1.2.2"), plan)
    attempt.must_be_refused("versions.json records scikit-learn 1.2.2")
    for word in ("scikit-learn", "1.2.2"):
        expect(attempt.reply.message, "the message").contains(word)


@question.check(points=2, needs=loads_what_you_shipped)
def a_trojan_is_refused(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """a model with os.system inside and right checksums is refused, and does not run"""
    marker = loading.marker()
    payload = pickles.call(pickles.name("os", "system"), pickles.text(pickles.command(marker)))
    trojan = with_model(pickles.inside(yours()["model.joblib"], payload))
    loading.attempt(trojan, plan, marker=marker).must_be_refused(
        "a trojan", hint="look at imports(data) before opening"
    )
