"""The course's own artifact: whole, unlike the reference, and the measure of shipped scorers and services."""

from __future__ import annotations

import hashlib
import json
import shutil
import textwrap
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from course import flights
from course.checks.core.expectations import Unmet
from course.checks.http import contracts, services
from course.checks.http.course_artifact import course_artifact, service_with
from course.checks.http.helped_services import entry
from course.checks.model.labelled import labelled
from course.sandboxed import programs

REFERENCE = Path(__file__).resolve().parents[2] / "solutions" / "03_flask_api" / "given" / "reference" / "artifact"


@pytest.fixture(scope="module")
def sent():
    return contracts.as_sent(flights.planned("2013-11-20").sample(100, random_state=1))


@pytest.fixture(scope="module")
def some():
    return labelled("2013-11-01", "2013-12-01").sample(2000, seed=1)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    shutil.copytree(REFERENCE, folder / "artifact")
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    yield folder
    while services._pool:
        services._pool.popitem()[1].talk.close()


def ship(folder: Path, name: str, source: str) -> None:
    (folder / name).write_text(textwrap.dedent(source))


@pytest.mark.parametrize("threshold", [0.2, 1 / 3])
def test_its_checksums_fit_whatever_its_threshold(threshold):
    artifact = course_artifact(threshold)
    assert set(artifact.files) == {path.name for path in REFERENCE.iterdir()}
    assert artifact.json("metrics.json")["threshold"] == artifact.threshold == threshold
    lines = artifact.files["SHA256SUMS"].decode().splitlines()
    assert sorted(lines) == sorted(
        f"{hashlib.sha256(content).hexdigest()}  {name}"
        for name, content in artifact.files.items()
        if name != "SHA256SUMS"
    )


def test_its_models_agree_with_each_other_and_not_with_the_reference(shipped, sent):
    artifact = course_artifact()
    by_onnx = artifact.probabilities(sent)
    without = course_artifact()
    (without.folder / "model.onnx").unlink()
    assert without.probabilities(sent) == pytest.approx(by_onnx, abs=1e-5)
    difference = np.abs(by_onnx - contracts.ArtifactModel().probabilities(sent))
    assert np.median(difference) > 0.02
    assert 0.1 < (by_onnx >= artifact.threshold).mean() < 0.9
    for name in ("features.py", "schema.json"):
        assert artifact.files[name] == (REFERENCE / name).read_bytes(), "run course.labs.course_artifact again"


def test_an_artifact_must_rank_flights_that_it_has_not_seen(shipped, some):
    contracts.ArtifactModel().must_rank(some)
    (shipped / "artifact" / "model.onnx").unlink()
    constant = make_pipeline(FunctionTransformer(validate=False), DummyClassifier(strategy="prior"))
    joblib.dump(constant.fit(some.planned, some.late), shipped / "artifact" / "model.joblib")
    with pytest.raises(Unmet, match="hardly better than a coin") as caught:
        contracts.ArtifactModel().must_rank(some)
    assert caught.value.actual == "0.50"


def test_a_scorer_that_knows_one_answer_does_not_agree_with_it(shipped, sent):
    ship(
        shipped,
        "scoring.py",
        """
        class Scorer:
            def __init__(self, artifact):
                self.card = (artifact / "card.md").read_text()

            def probabilities(self, flights):
                return [0.5] * len(flights)
        """,
    )
    artifact = course_artifact()
    (said,), opened = contracts.Scorer(artifact=artifact).ask(sent)
    assert opened == 0
    assert np.abs(said - artifact.probabilities(sent)).max() > 0.1


def test_a_service_is_started_with_it_in_place_of_its_own(shipped):
    ship(
        shipped,
        "wsgi.py",
        """
        import json, os
        from pathlib import Path
        from flask import Flask

        artifact = Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", Path(__file__).with_name("artifact")))
        app = Flask(__name__)
        app.add_url_rule("/", "threshold", lambda: json.loads((artifact / "metrics.json").read_text()))
        """,
    )
    assert service_with(course_artifact(0.125)).get("/").json()["threshold"] == 0.125
    assert services.service().get("/").json() == json.loads((REFERENCE / "metrics.json").read_text())


def test_a_service_is_judged_with_the_courses_part_in_place_of_one_that_keeps_it_from_starting(shipped):
    stand_in = Path(programs.__file__).with_name("stand_in.py").read_text(encoding="utf-8")
    ship(shipped, "course_api.py", stand_in.replace("def create_app", "from scoring import Scorer\n\n\ndef create_app"))
    ship(shipped, "api.py", "from course_api import create_app\n")
    ship(
        shipped, "wsgi.py", "from pathlib import Path\nfrom api import create_app\napp = create_app(Path('artifact'))\n"
    )
    ship(shipped, "scoring.py", "raise NotImplementedError\n")
    artifact = course_artifact()
    begins = entry(artifact)
    assert {name for name in begins.files if name in ("course_scoring.py", "course_openapi.py")} == {
        "course_scoring.py"
    }
    assert begins.service(artifact).get("/ready").status == 200
    with pytest.raises(Unmet, match=r"did not start"):
        service_with(artifact).get("/ready")


def test_a_service_whose_own_file_is_at_fault_gets_no_help(shipped):
    ship(shipped, "api.py", "raise NotImplementedError\n")
    ship(shipped, "wsgi.py", "from api import create_app\napp = create_app(None)\n")
    assert entry(course_artifact()).module == "wsgi"
