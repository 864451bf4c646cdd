"""Real images and containers, built and run by the engine that answers; each test ships a context of its own."""

from __future__ import annotations

import socket
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from course.checks.docker import engines
from course.checks.docker.containers import Container, run
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import BuildLimits, build

BASE = "python:3.11-slim"
SERVER = """
    import json, os, signal, socket, subprocess, sys, time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(answers.get(self.path, lambda: {"status": "ok"})())

        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({"length": len(data)})

        def answer(self, found):
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

    answers = {}

    def serve(address="0.0.0.0", port=8000):
        server = Server((address, port), Handler)
        import threading
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()
        server.server_close()
"""
DOCKERFILE = f"""
    FROM {BASE}
    WORKDIR /srv/app
    COPY *.py ./
    USER 10001
    EXPOSE 8000
    HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
    CMD ["python", "-u", "app.py"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this ring needs an engine, and takes its time where several use it at once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """Ship a folder image/: its Dockerfile, a small server to import, and what else is given."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))

    def ship(dockerfile: str = DOCKERFILE, app: str = "from server import *\nserve()", **files: str | bytes) -> Context:
        folder = tmp_path / "shipped" / "image"
        folder.mkdir(parents=True, exist_ok=True)
        more = {"Dockerfile": dockerfile, "server.py": SERVER, "app.py": app}
        more |= {name.replace("__", "/").replace("_dot_", "."): data for name, data in files.items()}
        for name, data in more.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(textwrap.dedent(data).lstrip("\n").encode() if isinstance(data, str) else data)
        return context("image")

    return ship


@pytest.fixture
def start(ship) -> Callable[..., Container]:
    """Build a context with an app, and give its container; it is removed after the test."""
    made: list[Container] = []

    def start(app: str = "from server import *\nserve()", dockerfile: str = DOCKERFILE, **options) -> Container:
        one = run(build(ship(dockerfile, app), limits=BuildLimits(seconds=60)), **options)
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def api() -> docker.APIClient:
    """The engine, asked behind the grader's back."""
    client = docker.APIClient(base_url=engines.address(), version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session", autouse=True)
def tidy():
    """End this process's session after its tests."""
    yield
    engines.current.end()


@pytest.fixture
def listener() -> tuple[str, int]:
    """A port of this machine that answers on all its addresses: those, as the texts of a list, and the port."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        names = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
        own = [name for name in names if ":" not in name]
        gateways = [f"172.{number}.0.1" for number in range(17, 32)]
        yield ", ".join(f'"{name}"' for name in [*own, *gateways]), server.getsockname()[1]
