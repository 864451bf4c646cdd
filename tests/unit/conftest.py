"""What the unit tests share: processes for student code that start warm."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.checks.core import processes
from course.grading.sandbox import launcher, policy, zygote


@pytest.fixture
def warm_workers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forked from the zygote, in the sandbox, as when grading; plain ones where there is no sandbox.

    Each worker that starts cold imports its libraries anew, which takes seconds. That plain processes work, too, is
    proved in test_processes.py.
    """
    if policy.why_not() is not None:
        return
    tmp_path.chmod(0o755)  # in the sandbox another user reads what is shipped
    monkeypatch.setenv(zygote.ENVIRONMENT, request.getfixturevalue("warm").path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
