"""The service that stands in keeps the contract by which tests of services are judged."""

from __future__ import annotations

import pytest

from course.sandboxed.programs.stand_in import create_app

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
    (tmp_path / "metrics.json").write_text('{"threshold": 0.25}')
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
        FLIGHT | {"origin": "BOS"},
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
