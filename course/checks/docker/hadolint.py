"""hadolint, the linter of Dockerfiles: `lint(text)` → its findings as plain data."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from course.checks.core import processes
from course.checks.core.expectations import not_graded_here
from course.checks.docker.dockerfiles import DOCKERFILE


@functools.lru_cache(maxsize=8)
def lint(source: str) -> tuple[dict[str, Any], ...]:
    """hadolint's findings on a Dockerfile: code, level, line, message.

    Raises:
        NotGradedHere: hadolint is not here, or broke.
    """
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        not_graded_here("the linter hadolint is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DOCKERFILE
        path.write_text(source, encoding="utf-8")
        (Path(folder) / "settings.yaml").write_text("failure-threshold: none\n")
        command = [program, "--no-color", "--no-fail", "--format", "json", "--config", "settings.yaml", DOCKERFILE]
        done = processes.run(command, cwd=Path(folder), timeout=20, stderr=False)
    try:
        found = json.loads(done.output)
        return tuple({key: one[key] for key in ("code", "level", "line", "message")} for one in found)
    except (ValueError, KeyError, TypeError):
        not_graded_here(f"the linter hadolint did not answer: {done.output[-200:].strip() or done.returncode}")
