"""Does the loader open an honest artifact, and refuse every one that was changed or is hostile?"""

import io
import json
import pickle
import platform
from importlib import metadata
from typing import Any

import joblib
import pandas as pd

from course import flights
from course.checks import CheckFailed, Question, Unmet, expect, fail, fixture
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


def honest() -> dict[str, bytes]:
    """A folder as it should be, whose pickle holds plain data and imports nothing."""
    packages = {name: metadata.version(name) for name in ("scikit-learn", "numpy", "pandas", "joblib")}
    versions = {"python": platform.python_version(), "packages": packages}
    return {
        "model.joblib": pickle.dumps({"plain": ["data", 1, 2.5]}),
        "features.py": b"def schedule_features(planned):\n    return planned\n",
        "versions.json": json.dumps(versions).encode(),
    }


class Judged:
    """How folders are tried: by the whole loader if it loads what was shipped, else by one of its three functions.

    So a loader that refuses everything for one mistake is judged by the rest of it.
    """

    def __init__(self, loading: pickles.Loading, plan: pd.DataFrame) -> None:
        self.loading, self.plan = loading, plan
        try:
            own = loading.attempt(yours(), plan)
            self.why = own.reply.message if own.reply.error is not None else ""
            self.whole = own.reply.error is None
        except CheckFailed as error:
            self.why, self.whole = error.reason, False

    def folder(self, function: str) -> dict[str, bytes]:
        """A folder that must not be refused; fail where it is, because nothing follows from what is refused then."""
        if self.whole:
            return yours()
        title = f"{function}() lets a folder through that is as it should be"
        attempt = self.loading.step(function, honest())
        if attempt is None:
            raise Unmet(f"load() loads your folder, or there is a {function}()", f"neither holds: {self.why}")
        if attempt.reply.error is not None:
            actual = f"{attempt.reply.error}: {attempt.reply.message}"
            raise Unmet(title, "it raises an error for a folder that the check made", actual=actual)
        return honest()

    def attempt(self, function: str, content: dict[str, bytes], **more: Any) -> pickles.Attempt:
        """Let the loader, or the one function, try a folder."""
        if self.whole:
            return self.loading.attempt(content, self.plan, **more)
        attempt = self.loading.step(function, content, **more)
        assert attempt is not None
        return attempt


@fixture
def judged(loading: pickles.Loading, plan: pd.DataFrame) -> Judged:
    """How folders are tried."""
    return Judged(loading, plan)


def with_model(content: dict[str, bytes], data: bytes) -> dict[str, bytes]:
    """A folder with another model in it."""
    return {**content, "model.joblib": data}


def loads(loading: pickles.Loading, plan: pd.DataFrame, content: dict[str, bytes], what: str) -> Any:
    """What the loader predicts by a folder that it must not refuse."""
    attempt = loading.attempt(content, plan)
    if attempt.refused:
        fail(
            f"{what} was refused",
            expected="it is loaded",
            actual=f"Refused: {attempt.reply.message}",
            hint="the message is your own: which of your three functions raised it, and is it right?",
        )
    if attempt.reply.error is not None:
        raise attempt.reply.failure("predict()", "loading.py")
    return attempt.reply.value


@question.check(points=2)
def loads_what_you_shipped(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """what you shipped is loaded, and predicts what it should"""
    wanted = shipped_model("pickled", modules="pickled").predict_proba(plan)
    expect(loads(loading, plan, yours(), "your own folder"), "the list of probabilities").is_close(wanted, abs=1e-9)


@question.check(points=2)
def a_changed_byte_is_refused(judged: Judged) -> None:
    """a model in which one byte has changed is refused"""
    content = judged.folder("check_sums")
    data = bytearray(content["model.joblib"])
    data[len(data) // 2] ^= 1
    changed = judged.attempt("check_sums", with_model(content, bytes(data)), sums=content)
    changed.must_be_refused("one byte of model.joblib was changed", hint="does its checksum still agree?")


@question.check(points=2)
def another_version_is_refused(judged: Judged) -> None:
    """a model of another scikit-learn is refused, and the message names both"""
    content = judged.folder("check_versions")
    attempt = judged.attempt("check_versions", pickles.with_versions(content, scikit_learn="1.2.2"))
    attempt.must_be_refused("versions.json records scikit-learn 1.2.2")
    for word in ("scikit-learn", "1.2.2"):
        expect(attempt.reply.message, "the message").contains(word)


@question.check(points=2)
def a_trojan_is_refused(judged: Judged) -> None:
    """a model with os.system inside and right checksums is refused, and does not run"""
    content, marker = judged.folder("open_model"), judged.loading.marker()
    payload = pickles.call(pickles.name("os", "system"), pickles.text(pickles.command(marker)))
    trojan = with_model(content, pickles.inside(content["model.joblib"], payload))
    attempt = judged.attempt("open_model", trojan, marker=marker)
    attempt.must_be_refused("a trojan", hint="look at imports(data) before opening")
