"""What a session of the grader creates on an engine goes: at its end, and after a grader that was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.checks.core.expectations import NotGradedHere
from course.checks.core.sessions import SESSION_LABEL
from course.checks.docker import engines
from course.checks.docker.containers import run
from course.checks.docker.images import BuildLimits, build

BASE = "python:3.11-slim"

# another grader, in a process of its own: it says what it does, and then waits
GRADER = """
import sys, time
from course.checks.docker import engines
from course.checks.docker.containers import run
from course.checks.docker.contexts import context
from course.checks.docker.images import build

print(engines.engine().id, flush=True)
image = build(context("image"))
container = run(image)
container.start()
print("ready", flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
if sys.argv[1] == "ask":
    time.sleep(4)
    print(container.get("/health").status, flush=True)
"""


def of(api, mark: str) -> list[str]:
    """All that carries the label of a session."""
    label = f"{SESSION_LABEL}={mark}"
    found = api.containers(all=True, filters={"label": label}) + api.images(all=True, filters={"label": label})
    return [one["Id"] for one in found + api.networks(filters={"label": label})]


@contextlib.contextmanager
def grader(shipped: Path, what: str):
    """Another grader; it is killed at the end of the block."""
    env = {**os.environ, "COURSE_SHIPPED": str(shipped)}
    process = subprocess.Popen([sys.executable, "-c", GRADER, what], env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def gone(api, mark: str, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while of(api, mark) and time.monotonic() < deadline:
        engines.sweep(api)
        time.sleep(0.3)
    return not of(api, mark)


def test_a_session_removes_everything_that_it_created(ship, api):
    image = build(ship())
    run(image).start()
    mark = image.engine.id
    assert len(of(api, mark)) > 3
    image.engine.end()
    assert of(api, mark) == []


def test_what_a_killed_grader_left_is_removed_by_the_next(ship, tmp_path, api):
    ship()
    with grader(tmp_path / "shipped", "wait") as process:
        mark = process.stdout.readline().strip()
        assert process.stdout.readline() == "ready\n"
        assert len(of(api, mark)) > 3
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert gone(api, mark)


def test_a_grader_killed_in_the_middle_of_a_build_leaves_nothing(ship, tmp_path, api):
    ship(f"FROM {BASE}\nRUN touch /one\nRUN sleep 500\n")
    with grader(tmp_path / "shipped", "wait") as process:
        mark = process.stdout.readline().strip()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            running = api.containers(filters={"label": f"{SESSION_LABEL}={mark}"})
            if any("sleep 500" in one["Command"] for one in running):
                break
            time.sleep(0.1)
        else:
            pytest.fail("the build did not come to its last step")
    assert gone(api, mark)


def test_two_graders_at_once_leave_each_other_alone(ship, tmp_path, api):
    context = ship()
    with grader(tmp_path / "shipped", "ask") as process:
        mark = process.stdout.readline().strip()
        image = build(context)
        assert process.stdout.readline() == "ready\n"
        assert mark != image.engine.id
        assert run(image).get("/health").status == 200
        engines.sweep(api)
        image.engine.end()
        assert process.stdout.readline() == "200\n"
        assert process.wait(60) == 0
    assert of(api, mark) == []


def test_what_carries_no_label_is_not_touched(api):
    container = api.create_container(BASE, ["true"], labels={"course.other": "1"})["Id"]
    network = api.create_network("course-not-the-graders", internal=True)["Id"]
    try:
        engines.engine()
        engines.sweep(api)
        assert api.inspect_container(container)["Id"] == container
        assert api.inspect_network(network)["Id"] == network
    finally:
        api.remove_container(container, force=True)
        api.remove_network(network)


def test_without_an_engine_it_is_not_graded_here(ship, monkeypatch):
    context = ship()
    monkeypatch.setattr(engines.current, "session", None)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(NotGradedHere, match="no container engine answers"):
        build(context, limits=BuildLimits())


def test_a_session_is_alive_as_long_as_its_keeper_runs(api):
    mine = engines.engine()
    assert mine.is_alive()
    assert mine.id in engines.living(api)
    mine.end()
    assert mine.id not in engines.living(api)
    assert engines.engine().id != mine.id
