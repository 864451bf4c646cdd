"""A small load client: some clients ask a service at once, and each waits for its answer before it asks again.

`measure` returns how long every request took. It keeps a connection open where the server does, and opens a new one
where the server closes it; that takes time, which is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Load:
    """What was measured.

    Attributes:
        latencies: seconds from asking to the whole answer, one for each request that was answered with 200.
        failed: how many were answered otherwise, or not at all.
        seconds: how long it all took.
    """

    latencies: np.ndarray
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The time, in milliseconds, within which this share of the requests, in per cent, was answered."""
        return float(1000 * np.percentile(self.latencies, share))


def measure(
    port: int, questions: Sequence[dict], *, requests: int = 300, clients: int = 1, path: str = "/predict"
) -> Load:
    """Ask a service on this machine, and measure.

    Args:
        port: where it listens, on 127.0.0.1.
        questions: what is sent, as JSON, one after the other and again from the first.
        requests: how many in all.
        clients: how many ask at the same time.
        path: where they ask.
    """
    messages = [_message(path, question) for question in questions]
    with ThreadPoolExecutor(1) as apart:  # a notebook's own thread already runs an event loop
        return apart.submit(asyncio.run, _measure(port, messages, requests, clients)).result()


def wait_until_ready(port: int, path: str, *, seconds: float = 60.0, alive: Callable[[], bool] = lambda: True) -> float:
    """Ask until a service answers with 200; return how long that took, in seconds.

    Raises:
        TimeoutError: it did not in time, or it has ended.
    """
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds and alive():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.perf_counter() - begin
        time.sleep(0.02)
    how = "it ended" if not alive() else f"GET {path} did not answer 200 within {seconds:g} seconds"
    raise TimeoutError(f"the service on port {port} did not become ready: {how}")


def _message(path: str, question: dict) -> bytes:
    body = json.dumps(question).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


async def _measure(port: int, messages: list[bytes], requests: int, clients: int) -> Load:
    turns, latencies, failed = iter(range(requests)), [], 0

    async def client() -> None:
        nonlocal failed
        connection = None
        for turn in turns:
            begin = time.perf_counter()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", port)
                status, stays = await asyncio.wait_for(_ask(*connection, messages[turn % len(messages)]), 60)
            except (OSError, EOFError, ValueError, TimeoutError):
                status, stays = 0, False
            if status == 200:
                latencies.append(time.perf_counter() - begin)
            else:
                failed += 1
            if connection and not stays:
                connection[1].close()
                connection = None
        if connection:
            connection[1].close()

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(np.array(latencies), failed, time.perf_counter() - begin)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> tuple[int, bool]:
    """Send a request; return the status, and whether the connection can be used again."""
    writer.write(message)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
    version, status, *_ = lines[0].split(" ")
    stays = version == "http/1.1" and headers.get("connection", "").strip() != "close"
    if "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    else:
        await reader.read()
        stays = False
    return int(status), stays
