"""A real cluster: each test ships manifests of a small server, whose image the engine builds and the registry keeps."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from course.checks.docker import engines, registries
from course.checks.kubernetes import sessions
from course.checks.kubernetes.api import Api, connect
from course.checks.kubernetes.clusters import Deployed, deploy
from course.checks.kubernetes.manifests import Manifests, manifests

NAME = "course-test-flights"
SERVER = """
    import json, os, signal, sys, threading, time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    fault, begun = os.environ.get("FAULT", ""), time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            ready = fault != "never ready" and time.monotonic() > begun + float(os.environ.get("WARM_UP", "0"))
            known = {
                "/health": (200, {"status": "ok"}),
                "/ready": (200, {"status": "ready"}) if ready else (503, {"status": "not yet"}),
                "/model": (200, {"version": os.environ.get("VERSION", "1"), "host": os.uname().nodename}),
                "/token": (200, {"token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")}),
            }
            if fault == "broken" and self.path == "/model":
                known["/model"] = (500, {"title": "broken"})
            self.answer(*known.get(self.path, (404, {"title": "no such page"})))

        def do_POST(self):
            flight = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(200, {"probability": 0.25, "carrier": flight["carrier"]})

        def answer(self, status, found):
            print(json.dumps({"request_id": self.headers.get("X-Request-ID"), "status": status}), flush=True)
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 128

    if fault == "crash":
        raise SystemExit("RuntimeError: there is no model")
    if fault == "greedy":
        held = bytearray(10**9)
        held[::4096] = b"x" * len(held[::4096])
    server = Server(("0.0.0.0", 8000), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    server.server_close()
"""
DOCKERFILE = """
    FROM python:3.11-slim
    COPY server.py /srv/server.py
    USER 10001
    EXPOSE 8000
    CMD ["python", "-B", "-u", "/srv/server.py"]
"""
# like those of tests/unit/test_manifests.py, but of values that a real cluster reaches in seconds
MANIFESTS = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: late-flights}
    spec:
      replicas: 2
      strategy:
        rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
      selector:
        matchLabels: {app: late-flights}
      template:
        metadata:
          labels: {app: late-flights}
        spec:
          terminationGracePeriodSeconds: 15
          securityContext:
            runAsNonRoot: true
            seccompProfile: {type: RuntimeDefault}
          containers:
            - name: api
              image: REGISTRY/late-flights:v1
              ports: [{name: http, containerPort: 8000}]
              envFrom: [{configMapRef: {name: settings}}]
              env:
                - {name: VERSION, value: "1"}
              resources:
                requests: {cpu: 20m, memory: 32Mi}
                limits: {memory: 96Mi}
              readinessProbe:
                httpGet: {path: /ready, port: http}
                periodSeconds: 1
              livenessProbe:
                httpGet: {path: /health, port: http}
                periodSeconds: 1
              lifecycle:
                preStop: {exec: {command: ["sleep", "3"]}}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {drop: ["ALL"]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: late-flights}
    spec:
      selector: {app: late-flights}
      ports: [{name: http, port: 80, targetPort: http}]
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: settings}
    data: {LOG_LEVEL: info}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this ring needs a cluster, and takes its time where several use it at once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The small server's image, in the registry of the course; the same source is built and pushed once."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "server.py").write_text(textwrap.dedent(SERVER).lstrip())
    (folder / "Dockerfile").write_text(textwrap.dedent(DOCKERFILE).lstrip())
    client = docker.APIClient(base_url=engines.address(), version="auto", timeout=120)
    try:
        lines = list(client.build(path=str(folder), rm=True, forcerm=True, decode=True))
        made = next(line["aux"]["ID"] for line in lines if "ID" in line.get("aux", {}))
        return registries.push(client, made, f"{registries.address()}/{NAME}:{made[7:23]}")
    finally:
        client.close()


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manifests]:
    """Ship the good manifests, with texts in them replaced by others, or others in their place."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    numbers = iter(range(100))

    def ship(*changes: tuple[str, str], text: str = MANIFESTS) -> Manifests:
        text = textwrap.dedent(text).lstrip("\n").replace("REGISTRY", registries.address())
        for old, new in changes:
            assert old in text, f"the manifests do not hold {old!r}"
            text = text.replace(old, new)
        name = f"k8s-{next(numbers)}.yaml"
        (tmp_path / "shipped").mkdir(exist_ok=True)
        (tmp_path / "shipped" / name).write_text(text)
        return manifests(name)

    return ship


@pytest.fixture
def start(ship, image) -> Iterator[Callable[..., Deployed]]:
    """Ship manifests and give the application; it is removed after the test."""
    made: list[Deployed] = []

    def start(*changes: tuple[str, str], **options) -> Deployed:
        made.append(deploy(ship(*changes), images={"late-flights": image}, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    """The cluster, asked behind the grader's back."""
    found = connect()
    yield found
    found.close()


@pytest.fixture(scope="session", autouse=True)
def tidy() -> Iterator[None]:
    """End this process's session after its tests."""
    yield
    sessions.current.end()
