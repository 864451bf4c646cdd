"""What a service writes to its log: `lines_about(api, "/departures", "GET", "200")` waits for a line."""

from __future__ import annotations

import time

from course.checks.http.services import Service

_PAUSE_S = 0.05


def lines_about(api: Service, path: str, *words: str, seconds: float = 5.0) -> tuple[bool, list[str]]:
    """Wait until the log has a line that names a path and holds some words: a line may take a moment to come through.

    Args:
        api: a service, or a container, that was asked for the path.
        path: what the line names.
        words: what else the same line holds, such as the method and the status.
        seconds: how long to wait at most.

    Returns:
        Whether there is such a line, and all lines that name the path.
    """
    deadline = time.monotonic() + seconds
    while True:
        lines = [line for line in api.logs.splitlines() if path in line]
        if any(all(word in line for word in words) for line in lines):
            return True, lines
        if time.monotonic() >= deadline:
            return False, lines
        time.sleep(_PAUSE_S)
