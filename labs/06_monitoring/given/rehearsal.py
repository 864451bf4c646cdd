"""A rehearsal: both services with the shipped telemetry.py, behind gunicorn with two workers each, and requests."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from course.shipping import folder as shipped

HERE = Path(__file__).parent


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def gunicorn(folder: Path, app: str, port: int, **env: str) -> Iterator[Path]:
    """Run an application with two workers; it ends with the block.

    Yields:
        The file of its log.

    Raises:
        RuntimeError: it does not answer; the message has the last error in its log.
    """
    log = folder / f"{app.partition(':')[0]}.log"
    program = Path(sysconfig.get_path("scripts")) / "gunicorn"
    command = [program, "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", app]
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and not answers(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.poll() is not None or not answers(port):
            # gunicorn hides the place of an error while it loads an application, so load it once more
            load = [sys.executable, "-c", f"import {app.partition(':')[0]}"]
            done = subprocess.run(
                load, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60
            )
            raise RuntimeError(f"{app} does not start: {reason(done.stderr or log.read_text(errors='replace'))}")
        yield log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reason(log: str) -> str:
    """The last error in a log, with its line of telemetry.py if it passed through that."""
    errors = [line for line in log.splitlines() if re.match(r"[A-Za-z_.]{1,80}(Error|Exception|Exit)\b", line)]
    lines = re.findall(r'telemetry\.py", line (\d+)', log)
    where = f"telemetry.py, line {lines[-1]}: " if lines else ""
    return where + (errors or log.strip().splitlines() or ["it wrote nothing to its log"])[-1]


def answers(port: int) -> bool:
    """Whether somebody answers there."""
    try:
        return send(port, "GET", "/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def send(port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """Send one request; the status and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def rehearse(endpoint: str, artifact: Path, *bodies: dict, **headers: str) -> list[str]:
    """Start both services, post bodies to /predict, one after the other, and end the services.

    Args:
        endpoint: of the collector.
        artifact: the artifact's folder.
        bodies: what is posted.
        headers: what is sent with each.

    Returns:
        The lines of the log of `warnings` that are JSON. Nothing where a service does not start; then it prints why.
    """
    modules = {"watched.py": HERE / "watched.py", "weather.py": HERE / "weather.py"}
    modules["telemetry.py"] = shipped() / "telemetry.py"
    ports = free_port(), free_port()
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    settings |= {"WEATHER": f"127.0.0.1:{ports[1]}", "LATE_FLIGHTS_ARTIFACT": str(artifact.resolve())}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module, source in modules.items():
            if not source.is_file():
                print(f"{module} is not there yet: run the cell that ships it.")
                return []
            shutil.copyfile(source, folder / module)
        try:
            with (
                gunicorn(folder, "weather:app", ports[1], **settings),
                gunicorn(folder, "watched:app", ports[0], **settings) as log,
            ):
                for body in bodies:
                    print("POST /predict →", send(ports[0], "POST", "/predict", body, **headers)[0])
            return [line for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
        except (RuntimeError, OSError, http.client.HTTPException) as problem:
            print(problem)
            return []
