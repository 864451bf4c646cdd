"""Attacks through what a service reports: each is refused with a reason, earns nothing, and costs little."""

# ruff: noqa: E501  (the table of attacks is read line by line)
from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed
from course.checks.http import telemetry
from course.checks.http.messages import post
from course.checks.http.telemetry import Watched, watched
from course.grading.sandbox import launcher, policy, zygote

pytest.importorskip("opentelemetry.proto", reason="make extra LAB=06")

SERVICE = """
    import gzip, json, os, secrets, socket, time, urllib.request
    from flask import Flask, request

    ADDRESS = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    app = Flask(__name__)

    def send(body, **headers):
        try:
            headers = {"Content-Type": "application/json", **headers}
            urllib.request.urlopen(urllib.request.Request(ADDRESS + "/v1/traces", body, headers), timeout=5).close()
        except OSError:
            pass

    def spans(*spans):
        _, trace, caller, _ = request.headers["traceparent"].split("-")
        usual = {"traceId": trace, "parentSpanId": caller, "name": "POST /predict", "kind": 2}
        made = [{**usual, "spanId": secrets.token_hex(8), **span} for span in spans]
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}).encode()

    def attack():
        now = time.time_ns()
        ATTACK

    @app.get("/health")
    def health():
        return {}

    @app.post("/predict")
    def predict():
        attack()
        return {}
"""
ATTACKS = {  # attack → what the service does when it is asked, and the reason that it gets
    "spans that lie": (
        'root = {"spanId": "1" * 16, "startTimeUnixNano": now - 10**10, "endTimeUnixNano": now + 10**10}\n'
        'step = {"name": "features", "parentSpanId": "1" * 16, "kind": 1}\n'
        "send(spans(root, {**step, 'startTimeUnixNano': now, 'endTimeUnixNano': now + 10**9}))",
        "the request's span is not of the time of the request",
    ),
    "a parent that is its own child": (
        'root = {"spanId": "1" * 16, "startTimeUnixNano": now, "endTimeUnixNano": now + 10**6}\n'
        'loop = [{**root, "kind": 1, "name": "features", "spanId": a * 16, "parentSpanId": b * 16} for a, b in ("23", "32")]\n'
        "send(spans(root, *loop))",
        "is not below the request's",
    ),
    "a flood of spans": (
        'one = {"startTimeUnixNano": now, "endTimeUnixNano": now}\n'
        "for _ in range(40): send(gzip.compress(spans(*[one] * 5000)), **{'Content-Encoding': 'gzip'})",
        "more than 100,000 values|more than 2 MiB|more than 20,000 spans",
    ),
    "a flood of requests": (
        "for _ in range(5000):\n"
        "    with socket.create_connection(ADDRESS.removeprefix('http://').split(':')) as wire:\n"
        "        wire.sendall(b'POST /v1/traces HTTP/1.1\\r\\nContent-Length: 0\\r\\n\\r\\n'); wire.recv(100)",
        "more than it takes: 4000 requests",
    ),
    "a body that unpacks to gigabytes": (
        "send(gzip.compress(gzip.compress(bytes(1 << 28)) + bytes(1 << 28)), **{'Content-Encoding': 'gzip'})",
        "the body has more than 2 MiB",
    ),
    "a million empty groups": (
        "send(gzip.compress(b'\\x0a\\x00' * (1 << 20)), **{'Content-Encoding': 'gzip', 'Content-Type': 'application/x-protobuf'})",
        "more than 100,000 values",
    ),
    "a nest without end": ("send(b'[' * 90_000)", "not an ExportTraceServiceRequest in JSON"),
    "bodies that are promised and never come": (
        "wires = [socket.create_connection(ADDRESS.removeprefix('http://').split(':')) for _ in range(200)]\n"
        "for wire in wires:\n"
        "    try: wire.sendall(b'POST /v1/traces HTTP/1.1\\r\\nContent-Length: 4000000\\r\\n\\r\\n')\n"
        "    except OSError: pass\n"
        "app.wires = wires",
        "no span of the request arrived",
    ),
}


@pytest.fixture
def attacked(warm, tmp_path, monkeypatch):
    """A function that ships an attack and starts it in the sandbox, beside a collector."""
    if policy.why_not() is not None:
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    tmp_path.chmod(0o755)
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    monkeypatch.setattr(telemetry, "WAIT_S", 4.0)
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    running: list[Watched] = []

    def start(attack: str) -> Watched:
        source = textwrap.dedent(SERVICE).replace("    ATTACK", textwrap.indent(attack, "    "))
        (Path(tmp_path) / "app.py").write_text(source)
        running.append(watched("app:app", files={}))
        running[0].api.timeout = 60
        return running[0]

    yield start
    for one in running:
        one.api.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_collector_earns_nothing(attacked, attack):
    source, reason = ATTACKS[attack]
    one = attacked(source)

    def judge() -> None:
        (asked,) = one.ask(post("/predict", json={}))
        one.trace(asked).must_last("features", 0, "")

    began = time.process_time()
    with pytest.raises(CheckFailed, match=reason):
        judge()
    assert time.process_time() - began < 60
    assert one.api.memory() > 0  # the service lives on, and so does its collector
