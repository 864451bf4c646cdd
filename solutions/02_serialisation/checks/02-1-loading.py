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


### BEGIN HIDDEN TESTS


@question.check(
    points=3,
    hidden=True,
    needs=loads_what_you_shipped,
    hint="only whole names on the list are safe; packages have helpers that run text, and modules inside modules",
)
def no_hostile_pickle_runs(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """hostile pickles of every form are refused, and none runs"""
    marker = loading.marker()
    for make in (pickles.protocols, pickles.disguised):
        for title, (data, _) in make(marker).items():
            loading.attempt(with_model(data), plan, marker=marker).must_be_refused(title)
    whole = yours()["model.joblib"]
    line = pickles.statement(marker).encode()
    for payload in (
        b"cbuiltins\neval\n(V" + line + b"\ntR",
        b"(V" + line + b"\nibuiltins\neval\n",
        pickles.call(pickles.name("sklearn._config", "os.system"), pickles.text(pickles.command(marker))),
        pickles.call(pickles.name("copyreg", "_reconstructor"), pickles.name("subprocess", "Popen"), b"NN"),
    ):
        inside = pickles.inside(whole, payload)
        loading.attempt(with_model(inside), plan, marker=marker).must_be_refused("a trojan")
    behind = whole + pickles.protocols(marker)["os.system, protocol 4"][0]
    loading.attempt(with_model(behind), plan, marker=marker).must_be_refused("a second pickle behind the model")


@question.check(
    points=1,
    hidden=True,
    needs=loads_what_you_shipped,
    hint="what imports() raises must become Refused, too",
)
def damaged_pickles_are_refused(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """what is cut off, empty, compressed or no pickle is refused, with right checksums too"""
    whole = yours()["model.joblib"]
    packed = io.BytesIO()
    joblib.dump({"a": 1}, packed, compress=3)
    for title, data in {
        "an empty model": b"",
        "a model that is cut off": whole[: len(whole) // 2],
        "a model without its end": whole[:-1],
        "a compressed file": packed.getvalue(),
        "no pickle": b"this is a text, and no pickle",
    }.items():
        loading.attempt(with_model(data), plan).must_be_refused(title)


@question.check(
    points=2,
    hidden=True,
    needs=loads_what_you_shipped,
    hint="all that is in the folder is listed, all that is listed is there; before that is sure, nothing is imported",
)
def every_file_is_covered(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """files that were changed, added, or not listed are refused before anything runs"""
    content, marker = yours(), loading.marker()
    mark = f"\n{pickles.statement(marker)}\n".encode()
    changed = {**content, "features.py": content["features.py"] + mark}
    loading.attempt(changed, plan, marker=marker, sums=content).must_be_refused("features.py was changed")
    unlisted = {name: data for name, data in content.items() if name != "features.py"}
    loading.attempt(changed, plan, marker=marker, sums=unlisted).must_be_refused("features.py is not listed")
    loading.attempt(content, plan, sums={}).must_be_refused("there is no SHA256SUMS")
    added = {**content, "numpy.py": mark}
    loading.attempt(added, plan, marker=marker, sums=content).must_be_refused("numpy.py was added")
    missing = {**content, "more.json": b"{}"}
    loading.attempt(content, plan, sums=missing).must_be_refused("a listed file is missing")


@question.check(
    points=2,
    hidden=True,
    needs=loads_what_you_shipped,
    hint="compare major and minor versions of Python and of every package recorded; some may not be installed",
)
def versions_are_compared_by_the_rule(loading: pickles.Loading, plan: pd.DataFrame) -> None:
    """other versions of Python and of packages are refused, patches are not"""
    content = yours()
    noted = json.loads(content["versions.json"])
    patch = {
        key.replace("-", "_"): ".".join([*str(version).split(".")[:2], "99"])
        for key, version in {**noted["packages"], "python": noted["python"]}.items()
    }
    loads(loading, plan, pickles.with_versions(content, **patch), "a folder that differs in patch versions only")
    others: dict[str, dict[str, str | None]] = {
        "Python 3.8": {"python": "3.8.1"},
        "NumPy 1.26": {"numpy": "1.26.4"},
        "a scikit-learn to come": {"scikit_learn": "10.9.1"},
        "no scikit-learn recorded": {"scikit_learn": None},
        "a package that is not installed": {"surely_not_installed": "1.0"},
    }
    for title, wrong in others.items():
        loading.attempt(pickles.with_versions(content, **wrong), plan).must_be_refused(title)
    for title, data in {"not JSON": b"{", "a list": b"[]", "nothing in it": b"{}"}.items():
        loading.attempt({**content, "versions.json": data}, plan).must_be_refused(f"versions.json is {title}")
    del content["versions.json"]
    loading.attempt(content, plan).must_be_refused("versions.json is missing")


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
