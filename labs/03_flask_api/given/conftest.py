"""Fixtures for tests of a service: the same for your own and for those on which your tests are judged."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from api import create_app

ARTIFACT = Path(__file__).with_name("artifact")


@pytest.fixture
def artifact(tmp_path):
    """A folder of its own with a copy of the artifact, to do with what you like."""
    return Path(shutil.copytree(ARTIFACT, tmp_path / "artifact"))


@pytest.fixture
def client(artifact):
    """A client of a service that was made from `artifact`; no network is involved."""
    return create_app(artifact).test_client()  # not app.testing: errors shall become answers, as in production


@pytest.fixture
def client_with(tmp_path):
    """Makes clients of services whose metrics.json holds another threshold: `client_with(threshold=0.2)`."""

    def make(*, threshold):
        folder = Path(shutil.copytree(ARTIFACT, tmp_path / f"artifact-{len(list(tmp_path.iterdir()))}"))
        metrics = folder / "metrics.json"
        before = hashlib.sha256(metrics.read_bytes()).hexdigest()
        metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"threshold": threshold}))
        if (sums := folder / "SHA256SUMS").exists():  # the change is meant
            sums.write_text(sums.read_text().replace(before, hashlib.sha256(metrics.read_bytes()).hexdigest()))
        return create_app(folder).test_client()

    return make


@pytest.fixture
def flight():
    """A planned flight, as the service takes it."""
    return {
        "carrier": "UA",
        "origin": "EWR",
        "dest": "ORD",
        "distance": 719,
        "planned_departure": "2013-11-28T17:30:00-05:00",
        "planned_arrival": "2013-11-28T20:05:00-05:00",
    }
