"""Images built by BuildKit, where COURSE_BUILDER asks for it: without a network, from wheels that the grader brings."""

from __future__ import annotations

import functools

import pytest

from course.checks.core.expectations import CheckFailed
from course.checks.docker import wheels
from course.checks.docker.images import BuildLimits, build, expect_cached

BASE = "python:3.11-slim"
SHORT = BuildLimits(seconds=90)

pytestmark = pytest.mark.buildkit


@pytest.fixture(autouse=True)
def chosen(buildx, monkeypatch):
    """BuildKit is chosen, and no package is fetched."""
    monkeypatch.setenv("COURSE_BUILDER", "buildkit")
    monkeypatch.setattr(wheels, "collect", lambda text, **_: {"tiny-1.0-py3-none-any.whl": _wheel()})


@functools.cache  # its times are part of it
def _wheel() -> bytes:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny.py", "x = 1\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return file.getvalue()


GOOD = f"""
    FROM {BASE}
    WORKDIR /srv
    COPY requirements.txt ./
    RUN pip install --no-cache-dir \\
        -r requirements.txt
    COPY *.py ./
    ARG REVISION=none
    LABEL revision=$REVISION
    USER 10001
    CMD ["python", "app.py"]
"""


def test_packages_come_from_wheels_and_leave_no_trace(ship):
    context = ship(GOOD, requirements_dot_txt="tiny==1.0\n", _dot_dockerignore="*\n!*.py\n!requirements.txt\n")
    image = build(context, limits=SHORT, arguments={"REVISION": "4f2"})
    assert image.packages() == {"tiny": "1.0"}
    assert image.labels["revision"] == "4f2"
    assert image.config["User"] == "10001"
    assert 0 < image.added < 100_000
    assert not [path for path in image.files() if "course" in path]
    assert image.differences(build(context, limits=SHORT, arguments={"REVISION": "4f2"}, again=True)) == []


def test_a_step_that_runs_again_after_a_change_of_the_code_is_found(ship):
    expect_cached(ship(GOOD, requirements_dot_txt="tiny==1.0\n"), limits=SHORT)
    late = GOOD.replace("COPY requirements.txt ./", "COPY . ./")
    with pytest.raises(CheckFailed, match=r"line 4 \(RUN pip install .*\): it ran again"):
        expect_cached(ship(late, requirements_dot_txt="tiny==1.0\n"), limits=SHORT)


def test_a_failing_step_is_named_by_its_line(ship):
    with pytest.raises(CheckFailed) as caught:
        build(ship(f"FROM {BASE}\nRUN true\nRUN echo so far && python -c 'import gone'\n"), limits=SHORT)
    assert caught.value.reason.startswith("line 3 (RUN echo so far")
    assert "exit status 1" in caught.value.reason
    assert "No module named 'gone'" in caught.value.actual


def test_a_step_reaches_no_network(ship):
    reach = "import socket; socket.create_connection(('1.1.1.1', 80), 3)"
    with pytest.raises(CheckFailed, match="exit status 1") as caught:
        build(ship(f'FROM {BASE}\nRUN python -c "{reach}"\n'), limits=SHORT)
    assert "unreachable" in caught.value.actual


def test_an_endless_step_is_stopped(ship):
    with pytest.raises(CheckFailed, match="not done after 4 seconds"):
        build(ship(f"FROM {BASE}\nRUN sleep 1000\n"), limits=BuildLimits(seconds=4))
