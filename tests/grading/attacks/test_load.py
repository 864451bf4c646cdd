"""Attacks by a load.py: a report that is invented, a flood of other ports and processes, a run that never ends."""

from __future__ import annotations

import pytest

from course.base.errors import UserError
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed
from course.checks.load import generators
from course.grading.sandbox import launcher, policy, zygote
from course.known_servers import Behaviour

FLOOD = """
import json, os, socket, sys
reached = 0
for port in (PORT, 22, 80):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        reached += 1
    except OSError:
        pass
if FORK:
    while True:
        os.fork()
print(json.dumps({"steps": [{"sent": reached}], "knee": None}))
"""


@pytest.fixture
def shipped(warm, tmp_path, monkeypatch):
    """A function that ships a load.py, which then runs in the sandbox."""
    if policy.why_not() is not None:
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    tmp_path.chmod(0o755)
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    return lambda source: (tmp_path / "load.py").write_text(source)


def test_an_invented_report_earns_nothing(shipped):
    shipped('import json; print(json.dumps({"steps": [{"sent": 30, "p50": 0.08}], "knee": 20}))')
    with pytest.raises(CheckFailed, match="no request came"):
        generators.measured(Behaviour(), [20], 0.1)


def test_no_port_of_the_machine_is_reached(shipped, arena):
    shipped(FLOOD.replace("PORT", str(arena.port)).replace("FORK", "False"))
    with pytest.raises(CheckFailed, match="no request came") as failure:
        generators.measured(Behaviour(), [20], 0.1)
    assert '{"sent": 0}' in str(failure.value.actual)


def test_a_load_that_forks_without_end_is_stopped(shipped):
    shipped(FLOOD.replace("PORT", "1").replace("FORK", "True"))
    with pytest.raises((CheckFailed, UserError)):
        generators.measured(Behaviour(), [20], 0.1)


def test_a_load_that_never_ends_is_stopped_and_its_server_is_gone(shipped, monkeypatch):
    monkeypatch.setattr(generators, "_SLACK_S", 2.0)
    shipped("import time; time.sleep(1000)")
    with pytest.raises(CheckFailed, match="did not end"):
        generators.measured(Behaviour(), [20], 0.1, timeout=0.1)


def test_a_report_without_end_is_refused(shipped):
    shipped("print('[' * 60_000)")
    with pytest.raises(CheckFailed):
        generators.measured(Behaviour(), [20], 0.1)
