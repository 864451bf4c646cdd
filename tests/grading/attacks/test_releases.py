"""Attacks by a shipped release.py, which `make release` runs in a repository of the course's."""

from __future__ import annotations

import textwrap

import pytest

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed
from course.checks.python import releases
from course.grading.sandbox import launcher, policy, zygote

ATTACKS = {
    "a report that is a link": (
        'import os, sys\nos.symlink("@SECRET@", "release.json")\nsys.exit(1)',
        "release.json names the step",
    ),
    "an index that is a link": (
        'import os, sys\ni = "../registry/index.json"\nos.remove(i)\nos.symlink("@SECRET@", i)\nsys.exit(1)',
        "published all the same",
    ),
    "a process that stays": (
        'import subprocess, sys, time\nsubprocess.Popen(["sleep", "1000"], start_new_session=True)\ntime.sleep(1000)',
        "make release does not fail",
    ),
    "a file outside of its folder": (
        'import pathlib, sys\npathlib.Path("@ELSEWHERE@").write_text("was here")',
        "release.json names the step",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_earns_nothing_and_reaches_nothing(attack, warm, tmp_path, monkeypatch):
    if policy.why_not() is not None:
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    tmp_path.chmod(0o755)
    shipped, elsewhere = tmp_path / "shipped", tmp_path / "elsewhere"
    shipped.mkdir()
    (tmp_path / "secret.json").write_text('{"failed": "test", "tags": {}, "production": "secret"}')
    source, reason = ATTACKS[attack]
    source = source.replace("@SECRET@", str(tmp_path / "secret.json")).replace("@ELSEWHERE@", str(elsewhere))
    (shipped / "release.py").write_text(textwrap.dedent(source))
    monkeypatch.setenv("COURSE_SHIPPED", str(shipped))
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    monkeypatch.setattr(releases, "SECONDS", 4.0)
    with pytest.raises(CheckFailed) as caught:
        releases.release().must_publish_nothing("test", "an attack")
    assert reason in caught.value.reason
    assert not elsewhere.exists()
