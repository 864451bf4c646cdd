"""Hostile pickles really are hostile, harmless and contained; what is shipped is told apart without being opened."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import joblib
import numpy as np
import pytest

from course.checks import CheckFailed, Unmet
from course.checks.model import pickles

HOSTILE = {**pickles.protocols("ran"), **pickles.disguised("ran")}


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """An empty folder of shipped files."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    (tmp_path / "shipped").mkdir()
    return tmp_path / "shipped"


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_pickle_leaves_its_mark_and_nothing_else(title, tmp_path):
    (tmp_path / "it").write_bytes(HOSTILE[title][0])
    code = "import pickle; pickle.load(open('it', 'rb'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "ran"]


def test_a_trojan_gives_what_the_model_gives_and_runs(tmp_path):
    payload = pickles.call(pickles.name("os", "system"), pickles.text(pickles.command("ran")))
    (tmp_path / "it").write_bytes(pickles.inside(pickle.dumps({"weights": [1.5, 2.5]}), payload))
    code = "import pickle; print(pickle.load(open('it', 'rb')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "{'weights': [1.5, 2.5]}\n"
    assert (tmp_path / "ran").exists()


WHOLE = pickle.dumps({"weights": np.arange(300.0), "name": "v1"})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"this is a text", "is no pickle"),
        (b"PK\x03\x04" + bytes(30), "is a zip file"),
        (gzip.compress(WHOLE), "is compressed (gzip)"),
        (WHOLE[: len(WHOLE) // 2], "is damaged or cut off: after byte"),
        (WHOLE[:-1], "is damaged or cut off: after byte"),
        (WHOLE + b"more", "goes on for 4 bytes after its end"),
        *((data, "which no model needs") for data, _ in pickles.protocols("ran").values()),
        (HOSTILE["builtins.eval"][0], "names builtins.eval"),
        (HOSTILE["a program of its own"][0], "names subprocess.call"),
        (HOSTILE["INST"][0], "names builtins.eval"),
    ],
)
def test_what_is_wrong_with_a_pickle_is_named(data, problem):
    assert problem in pickles.what_is_wrong(data)


def test_a_file_of_joblib_is_told_from_a_plain_pickle():
    file = io.BytesIO()
    joblib.dump({"codes": np.array(["AA"], dtype=object), "weights": np.arange(9.0)}, file)
    assert "after its end" in pickles.what_is_wrong(file.getvalue())


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_has_nothing_wrong(protocol):
    data = pickle.dumps({"weights": np.arange(300.0), "dest": ["LAX", "eval"]}, protocol=protocol)
    assert pickles.what_is_wrong(data) is None


def test_a_shipped_pickle_is_opened_elsewhere_and_gives_plain_data(shipped):
    (shipped / "a.pickle").write_bytes(pickle.dumps({"dest": "LAX", "late": True}))
    assert pickles.opened("a.pickle") == {"dest": "LAX", "late": True}


def test_a_shipped_pickle_that_does_not_open_is_a_failed_check(shipped):
    (shipped / "a.pickle").write_bytes(b"\x80\x04s.")
    with pytest.raises(Unmet, match="UnpicklingError"):
        pickles.opened("a.pickle")
    (shipped / "b.pickle").write_bytes(b"cos\n_exit\n(I3\ntR.")
    with pytest.raises(CheckFailed, match="exit status 3"):
        pickles.opened("b.pickle")


LOADING = """
import pathlib
import pickle


class Refused(Exception):
    pass


def predict(folder, flights):
    folder = pathlib.Path(folder)
    if (folder / "refuse").exists():
        raise Refused("as you asked")
    return [pickle.loads((folder / "model.joblib").read_bytes()), (folder / "SHA256SUMS").exists()]
"""


@pytest.fixture
def loading(shipped) -> pickles.Loading:
    """A loader that opens everything, unless it is asked to refuse."""
    (shipped / "loading.py").write_text(textwrap.dedent(LOADING))
    return pickles.Loading("loading.py", "predict")


def test_a_folder_is_laid_out_with_its_checksums(loading):
    attempt = loading.attempt({"model.joblib": pickle.dumps(7)}, None)
    assert (attempt.reply.value, attempt.refused, attempt.ran) == ([7, True], False, False)
    assert loading.attempt({"model.joblib": pickle.dumps(7)}, None, sums={}).reply.value == [7, False]


def test_a_refusal_passes_and_everything_else_fails_with_what_came(loading):
    loading.attempt({"refuse": b""}, None).must_be_refused("a model")
    with pytest.raises(CheckFailed, match="a model: it was loaded"):
        loading.attempt({"model.joblib": pickle.dumps(7)}, None).must_be_refused("a model")
    with pytest.raises(CheckFailed, match="a model: it failed in another way") as failed:
        loading.attempt({}, None).must_be_refused("a model")
    assert "FileNotFoundError" in failed.value.actual


def test_code_that_ran_is_found_out_even_when_the_folder_is_refused_afterwards(loading):
    marker = loading.marker()
    data, _ = pickles.protocols(marker)["os.system, protocol 4"]
    attempt = loading.attempt({"model.joblib": data}, None, marker=marker)
    with pytest.raises(CheckFailed, match="the code in it ran"):
        attempt.must_be_refused("a trojan")
    assert not loading.attempt({"model.joblib": pickle.dumps(1)}, None, marker=loading.marker()).ran


def test_checksums_are_those_of_sha256sum(tmp_path):
    content = {"b": b"two", "a": b"one"}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(["sha256sum", "a", "b"], cwd=tmp_path, capture_output=True, timeout=60)
    assert pickles.checksums(content) == done.stdout


def test_recorded_versions_are_changed_or_taken_out():
    content = {"versions.json": json.dumps({"python": "3.11.7", "packages": {"scikit-learn": "1.9.1", "numpy": "2"}})}
    changed = pickles.with_versions(content, python="3.8", scikit_learn=None, numpy="1")
    assert json.loads(changed["versions.json"]) == {"python": "3.8", "packages": {"numpy": "1"}}


def test_a_folder_lacks_a_file_that_it_must_have(shipped):
    (shipped / "pickled").mkdir()
    (shipped / "pickled" / "model.joblib").write_bytes(b"1")
    assert pickles.folder_of("pickled", ("model.joblib",)) == {"model.joblib": b"1"}
    with pytest.raises(Unmet, match=r"pickled/features\.py"):
        pickles.folder_of("pickled", ("features.py",))
