"""Runs a shipped generator of load in the sandbox, against a server of known behaviour that is outside of it.

The server's own log is the truth about what was sent. What the machine adds to a latency is measured in the same
run, by `calibrate`, and decides how much a report may differ.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from course import known_servers, shipping
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, as_dict, as_list, as_number
from course.checks.core.processes import Completed
from course.checks.files import reading
from course.known_servers import Behaviour, Taken
from course.sandboxed import programs

_PROGRAM = Path(programs.__file__).with_name("beside_a_server.py")
_SLACK_S = 20.0  # for a start, on a slow machine


@dataclass(frozen=True)
class Run:
    """What a generator reported, and what the server saw.

    Attributes:
        steps: one report per rate.
        knee: the knee that it found; None for none.
        log: the requests, in the order in which they came.
    """

    steps: list[dict[str, Any]]
    knee: Any
    log: list[Taken]


def beside(command: Sequence[str], behaviour: Behaviour, *, seconds: float) -> tuple[Completed, list[Taken]]:
    """Run a command of a student's beside a known server; "{url}" in its words is the server's address."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory(prefix="course-") as folder:
        server = known_servers.start(behaviour, ours)
        ours.close()
        try:
            words = [sys.executable, "-I", "-B", str(_PROGRAM), str(theirs.fileno()), *command]
            done = processes.run(
                words, cwd=Path(folder), timeout=seconds, readable=[shipping.folder()], pass_fds=(theirs.fileno(),)
            )
        finally:
            theirs.close()
            log = server.stop()
    return done, log


def measured(
    behaviour: Behaviour, rates: Sequence[int], seconds: float, *, timeout: float = 3.0, target: float = 0.5
) -> Run:
    """Let the shipped load.py measure a known server.

    Raises:
        CheckFailed: it ends with an error, or not at all, its report cannot be read, or it sent nothing.
    """
    reading.read("load.py")
    options = {"--rates": ",".join(map(str, rates)), "--seconds": seconds, "--timeout": timeout, "--target": target}
    words = [str(word) for option in options.items() for word in option]
    program = str(shipping.folder() / "load.py")
    limit = len(rates) * (seconds + timeout) + _SLACK_S
    done, log = beside([sys.executable, "-B", program, "{url}", *words], behaviour, seconds=limit)
    if done.timed_out:
        raise CheckFailed(f"load.py did not end within {limit:g} seconds", hint="does each request have a time limit?")
    lines = [line for line in done.output.splitlines() if line.strip()]
    if not done.ok:
        raise Unmet(
            "load.py runs", f"it ended with status {done.returncode}", actual="\n".join(lines[-3:])[-500:] or None
        )
    report = as_dict(
        reading.json_document(lines[-1] if lines else "", "the last line that load.py printed"), "the report"
    )
    steps = [as_dict(step, "a step of the report") for step in as_list(report.get("steps"), "steps of the report")]
    if len(steps) != len(rates):
        raise CheckFailed("the report has one step per rate", expected=str(len(rates)), actual=str(len(steps)))
    if not log:
        hint = "is each request sent to the URL of the command line?"
        raise CheckFailed("load.py reported a run, and no request came", actual=repr(lines[-1][:200]), hint=hint)
    return Run(steps, report.get("knee"), log)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def served(log: Sequence[Taken]) -> list[float]:
    """How long the server took for each request that it answered well."""
    return [taken.left - taken.came for taken in log if taken.kind == "ok" and taken.left is not None]


def must_agree(step: dict[str, Any], key: str, truth: float, overhead: float) -> None:
    """Fail where a reported latency is not the server's own, plus what the machine adds.

    Args:
        step: the report.
        key: such as "p50".
        truth: what the server saw, in seconds.
        overhead: what the course's own client saw beyond its server, in seconds.
    """
    value = as_number(step.get(key), f"{key} of the report")
    low, high = 0.9 * truth - 0.002, 1.5 * truth + 0.1 + 4 * max(0.0, overhead)
    if not low <= value <= high:
        expected = f"between {low:.3f} and {high:.3f} s (the server took {truth:.3f} s)"
        raise CheckFailed(
            f"{key} of the report is not what the server did", expected=expected, actual=repr(step.get(key))
        )


@dataclass(frozen=True)
class Calibration:
    """What the course's own client saw: latencies from the intended start, and the server's log."""

    latencies: list[float]
    log: list[Taken]

    def overhead(self, share: float) -> float:
        """What the client saw beyond what the server did."""
        return percentile(self.latencies, share) - percentile(served(self.log), share)


def calibrate(behaviour: Behaviour, rate: int, seconds: float) -> Calibration:
    """Send requests at fixed times to a server of the same behaviour, and measure what this machine makes of it."""
    latencies: list[float] = []
    with known_servers.serve(behaviour) as server:
        # a thread of its own, since a notebook's has a loop already
        port = int(server.url.rstrip("/").rpartition(":")[2])
        thread = threading.Thread(target=lambda: asyncio.run(_send(port, rate, seconds, latencies)))
        thread.start()
        thread.join()
    return Calibration(latencies, server.log)


async def _send(port: int, rate: int, seconds: float, latencies: list[float]) -> None:
    begun = time.monotonic()

    async def one(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(due - time.monotonic())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: known\r\nConnection: close\r\n\r\n")
        if await reader.read():
            latencies.append(time.monotonic() - due)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
