"""What an artifact's model says, a scorer, and requests made from a service's own description."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest

from course import flights
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.http import contracts
from course.sandboxed import service_contract

REFERENCE = Path(__file__).resolve().parents[2] / "solutions" / "03_flask_api" / "given" / "reference" / "artifact"
SCHEMA = json.loads((REFERENCE / "schema.json").read_text())


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    shutil.copytree(REFERENCE, folder / "artifact")
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    return folder


def describe(body: dict) -> dict:
    content = {"application/json": {"schema": body}}
    fine = {"200": {"description": "fine"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "A test", "version": "1"},
        "paths": {"/predict": {"post": {"requestBody": {"content": content}, "responses": fine}}},
        "components": {"schemas": {"Flight": SCHEMA}},
    }


FLIGHT = describe({"$ref": "#/components/schemas/Flight"})


def test_an_artifact_says_the_same_with_and_without_onnx_and_in_any_zone(shipped):
    plan = flights.planned("2013-11-02", "2013-11-05").sample(40, random_state=0)
    sent, in_utc = contracts.as_sent(plan), contracts.as_sent(plan, "UTC")
    assert sent[0]["planned_departure"] != in_utc[0]["planned_departure"]
    with_onnx = contracts.ArtifactModel().probabilities(sent)
    assert with_onnx == pytest.approx(contracts.ArtifactModel().probabilities(in_utc), abs=1e-7)
    (shipped / "artifact" / "model.onnx").unlink()
    assert with_onnx == pytest.approx(contracts.ArtifactModel().probabilities(sent), abs=1e-5)


def test_an_artifact_that_is_missing_or_broken_is_told(shipped):
    (shipped / "artifact" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(Unmet, match=r"InvalidProtobuf|INVALID_PROTOBUF|Fail"):
        contracts.ArtifactModel().probabilities(contracts.as_sent(flights.planned("2013-11-02").head(1)))
    with pytest.raises(Unmet, match="no folder nowhere"):
        contracts.ArtifactModel("nowhere").probabilities([])


SCORER = """
    class Scorer:
        def __init__(self, artifact):
            self.artifact = artifact
            {once}

        def probabilities(self, flights):
            {each}
            return {answer}
