"""A shipped artifact is read with care and its models are opened elsewhere; what is wrong with it is said in words."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from course import flights
from course.checks import CheckFailed, Unmet
from course.checks.model.artifacts import MODELS, Formats, artifact_folder, flights_as_json

pytestmark = pytest.mark.usefixtures("warm_workers")

REFERENCE = Path(__file__).parents[2] / "solutions" / "03_flask_api" / "given" / "reference" / "artifact"


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """A shipped folder `artifact` that is whole."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    return Path(shutil.copytree(REFERENCE, tmp_path / "artifact"))


@pytest.fixture(scope="module")
def few() -> pd.DataFrame:
    """Some planned flights."""
    return flights.planned("2013-11-05").head(40)


class Payload:
    """Runs a command in whoever unpickles it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.target}",)


def test_the_three_models_say_the_same_and_the_folder_is_whole(shipped, few):
    found = artifact_folder()
    found.complete()
    found.check_sums()
    by = [found.predict(name, few) for name in MODELS]
    assert np.abs(by[1] - by[0]).max() < 1e-5
    assert np.abs(by[2] - by[0]).max() < 1e-5
    assert set(found.inputs()) == set(found.columns(few))


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("model.joblib", lambda path: path.write_bytes(path.read_bytes()[:2000]), "is damaged"),
        ("model.joblib", lambda path: path.write_bytes(b"\x00" * 500), "is damaged"),
        ("model.joblib", lambda path: joblib.dump({"a": 1}, path), "holds no model"),
        ("model.joblib", lambda path: path.write_bytes(b""), "is empty"),
        ("model.skops", lambda path: path.write_bytes(path.read_bytes()[:2000]), "is damaged"),
        ("model.skops", lambda path: joblib.dump([1], path), "is damaged"),
        ("model.skops", lambda path: skops.io.dump({"a": 1}, path), "holds no model"),
        ("model.onnx", lambda path: path.write_bytes(path.read_bytes()[:2000]), "is damaged"),
        ("model.onnx", lambda path: path.write_text("a model"), "is damaged"),
        ("model.onnx", lambda path: path.unlink(), "there is no model.onnx"),
    ],
)
def test_a_damaged_foreign_or_missing_model_is_told_apart(shipped, few, name, spoil, words):
    spoil(shipped / name)
    with pytest.raises(Unmet, match=words):
        artifact_folder().predict(name, few)


def test_a_hostile_pickle_is_named_and_does_not_run(shipped, few, tmp_path):
    mark = tmp_path / "ran"
    (shipped / "model.joblib").write_bytes(pickle.dumps({"model": Payload(mark)}))
    with pytest.raises(Unmet, match=r"reaches for (posix|nt|os)\.system"):
        artifact_folder().predict("model.joblib", few)
    assert not mark.exists()


def test_a_skops_file_that_needs_code_is_named(shipped, few):
    import subprocess

    skops.io.dump(FunctionTransformer(subprocess.getoutput), shipped / "model.skops")
    with pytest.raises(Unmet, match=r"reaches for subprocess\.getoutput"):
        artifact_folder().predict("model.skops", few)


def test_a_pickle_that_lacks_its_module_says_so(shipped, few):
    (shipped / "features.py").unlink()
    with pytest.raises(Unmet, match="No module named 'features'"):
        artifact_folder().predict("model.joblib", few)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda folder: (folder / "card.md").write_text("# Another"),
            "the checksum of card.md is not the one in SHA256SUMS",
        ),
        (lambda folder: (folder / "more.txt").write_text("x"), "does not cover more.txt"),
        (lambda folder: (folder / "card.md").unlink(), "names card.md, which is not there"),
        (lambda folder: (folder / "SHA256SUMS").write_text("abc  card.md\n"), "line 1 of SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").open("a").write(f"{'0' * 64}  SHA256SUMS\n"), "covers itself"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "there is no SHA256SUMS"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_checksums_that_do_not_hold_are_explained(shipped, change, words):
    change(shipped)
    with pytest.raises(CheckFailed, match=words):
        artifact_folder().check_sums()


@pytest.mark.parametrize("mark", ["*", " "])
def test_checksums_are_read_as_sha256sum_reads_them(shipped, mark):
    place = shipped / "SHA256SUMS"
    lines = [f"{line[:64].upper()} {mark}{line[66:]}\n" for line in place.read_text().splitlines()]
    place.write_text("".join(lines))
    artifact_folder().check_sums()


def test_a_card_may_have_headings_of_any_kind(shipped):
    words = "eight words at least are to be here, and so there are."
    card = (
        f"A model\n=======\n\n**Who it is for:** {words}\n\nTraining data\n---\n{words}\n\n### Quality ###\n{words}\n"
    )
    (shipped / "card.md").write_text(f"{card}\n**Risks**\n\n{words}\n")
    artifact_folder().check_card()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("## Limits", "## More", "no heading in card.md names the limits"),
        ("The order of flights holds", "## Other\nThe", "hardly anything"),
    ],
)
def test_a_card_that_lacks_something_is_told_what(shipped, old, new, words):
    card = (shipped / "card.md").read_text()
    assert old in card
    (shipped / "card.md").write_text(card.replace(old, new))
    with pytest.raises(CheckFailed, match=words):
        artifact_folder().check_card()


def test_a_schema_judges_flights_with_their_times(shipped, few):
    flight = flights_as_json(few)[0]
    verdicts = artifact_folder().verdicts([flight, {**flight, "planned_departure": "2013-11-05"}, {}])
    assert verdicts[0] == ""
    assert all(verdicts[1:])


@pytest.mark.parametrize("schema", [{"type": "flight"}, [], {}, {"$ref": "https://example.com/flight.json"}])
def test_what_is_no_schema_is_no_fault_of_the_grader(shipped, schema):
    (shipped / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(Unmet, match=r"."):
        artifact_folder().verdicts([{}])


def test_formats_are_tried_on_a_model_that_is_made_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    (tmp_path / "formats.py").write_text(
        "import numpy as np\nimport skops.io\n"
        "def feed(table):\n    return {name: table[[name]].to_numpy(np.float32) for name in table}\n"
        "def convert(model, table):\n    return 'ONNX'\n"
        "def open_skops(path):\n    return skops.io.load(path, trusted=['numpy.dtype'])\n"
    )
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", "y"]})
    formats = Formats()
    assert formats.feed(table[["a"]])["a"].shape == (4, 1)
    with pytest.raises(Unmet, match="something else than bytes"):
        formats.convert(table, [True, False, True, False], table, encode=["b"], scale=["a"])
    assert formats.open_skops("honest") == {"same": True}
    assert "system" in formats.open_skops("system")["refused"]


def test_a_model_in_the_store_of_another_kind_is_still_only_a_model(shipped, few):
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [False, True]), shipped / "model.joblib")
    with pytest.raises(Unmet, match=r"."):
        artifact_folder().predict("model.joblib", few)


@pytest.mark.parametrize(
    "card",
    [
        "# v1\n\n## Intended use\n\n### Who\n\n{words}\n\n## Data\n\n#### Where\n\n{words}\n\n## Metrics\n\n"
        "**ROC AUC** 0.69 {words}\n\n## Limits\n\n- **Season:** {words}\n",
        "#### Intended use\n{words}\n#### Training data\n{words}\n#### Scores\n{words}\n#### Limitations\n{words}\n",
        "**Intended use.** {words}\n\n**Data** — {words}\n\n- **Metrics**: {words}\n- __Limits__\n  {words}\n",
        "Late Flights\n============\n\nIntended use\n---\n{words}\n\nData\n---\n{words}\n\n"
        "Metrics\n--\n{words}\n\nLimits\n--\n{words}\n",
    ],
    ids=["deeper headings below", "deep headings only", "bold leads", "underlined"],
)
def test_a_card_may_have_headings_of_any_form(shipped, card):
    (shipped / "card.md").write_text(card.format(words="Some eight words or more that say what is to be said here"))
    artifact_folder("artifact").check_card()


def test_the_title_of_a_card_is_no_section(shipped):
    words = "eight words or more that say what is to be said here"
    card = f"# Use, data, metrics and limits\n\n## Intended use\n\n{words}\n\n## Data\n\n{words}\n\n"
    card += f"## Metrics\n\n{words}\n"
    (shipped / "card.md").write_text(card)
    with pytest.raises(CheckFailed, match="names the limits"):
        artifact_folder("artifact").check_card()
