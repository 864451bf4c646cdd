"""What is tried in a real Chromium: the page of lab 03 behind gunicorn, and JupyterLab as `make lab` starts it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serving

REPOSITORY = Path(__file__).resolve().parents[2]
ARTIFACT = REPOSITORY / "solutions" / "03_flask_api" / "given" / "reference" / "artifact"
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--lang=en-US"]


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page."""
    folder = tmp_path_factory.mktemp("service")
    serving.shipped_by_solutions(folder)
    port = serving.free_port()
    command = [f"{sysconfig.get_path('scripts')}/gunicorn", "--bind", f"127.0.0.1:{port}", "production:app"]
    env = {**os.environ, "LATE_FLIGHTS_ARTIFACT": str(ARTIFACT), "WEB_CONCURRENCY": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        serving.load.wait_until_ready(port, "/health", alive=lambda: process.poll() is None)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a graceful stop would wait for the browser's idle connections
        process.wait()


@pytest.fixture(scope="module")  # Playwright's event loop runs until it ends, and other tests have loops of their own
def browser():
    """A Chromium that runs without a window."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address: str):
    """The page, freshly loaded; it may load nothing from elsewhere, and no error may show in the console."""
    context = browser.new_context(locale="en-US", timezone_id="America/New_York")
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(address) else trouble.append(asked.url))
    page.goto(address)
    yield page
    context.close()
    assert trouble == []


# -- JupyterLab --------------------------------------------------------------------------------------------------------

HOLDER = """
import fcntl, socket, struct, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 1 | 64, b""))
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def quiet_network() -> Iterator[list[str]]:
    """The first words of commands that then run in a network of their own, with nothing but a loopback.

    Chromium gives up what it is loading whenever an interface comes or goes on the machine, and containers of other
    tests make many. Where no such network can be had the words are none.
    """
    new = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    enter = ["--net"] if os.geteuid() == 0 else ["--user", "--preserve-credentials", "--net"]
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        yield []
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*new, sys.executable, "-c", HOLDER], text=True, **pipes) as holder:
        up = holder.stdout.readline().strip() == "up"
        yield ["nsenter", *enter, "--target", str(holder.pid), "--"] if up else []
        holder.stdin.close()


@pytest.fixture(scope="module")
def quiet_browser(quiet_network: list[str], tmp_path_factory: pytest.TempPathFactory):
    """A Chromium in that network."""
    from playwright.sync_api import expect, sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    wrapper = tmp_path_factory.mktemp("chromium") / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(quiet_network)} "{program}" "$@"\n')
    wrapper.chmod(0o755)
    expect.set_options(timeout=60_000)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=wrapper, headless=True, args=FLAGS)
        yield browser
        browser.close()
    expect.set_options(timeout=5_000)


@pytest.fixture
def new_page(quiet_browser) -> Iterator[Callable]:
    """Open a page of a size that people have; its trace-worthy state is its screenshot."""
    context = quiet_browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    yield context.new_page
    context.close()


@pytest.fixture
def start_jupyter(quiet_network: list[str], tmp_path: Path) -> Iterator[Callable[[list[str], Path], str]]:
    """Start JupyterLab by a command in a folder; gives its address, token included."""
    with contextlib.ExitStack() as stack:

        def start(command: list[str], folder: Path) -> str:
            places = {name: str(tmp_path / "jupyter" / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
            env = {name: value for name, value in os.environ.items() if not name.startswith(("CONDA", "JUPYTER_"))}
            env |= {f"JUPYTER_{name}": value for name, value in places.items()}
            env |= {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_TOKEN": "known"}
            env["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{env['PATH']}"
            said = tmp_path / "jupyter.log"
            with said.open("wb") as log:
                process = subprocess.Popen(
                    [*quiet_network, *command], cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
                )
            stack.callback(_end, process)
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and process.poll() is None:
                for path in Path(places["RUNTIME_DIR"]).glob("jpserver-*.json"):
                    with contextlib.suppress(ValueError, KeyError):  # it may be half written
                        return f"{json.loads(path.read_text())['url']}?token=known"
                time.sleep(0.1)
            raise AssertionError(f"JupyterLab did not start:\n{said.read_text()[-3000:]}")

        yield start


def _end(process: subprocess.Popen) -> None:
    """End JupyterLab, which ends its kernels when it is told to stop; what stays ends anyway."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
