"""A rehearsal of what will run elsewhere: what you shipped, in a folder of its own, behind a real server."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from load import wait_until_ready

from course.sandboxed import programs
from course.shipping import folder as shipped

FOLDER = Path("rehearsal")
SHIPPED_HERE = {
    "asking.py",
    "mended.py",
    "page.py",
    "production.py",
    "reliability.py",
    "test_api.py",
}  # api.py needs none
TRY = """
from pathlib import Path
from api import create_app
client = create_app(Path("artifact")).test_client()
flight = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "distance": 719,
          "planned_departure": "2013-11-28T17:30:00-05:00", "planned_arrival": "2013-11-28T20:05:00-05:00"}
assert client.get("/health").status_code == 200
answer = client.post("/predict", json=flight)
assert 0 <= answer.get_json()["probability"] <= 1
"""


def rehearse(artifact: Path, *, quiet: bool = False) -> Path:
    """Copy what is shipped to `rehearsal/`, and say whose service it is.

    Where api.py is not there, or does not answer, the course's stand-in takes its place. It keeps the same contract,
    and its model is made up.

    Args:
        artifact: the artifact to serve, when none is shipped.
        quiet: say nothing.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    if shipped().is_dir():
        shutil.copytree(shipped(), FOLDER)
    FOLDER.mkdir(exist_ok=True)
    if not (FOLDER / "artifact").is_dir():
        shutil.copytree(artifact, FOLDER / "artifact")
    own = _answers(FOLDER)
    if not own:
        shutil.copyfile(Path(programs.__file__).with_name("stand_in.py"), FOLDER / "api.py")
    if not quiet:
        print("Your own api.py answers." if own else "There is no api.py that answers yet: a stand-in takes its place.")
    return FOLDER


_tried: dict[bytes, bool] = {}  # by what stands in the modules: each edition is tried once


def _answers(folder: Path) -> bool:
    """Whether there is an api.py that answers, within a minute."""
    modules = [path for path in sorted(folder.glob("*.py")) if path.name not in SHIPPED_HERE]
    edition = b"".join(path.name.encode() + path.read_bytes() for path in modules)
    if edition not in _tried:
        command = [sys.executable, "-B", "-c", TRY]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60)
            _tried[edition] = (folder / "api.py").is_file() and done.returncode == 0
        except subprocess.TimeoutExpired:
            _tried[edition] = False
    return _tried[edition]


@contextlib.contextmanager
def gunicorn(folder: Path, app: str, **env: str) -> Iterator[tuple[int, subprocess.Popen]]:
    """Run a folder's application in gunicorn on a free port of this machine; it ends with the block.

    Yields:
        The port, and the process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sysconfig.get_path("scripts")) / "gunicorn"
    command = [program, "--bind", f"127.0.0.1:{port}", app]
    with (folder / "gunicorn.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log)
    try:
        try:
            wait_until_ready(port, "/health", alive=lambda: process.poll() is None)
        except TimeoutError as error:
            last = "\n".join((folder / "gunicorn.log").read_text(errors="replace").strip().splitlines()[-8:])
            raise TimeoutError(f"{error}. The end of {folder / 'gunicorn.log'}:\n{last}") from None
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a stop that is not graceful
            process.kill()
            process.wait()
