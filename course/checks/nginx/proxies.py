"""A shipped configuration of nginx, run for real between callers and backends that the check controls: `proxy(…)`.

A configuration can read any file, write logs anywhere and load modules, so nginx runs where student code runs, with no
more rights, in the same sandbox as its backends. Only a pipe leads out of it; `http.services` is the near side of that.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course import rollouts
from course.checks.core.expectations import Unmet, not_graded_here
from course.checks.files import reading
from course.checks.http.messages import Request, Response, get
from course.checks.http.services import Peer, Service

MAX_CONFIGURATION = 1 << 16
_FAULT = re.compile(r"\[(?:emerg|alert|crit)\] (?:\d{1,9}#\d{1,9}: )?(.{1,300})")


def proxy(name: str, *, values: Mapping[str, str], peers: Sequence[str], timeout: float = 10.0) -> Proxy:
    """nginx with a shipped configuration; it is started at the first request, and ends with the phase.

    Args:
        name: the shipped template. "${NAME}" in it becomes a value, "${LISTEN}" the address to listen on.
        values: what else becomes what.
        peers: backends; "${NAME}", in capitals, becomes the address of each. Each answers with its own name.
        timeout: how long each answer may take, in seconds.
    """
    return Proxy(name, values, peers, timeout=timeout)


class Proxy(Service):
    """The near side of one running nginx; see :func:`proxy`, and `Service` for the requests."""

    def __init__(self, name: str, values: Mapping[str, str], peers: Sequence[str], *, timeout: float) -> None:
        answering = {peer: named(peer) for peer in peers}
        super().__init__(name, "nginx", {}, {}, None, answering, timeout=timeout, start=20.0)
        self._values = dict(values)
        self._key = json.dumps(["nginx", name, self._values, self._peers])

    def converse(self, requests: Sequence[Request]) -> list[Response]:
        """Ask one request after the other over one connection, as callers do who keep it open.

        Returns:
            The answers; their seconds count from the request, not from the opening of the connection.
        """
        spec = self._spec(requests[0]) | {"sends": [base64.b64encode(request.raw()).decode() for request in requests]}
        return self._read(requests, self._message(self.timeout * len(requests), do="converse", client=spec))

    def restart(self) -> None:
        """Stop nginx and start it again; its address and the backends stay as they are."""
        message = self._first_message()
        self._message(
            self._start_timeout, do="restart", **{key: message[key] for key in ("command", "probe", "timeout")}
        )

    def _title(self) -> str:
        return f"nginx starts with {self.app}"

    def _require(self, title: str) -> None:
        if "${LISTEN}" not in reading.text(self.app, max_bytes=MAX_CONFIGURATION):
            raise Unmet(title, "nothing listens", hint="a server { … } with listen ${LISTEN}; is missing")
        if rollouts.nginx() is None:
            not_graded_here("nginx is not installed here; make extra LAB=07 installs it", whatever=True)

    def _readable(self) -> list[Path]:
        program = rollouts.nginx()
        return [] if program is None else [program.parent]

    def _first_message(self) -> dict[str, Any]:
        config = reading.text(self.app, max_bytes=MAX_CONFIGURATION)
        message = {"do": "proxy", "command": rollouts.command(), "config": config, "values": self._values}
        return message | {
            "peers": self._peers,
            "probe": base64.b64encode(get("/").raw()).decode(),
            "timeout": self._start_timeout,
        }

    def _not_started(self, title: str, how: str, said: str) -> Unmet:
        fault = _FAULT.search(said[-4000:])
        if fault is None:
            return Unmet(title, f"nginx did not start: {how}", actual=said.strip()[-300:] or None)
        line = re.sub(r"(?<= )[^ ]{0,300}/(?=nginx\.conf)", "", fault[1])
        hint = "the number after nginx.conf is the line of your template" if "nginx.conf:" in line else None
        if "is duplicate" in line:
            hint = "the course sets daemon, master_process and pid when it starts nginx: leave them out"
        return Unmet(title, "nginx does not start with it", actual=line, hint=hint)


def named(name: str, *, status: str = "200 OK") -> Peer:
    """A backend that answers with its own name."""
    return Peer(body=name.encode(), type="text/plain", status=status)
