"""Is the pickled model, with its versions and checksums, whole in one folder that needs nothing else?"""

import importlib.metadata
import platform
import re
from typing import Any

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


@question.check(points=1)
def the_folder_is_enough(pickled: Model, november: Labelled) -> None:
    """with this folder alone, a new process opens the model and ranks November's flights"""
    auc = measure.roc_auc(november.late, pickled.predict_proba(november.planned))
    expect(auc, "the ROC AUC in November").is_at_least(0.57)


def recorded(pickled: Model) -> dict[str, Any]:
    """What versions.json records; fail if it is something else than an object."""
    found = pickled.json("versions.json")
    if not isinstance(found, dict):
        fail(
            "versions.json holds no JSON object", expected='{"python": "…", "packages": {…}}', actual=repr(found)[:200]
        )
    return found


@question.check(points=1)
def python_is_that_of_here(pickled: Model) -> None:
    """versions.json records this Python, as "python" """
    expect(recorded(pickled).get("python"), "python").equals(platform.python_version())


@question.check(points=2)
def packages_are_those_of_here(pickled: Model) -> None:
    """versions.json records the four packages that are installed, under "packages" """
    packages = recorded(pickled).get("packages")
    if not isinstance(packages, dict):
        expected = '{"python": "…", "packages": {"scikit-learn": "…", …}}'
        fail("versions.json has no object `packages`", expected=expected, actual=repr(packages)[:200])
    for name in ("scikit-learn", "numpy", "pandas", "joblib"):
        expect(packages.get(name), name).equals(importlib.metadata.version(name))


def listed() -> dict[str, str]:
    """What SHA256SUMS lists: the name of a file → its checksum."""
    found = {}
    for line in shipped_text("pickled/SHA256SUMS").splitlines():
        if (match := re.fullmatch(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line)) is None:
            fail("a line of SHA256SUMS has another form", expected="64 digits, two spaces, a name", actual=repr(line))
        found[match[2]] = match[1].lower()
    return found


def true_sums() -> dict[str, str]:
    """The checksums of the files as they are."""
    lines = pickles.checksums(pickles.folder_of("pickled", ("model.joblib",))).decode().splitlines()
    return {line[66:]: line[:64] for line in lines}


@question.check(points=1)
def checksums_cover_all_files() -> None:
    """SHA256SUMS lists each other file of the folder, and no more"""
    there, named = true_sums(), listed()
    if missing := sorted(set(there) - set(named)):
        fail(f"SHA256SUMS says nothing of {missing[0]}", hint="write it last, when all other files are there")
    if extra := sorted(set(named) - set(there)):
        fail(f"SHA256SUMS lists {extra[0]!r}, which is not there", hint="it cannot list itself")


@question.check(points=1)
def checksums_are_true() -> None:
    """the checksums are those of the files"""
    named = listed()
    agreeing = 0
    for name, checksum in true_sums().items():
        if named.get(name, checksum) != checksum:
            fail(
                f"the checksum of {name} is not that of the file",
                expected=checksum,
                actual=named[name],
                hint="write the sums last, from the files as they are",
            )
        agreeing += name in named
    expect(agreeing, "the number of files whose checksum is listed and true").is_at_least(1)
