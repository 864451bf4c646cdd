"""The service that stands in keeps the contract by which tests of services are judged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from course.base.result import Outcome
from course.checks.core import loading
from course.checks.http import services
from course.checks.http.course_artifact import course_artifact
from course.sandboxed import programs
from course.sandboxed.programs.stand_in import create_app

LAB = Path(__file__).resolve().parents[2] / "solutions" / "03_flask_api"
SOURCE = Path(programs.__file__).with_name("stand_in.py").read_text()
OF_ITS_MODEL = {"it_says_what_the_model_says", "it_serves_another_artifact", "it_warns_from_the_threshold_on"}
WSGI = """
import os
from pathlib import Path
from api import create_app
app = create_app(Path(os.environ.get("LATE_FLIGHTS_ARTIFACT", Path(__file__).with_name("artifact"))))
"""

FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "ORD",
    "distance": 719,
    "planned_departure": "2013-11-28T17:30:00-05:00",
    "planned_arrival": "2013-11-28T20:05:00-05:00",
}


@pytest.fixture
def client(tmp_path):
    for name, content in course_artifact(0.25).files.items():
        (tmp_path / name).write_bytes(content)
    return create_app(tmp_path).test_client()


def refused(response, status: int) -> bool:
    problem = response.get_json()
    return response.status_code == problem["status"] == status and response.mimetype == "application/problem+json"


def test_a_flight_has_a_probability_and_a_warning(client):
    answer = client.post("/predict", json=FLIGHT).get_json()
    assert 0 < answer["probability"] < 1
    assert answer["warn"] is (answer["probability"] >= 0.25)


def test_many_flights_keep_their_order(client):
    flights = [FLIGHT | {"distance": miles} for miles in (700, 200, 900)]
    alone = [client.post("/predict", json=one).get_json() for one in flights]
    assert client.post("/predict", json={"flights": flights}).get_json() == {"predictions": alone}


@pytest.mark.parametrize(
    "body",
    [
        5,
        [],
        {},
        "x",
        FLIGHT | {"gate": 1},
        {name: value for name, value in FLIGHT.items() if name != "dest"},
        FLIGHT | {"distance": True},
        FLIGHT | {"distance": 0},
        FLIGHT | {"distance": 12_501},
        FLIGHT | {"distance": 10**400},
        FLIGHT | {"origin": "Boston"},
        FLIGHT | {"planned_arrival": FLIGHT["planned_departure"]},
        FLIGHT | {"planned_departure": "2013-11-28T19:30:00-08:00"},
        FLIGHT | {"planned_departure": "0001-01-01T00:00:00+14:00"},
        FLIGHT | {"planned_departure": "2013-11-28T17:30:00"},
        FLIGHT | {"planned_arrival": 5},
        {"flights": []},
        {"flights": {}},
        {"flights": [FLIGHT, {}]},
        {"flights": [FLIGHT], "more": 1},
        {"flights": [FLIGHT] * 1001},
    ],
)
def test_what_does_not_fit_is_refused(client, body):
    assert refused(client.post("/predict", json=body), 422)


def test_other_mistakes_have_their_own_status(client):
    assert refused(client.post("/predict", data="{", content_type="application/json"), 400)
    assert refused(client.post("/predict", data="x", content_type="text/plain"), 415)
    assert refused(client.post("/predict", data=b" " * (2**20 + 1), content_type="application/json"), 413)
    assert refused(client.get("/nowhere"), 404)
    assert refused(client.get("/predict"), 405)
    assert "POST" in client.get("/predict").headers["Allow"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/model", "/openapi.json"])
def test_it_describes_itself(client, path):
    assert client.get(path).status_code == 200
    assert client.get("/model").get_json()["threshold"] == 0.25


def test_the_same_moment_has_the_same_probability_in_every_zone(client):
    utc = FLIGHT | {"planned_departure": "2013-11-28T22:30:00Z", "planned_arrival": "2013-11-29T01:05:00Z"}
    assert client.post("/predict", json=utc).get_json() == client.post("/predict", json=FLIGHT).get_json()


def test_without_an_artifact_it_lives_and_is_not_ready(tmp_path):
    client = create_app(tmp_path).test_client()
    assert client.get("/health").get_json() == {"status": "ok"}
    assert refused(client.get("/ready"), 503)
    assert refused(client.post("/predict", json=FLIGHT), 503)


@pytest.mark.parametrize(("refused", "threshold"), [(422, 0.25), (400, 0.4)])
@pytest.mark.parametrize("question", ["03-1-api", pytest.param("03-1-clients", marks=pytest.mark.exhaustive)])
def test_it_keeps_what_the_service_of_lab_03_is_judged_by(refused, threshold, question, tmp_path, monkeypatch):
    """All but what only the artifact's own model can say."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    (tmp_path / "api.py").write_text(SOURCE.replace("REFUSED = 422", f"REFUSED = {refused}"))
    (tmp_path / "wsgi.py").write_text(WSGI)
    artifact = course_artifact(threshold)
    shutil.copytree(artifact.folder, tmp_path / "artifact")
    try:
        result = loading.load(LAB / "checks", question).result()
    finally:
        while services._pool:
            services._pool.popitem()[1].talk.close()
    failed = {check.name for check in result.checks if check.outcome is not Outcome.PASS}
    assert failed <= OF_ITS_MODEL, result.to_text()
