"""Is the pickled model, with its versions and checksums, whole in one folder that needs nothing else?"""

import importlib.metadata
import platform
import re

from course import flights
from course.checks import Model, Question, expect, fail, fixture
from course.checks import model as shipped_model
from course.checks import text as shipped_text
from course.checks.model import pickles
from course.checks.model import probability_metrics as measure
from course.checks.model.labelled import Labelled, labelled

question = Question("The folder that is a model", points=10)


@fixture
def pickled() -> Model:
    """The shipped model, opened in a process of its own that imports from its folder."""
    return shipped_model("pickled", modules="pickled")


@fixture
def november() -> Labelled:
    """Some flights of November."""
    return labelled("2013-11-01", "2013-12-01").sample(3_000, seed=5)


@question.check(points=2)
def is_one_whole_pickle() -> None:
    """model.joblib is one whole, plain pickle"""
    pickles.shipped("pickled/model.joblib")


@question.check(points=2, needs=is_one_whole_pickle)
def the_folder_is_enough(pickled: Model, november: Labelled) -> None:
    """with this folder alone, a new process opens the model and ranks November's flights"""
    auc = measure.roc_auc(november.late, pickled.predict_proba(november.planned))
    expect(auc, "the ROC AUC in November").is_at_least(0.57)


@question.check(points=1)
def versions_are_those_of_here(pickled: Model) -> None:
    """versions.json says what is installed"""
    recorded = pickled.json("versions.json")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("packages"), dict):
        fail("versions.json lacks `packages`", expected='{"python": "…", "packages": {"scikit-learn": "…", …}}')
    expect(recorded.get("python"), "python").equals(platform.python_version())
    for name in ("scikit-learn", "numpy", "pandas", "joblib"):
        expect(recorded["packages"].get(name), name).equals(importlib.metadata.version(name))


@question.check(points=1)
def checksums_cover_all_files() -> None:
    """SHA256SUMS has the right checksum of each other file"""
    listed = {}
    for line in shipped_text("pickled/SHA256SUMS").splitlines():
        if (match := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line)) is None:
            fail("a line of SHA256SUMS has another form", expected="64 digits, two spaces, a name", actual=line)
        listed[match[2]] = match[1].lower()
    true = {}
    for line in pickles.checksums(pickles.folder_of("pickled", ("model.joblib", "features.py"))).decode().splitlines():
        true[line[66:]] = line[:64]
    for name, checksum in true.items():
        if name not in listed:
            fail(f"SHA256SUMS says nothing of {name}")
        if listed[name] != checksum:
            fail(
                f"the checksum of {name} is not that of the file",
                hint="write the sums last, from the files as they are",
            )
    if extra := sorted(set(listed) - set(true)):
        fail(f"SHA256SUMS lists {extra[0]}, which is not there", hint="it cannot list itself")