"""
READ = '(self.artifact / "model.onnx").read_bytes()'


def scorer(shipped: Path, once: str = READ, each: str = "pass", answer: str = "[0.5] * len(flights)"):
    text = textwrap.dedent(SCORER).format(once=once, each=each, answer=answer)
    (shipped / "scoring.py").write_text(text)
    return contracts.Scorer("scoring")


def test_a_scorer_that_opens_its_artifact_once_is_told_from_one_that_opens_it_each_time(shipped):
    once = scorer(shipped)
    assert once.opened() == 1
    assert once.ask([{}], [{}, {}]) == ([[0.5], [0.5, 0.5]], 0)
    each = scorer(shipped, once="pass", each=READ)
    assert each.opened() == 0
    assert each.ask([{}], [{}])[1] == 2


def test_a_session_that_is_made_for_each_request_counts_as_opened(shipped):
    session = "import onnxruntime; onnxruntime.InferenceSession(str(self.artifact / 'model.onnx'))"
    assert scorer(shipped, once=session).opened() >= 1
    assert scorer(shipped, each=session).ask([{}])[1] >= 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("[0.5]", "one probability for each flight"),
        ("[1.5] * len(flights)", "between 0 and 1"),
        ("[float('nan')] * len(flights)", "between 0 and 1|form"),
        ("0.5", "not iterable"),
        ("[self.gone]", "has no attribute"),
    ],
)
def test_what_is_wrong_with_a_scorer_is_told(shipped, answer, says):
    with pytest.raises(Unmet, match=says):
        scorer(shipped, answer=answer).ask([{}, {}])


def test_a_scorer_of_another_name_or_without_the_method_is_told(shipped):
    (shipped / "scoring.py").write_text("Scoring = 1\n\n\ndef Empty(artifact):\n    return 1\n")
    with pytest.raises(Unmet, match=r"there is no Scorer in scoring\.py"):
        contracts.Scorer("scoring").opened()
    with pytest.raises(Unmet, match="no method probabilities"):
        contracts.Scorer("scoring", "Empty").opened()


def test_a_description_is_judged_by_the_validator():
    assert contracts.description_problems(json.dumps(FLIGHT)) == []
    assert "is not 3.1" in contracts.description_problems(json.dumps({**FLIGHT, "openapi": "3.0.3"}))[0]
    without = {name: value for name, value in FLIGHT.items() if name != "info"}
    assert "info" in contracts.description_problems(json.dumps(without))[0]


def test_bodies_are_made_from_the_description_half_of_them_bent_and_always_the_same():
    made = contracts.bodies(json.dumps(FLIGHT), count=40, seed=5)
    assert made == contracts.bodies(json.dumps(FLIGHT), count=40, seed=5)
    assert made != contracts.bodies(json.dumps(FLIGHT), count=40, seed=6)
    fair = [json.loads(body) for body, allowed in made if allowed]
    assert 10 <= len(fair) <= 30
    assert all(set(flight) == set(SCHEMA["properties"]) for flight in fair)
    bent = [json.loads(body) for body, allowed in made if not allowed]
    assert any(not isinstance(flight, dict) or set(flight) != set(SCHEMA["properties"]) for flight in bent)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "has no paths"),
        ([], "has no paths"),
        (describe({"$ref": "#/components/schemas/Gone"}), "no request can be made"),
        (describe({"$ref": "#/paths/~1predict/post/requestBody/content/application~1json/schema"}), "refers to itself"),
        (describe({"allOf": [{"type": "string"}, {"type": "integer"}]}), "can be made|satisfies"),
    ],
)
def test_a_description_of_which_no_request_can_be_made_is_told(document, says):
    with pytest.raises(Unmet, match=says):
        contracts.bodies(json.dumps(document), count=10)


def test_departures_come_before_arrivals_where_there_are_both():
    early, late = "2013-11-02T10:00:00-04:00", "2013-11-02T13:30:00Z"
    ordered = service_contract._in_order({"flights": [{"planned_departure": early, "planned_arrival": late}, 7]})
    assert ordered == {"flights": [{"planned_departure": late, "planned_arrival": early}, 7]}
    assert service_contract._in_order({"planned_departure": None}) == {"planned_departure": None}


class Answers:
    """A service that gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer

    def many(self, requests, clients):
        return [self.answer] * len(requests)


@pytest.mark.parametrize(
    ("status", "kind", "body", "says"),
    [
        (200, "application/json", b'{"probability": 0.5, "warn": true}', None),
        (422, "application/problem+json", b'{"type": "x", "title": "No", "status": 422, "detail": "why"}', None),
        (200, "application/json", b'{"error": "bad"}', "holds no prediction"),
        (422, "text/html", b"<p>bad</p>", "not said to be problem details"),
        (500, "application/problem+json", b'{"title": "No", "status": 500, "detail": ""}', "does not fit"),
        (302, "text/html", b"", "does not fit"),
    ],
)
def test_an_answer_is_a_prediction_or_a_problem_of_the_clients(status, kind, body, says):
    answer = contracts.Response("POST /predict", status, {"content-type": kind}, body)
    if says is None:
        assert len(contracts.fuzz(Answers(answer), json.dumps(FLIGHT), count=6)) == 6
        return
    with pytest.raises(CheckFailed, match=says):
        contracts.fuzz(Answers(answer), json.dumps(FLIGHT), count=6)


def test_probabilities_of_another_shape_are_refused(shipped, monkeypatch):
    monkeypatch.setattr(contracts._Asked, "request", lambda *_, **__: {"probability": np.array([np.nan])})
    artifact = contracts.ArtifactModel()
    with pytest.raises(Unmet, match="one probability for each flight"):
        artifact.probabilities([{}])
