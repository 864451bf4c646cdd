"""The load client counts what failed, keeps connections where it may, and measures what it waited."""

from __future__ import annotations

import http.server
import importlib.util
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PATH = REPOSITORY / "solutions" / "03_flask_api" / "given" / "load.py"


@pytest.fixture(scope="module")
def load():
    spec = importlib.util.spec_from_file_location("given_load", PATH)
    sys.modules["given_load"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["given_load"]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, protocol: str) -> None:
        self.connections = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = protocol

            def setup(self) -> None:
                self.server.connections += 1
                super().setup()

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(question.get("sleep", 0))
                self.send_response(question.get("status", 200))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/health" else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture(params=["HTTP/1.1", "HTTP/1.0"])
def server(request):
    with Server(request.param) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_every_request_is_measured_and_connections_are_kept_where_they_may(load, server):
    found = load.measure(server.server_address[1], [{"sleep": 0.01}], requests=20, clients=4)

    assert len(found.latencies) == 20
    assert found.failed == 0
    assert np.all(found.latencies >= 0.01)
    assert found.percentile(50) >= 10
    kept = server.RequestHandlerClass.protocol_version == "HTTP/1.1"
    assert server.connections == (4 if kept else 20)


def test_what_is_not_answered_with_200_counts_as_failed(load, server):
    found = load.measure(server.server_address[1], [{}, {"status": 500}], requests=10, clients=2)
    assert (len(found.latencies), found.failed) == (5, 5)


def test_nobody_listening_is_a_failure_and_no_hang(load):
    found = load.measure(1, [{}], requests=3)
    assert found.failed == 3


def test_waiting_ends_when_the_service_is_ready_or_gone(load, server):
    port = server.server_address[1]
    assert load.wait_until_ready(port, "/health") < 30
    with pytest.raises(TimeoutError, match="did not become ready"):
        load.wait_until_ready(port, "/busy", seconds=0.1)
    with pytest.raises(TimeoutError):
        load.wait_until_ready(port, "/busy", alive=lambda: False)
