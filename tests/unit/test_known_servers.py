"""A known server does what it was told, logs it, and is gone afterwards."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from course import known_servers
from course.checks.load import generators
from course.known_servers import Behaviour


def fetch(url: str) -> str:
    """How a request ended."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
            return str(answer.headers["X-Replica"])
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)
    except OSError:
        return "broken"


def test_replicas_take_turns_and_faults_occur_as_told():
    with known_servers.serve(Behaviour(replicas={"a": 0.0, "b": 0.0}, faults={"503": 3, "reset": 4})) as server:
        seen = [fetch(server.url) for _ in range(6)]
    assert seen == ["a", "b", "503", "broken", "a", "503"]
    assert [taken.kind for taken in server.log] == ["ok", "ok", "503", "reset", "ok", "503"]
    assert server.process.returncode == 0


def test_a_replica_that_works_on_one_request_lets_others_wait():
    behaviour = Behaviour(replicas={"a": 0.05}, at_once=1)
    calibration = generators.calibrate(behaviour, 40, 0.5)
    took = generators.served(calibration.log)
    assert len(took) == 20
    assert max(took) > 10 * 0.05


def test_no_answer_leaves_during_a_stall():
    calibration = generators.calibrate(Behaviour(replicas={"a": 0.0}, stall=(0.2, 0.5)), 20, 0.6)
    begun = calibration.log[0].came
    left = [taken.left - begun for taken in calibration.log if taken.left is not None]
    assert not [at for at in left if 0.25 < at < 0.65]
    assert len(left) == 12


def test_a_behaviour_names_what_it_does_not_know():
    with pytest.raises(ValueError, match="got \\['smoke'\\]"):
        Behaviour(faults={"smoke": 2})


def test_a_percentile_is_a_value_that_was_measured():
    assert generators.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert generators.percentile([1.0], 0.99) == 1.0
