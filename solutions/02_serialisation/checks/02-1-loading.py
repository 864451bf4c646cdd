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


### BEGIN HIDDEN TESTS


@question.check(
    points=3,
    hidden=True,
    hint="only whole names on the list are safe; packages have helpers that run text, and modules inside modules",
)
def no_hostile_pickle_runs(judged: Judged) -> None:
    """hostile pickles of every form are refused, and none runs"""
    content, marker = judged.folder("open_model"), judged.loading.marker()

    def must_be_refused(data: bytes, title: str) -> None:
        judged.attempt("open_model", with_model(content, data), marker=marker).must_be_refused(title)

    for make in (pickles.protocols, pickles.disguised):
        for title, (data, _) in make(marker).items():
            must_be_refused(data, title)
    whole = content["model.joblib"]
    line = pickles.statement(marker).encode()
    for payload in (
        b"cbuiltins\neval\n(V" + line + b"\ntR",
        b"(V" + line + b"\nibuiltins\neval\n",
        pickles.call(pickles.name("sklearn._config", "os.system"), pickles.text(pickles.command(marker))),
        pickles.call(pickles.name("copyreg", "_reconstructor"), pickles.name("subprocess", "Popen"), b"NN"),
    ):
        must_be_refused(pickles.inside(whole, payload), "a trojan")
    must_be_refused(whole + pickles.protocols(marker)["os.system, protocol 4"][0], "a second pickle behind the model")


@question.check(points=1, hidden=True, hint="what imports() raises must become Refused, too")
def damaged_pickles_are_refused(judged: Judged) -> None:
    """what is cut off, empty, compressed or no pickle is refused, with right checksums too"""
    content = judged.folder("open_model")
    whole = content["model.joblib"]
    packed = io.BytesIO()
    joblib.dump({"a": 1}, packed, compress=3)
    for title, data in {
        "an empty model": b"",
        "a model that is cut off": whole[: len(whole) // 2],
        "a model without its end": whole[:-1],
        "a model with white space behind it": whole + b" \n",
        "a compressed file": packed.getvalue(),
        "no pickle": b"this is a text, and no pickle",
    }.items():
        judged.attempt("open_model", with_model(content, data)).must_be_refused(title)


@question.check(
    points=2,
    hidden=True,
    hint="all that is in the folder is listed, all that is listed is there; before that is sure, nothing is imported",
)
def every_file_is_covered(judged: Judged) -> None:
    """files that were changed, added, or not listed are refused before anything runs"""
    content, marker = judged.folder("check_sums"), judged.loading.marker()

    def must_be_refused(files: dict[str, bytes], sums: dict[str, bytes], title: str) -> None:
        judged.attempt("check_sums", files, marker=marker, sums=sums).must_be_refused(title)

    mark = f"\n{pickles.statement(marker)}\n".encode()
    changed = {**content, "features.py": content["features.py"] + mark}
    must_be_refused(changed, content, "features.py was changed")
    unlisted = {name: data for name, data in content.items() if name != "features.py"}
    must_be_refused(changed, unlisted, "features.py is not listed")
    must_be_refused(content, {}, "there is no SHA256SUMS")
    must_be_refused({**content, "numpy.py": mark}, content, "numpy.py was added")
    must_be_refused(content, {**content, "more.json": b"{}"}, "a listed file is missing")


def prefixes(version: str) -> list[str]:
    """Other versions that begin, or end, like this one: 3.1 and 3.110 for 3.11, 13.11 for 3.11."""
    major, minor = version.split(".")[:2]
    shorter = [f"{major}.{minor[:-1]}.2"] if len(minor) > 1 else []
    return [f"{major}.{minor}0.2", f"1{major}.{minor}.2", f"{major}{minor}.0.2", *shorter]


@question.check(
    points=3,
    hidden=True,
    hint="compare major and minor versions, as numbers, of Python and of every package recorded; one may not be here",
)
def versions_are_compared_by_the_rule(judged: Judged) -> None:
    """other versions of Python and of packages are refused, patches are not"""
    content = judged.folder("check_versions")
    noted = json.loads(content["versions.json"])
    here = {key.replace("-", "_"): str(version) for key, version in noted["packages"].items()}
    here["python"] = str(noted["python"])
    patch = {key: ".".join([*version.split(".")[:2], "99"]) for key, version in here.items()}
    others_patches = judged.attempt("check_versions", pickles.with_versions(content, **patch))
    if others_patches.reply.error is not None:
        fail("a folder that differs in patch versions only is not let through")
    others: dict[str, dict[str, str | None]] = {
        "Python 3.8": {"python": "3.8.1"},
        "NumPy 1.26": {"numpy": "1.26.4"},
        "a scikit-learn to come": {"scikit_learn": "10.9.1"},
        "no scikit-learn recorded": {"scikit_learn": None},
        "a package that is not installed": {"surely_not_installed": "1.0"},
    }
    for package in ("python", "scikit_learn", "pandas"):
        others |= {f"{package} {other} for {here[package]}": {package: other} for other in prefixes(here[package])}
    for title, wrong in others.items():
        judged.attempt("check_versions", pickles.with_versions(content, **wrong)).must_be_refused(title)
    for title, data in {"not JSON": b"{", "a list": b"[]", "nothing in it": b"{}"}.items():
        files = {**content, "versions.json": data}
        judged.attempt("check_versions", files).must_be_refused(f"versions.json is {title}")
    del content["versions.json"]
    judged.attempt("check_versions", content).must_be_refused("versions.json is missing")


@question.check(
    points=1,
    hidden=True,
    needs=loads_what_you_shipped,
    hint="load two folders whose features.py differ, in one process: `import features` gives the first for both",
)
def each_folder_has_its_own_features(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """each folder's model uses the features.py of that folder"""
    content = yours()
    first = loads(loading, plan, content, "your own folder")
    other = b"""


_of_yours = schedule_features


def schedule_features(planned):
    table = _of_yours(planned)
    return table.iloc[[0] * len(table)].set_axis(table.index)
"""
    alike = loads(
        loading, plan, {**content, "features.py": content["features.py"] + other}, "a folder with another features.py"
    )
    expect(alike).is_close([alike[0]] * len(plan), abs=1e-12)
    expect(loads(loading, plan, content, "your own folder")).is_close(first, abs=1e-12)


### END HIDDEN TESTS
