"""Starts what checks run of a student's (workers, tests, builds) in the sandbox: replaces processes.start_process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course import shipping
from course.checks.core import processes
from course.grading.sandbox import policy, zygote

_WORKER = [sys.executable, "-I", "-B", "-m", "course.sandboxed.worker"]


def install() -> None:
    """From now on, in this process, checks start everything in a sandbox."""
    processes.start_process = start


def start(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    readable: Sequence[Path],
    pass_fds: Sequence[int] = (),
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
) -> zygote.Process:
    """Like processes.start_plainly, in a sandbox that may write `cwd` and read `readable`.

    Raises:
        sandbox.NoSandbox: this machine has none.
        zygote.ZygoteError: no zygote is running.
    """
    policy.require()
    policy.give(cwd, _owner())
    if stderr == subprocess.STDOUT:
        stderr = stdout
    streams = {number: _descriptor(stream) for number, stream in enumerate((stdin, stdout, stderr))}
    descriptors = {number: place for number, place in streams.items() if place is not None} | {n: n for n in pass_fds}
    is_worker = list(command[: len(_WORKER)]) == _WORKER
    kind, arguments = ("worker", command[len(_WORKER) :]) if is_worker else ("command", command)
    view = policy.view([cwd], readable)
    return zygote.spawn(
        os.environ[zygote.ENVIRONMENT],
        kind,
        arguments,
        cwd=cwd,
        env=policy.environment(env),
        view=view,
        descriptors=descriptors,
    )


def _descriptor(stream: Any) -> int | None:
    if stream is None or stream == subprocess.DEVNULL:
        return None
    return stream if isinstance(stream, int) else stream.fileno()


def _owner() -> int:
    """The user as whom this student's code runs: the owner of what was shipped."""
    shipped = shipping.folder()
    return (shipped.stat().st_uid if shipped.is_dir() else 0) or policy.FIRST_UID
