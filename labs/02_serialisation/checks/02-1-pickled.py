"""The folder that is a model."""

import importlib.metadata
import platform
import re

from course import flights
from course.checks import Question, expect, fail
from course.checks import model as shipped_model
from course.checks import text as shipped_text
from course.checks.model import pickles
from course.checks.model import probability_metrics as measure

question = Question("The folder that is a model", points=10)
pickled = shipped_model("pickled", modules="pickled")  # opened in a process of its own that imports from this folder


def of_month(first: str, after: str):
    """Some planned flights of a month, and whether they were late."""
    plan = flights.planned(first, after)
    late = flights.labels(plan)
    some = plan[late.notna()].sample(3_000, random_state=5)
    return some, late[some.index].astype(bool)


@question.check(points=2)
def is_one_whole_pickle():
    """model.joblib is one whole, plain pickle"""
    pickles.shipped("pickled/model.joblib")


@question.check(points=2, needs=is_one_whole_pickle)
def the_folder_is_enough():
    """with this folder alone, a new process opens the model and ranks November's flights"""
    plan, late = of_month("2013-11-01", "2013-12-01")
    expect(measure.roc_auc(late, pickled.predict_proba(plan)), "the ROC AUC in November").is_at_least(0.57)


@question.check(points=1)
def versions_are_those_of_here():
    """versions.json says what is installed"""
    recorded = pickled.json("versions.json")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("packages"), dict):
        fail("versions.json lacks `packages`", expected='{"python": "…", "packages": {"scikit-learn": "…", …}}')
    expect(recorded.get("python"), "python").equals(platform.python_version())
    for name in ("scikit-learn", "numpy", "pandas", "joblib"):
        expect(recorded["packages"].get(name), name).equals(importlib.metadata.version(name))


@question.check(points=1)
def checksums_cover_all_files():
    """SHA256SUMS has the right checksum of each other file"""
    listed = {}
    for line in shipped_text("pickled/SHA256SUMS").splitlines():
        if (found := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line)) is None:
            fail("a line of SHA256SUMS has another form", expected="64 digits, two spaces, a name", actual=line)
        listed[found[2]] = found[1].lower()
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
