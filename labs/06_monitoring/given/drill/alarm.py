"""A drill in which time runs 120 times faster: a service breaks, Prometheus notices, Alertmanager calls the notebook.

    drill = run()            # a real one, or the recording of one where something is missing; it prints which
    plot(drill)

The service is measured by the metrics.py that you shipped, watched by your rules.yml, and your alertmanager.yml decides
who is called. An hour in your rules is half a minute here. Everything listens on free ports of this machine, and ends
with the drill.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import yaml

from course.checks import CheckFailed
from course.checks.prometheus import programs
from course.checks.prometheus.durations import seconds_of
from course.checks.prometheus.routes import Routes
from course.checks.prometheus.rules import AlertRules
from course.shipping import folder as shipped

LIVE = "COURSE_LIVE"  # "off": nothing is started, as when the notebook is graded
FASTER = 120
RECORDED = Path(__file__).with_name("recorded.json")
FILES = ("metrics.py", "rules.yml", "alertmanager.yml")
CALM_S, MENDING_S, LONGEST_S = 8.0, 4.0, 40.0
_WINDOW = re.compile(r"\[([^\[\]]*)\]")
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")


@dataclass
class Drill:
    """What happened, in seconds since the service broke.

    Attributes:
        events: when, and what.
        shares: when, and the share of requests that failed, over the short and over the long window.
        recorded: whether it is a recording.
    """

    events: list[tuple[float, str]] = field(default_factory=list)
    shares: list[tuple[float, float, float]] = field(default_factory=list)
    recorded: bool = False


class NotRun(Exception):
    """A drill cannot be run here, or did not come to its end; the message says why."""


def run() -> Drill:
    """Run a drill; where that is not possible, print why, and return a recorded one."""
    try:
        _look_around()
        return _run()
    except (NotRun, CheckFailed, OSError) as reason:
        print(f"This is a recorded drill: {getattr(reason, 'reason', reason)}.")
        return recorded()


def recorded() -> Drill:
    """The drill that was recorded with the course's own answers."""
    data = json.loads(RECORDED.read_text(encoding="utf-8"))
    return Drill([tuple(one) for one in data["events"]], [tuple(one) for one in data["shares"]], recorded=True)


def output(name: str, *arguments: str, **files: str) -> str:
    """What promtool or amtool prints about some files; what it printed to the author where it is not installed.

    Args:
        name: promtool or amtool.
        arguments: of its command line.
        files: the content of each file; `rules` is rules.yml.
    """
    if programs.find(name) is not None:
        done = programs.run(name, arguments, {f"{file}.yml": content for file, content in files.items()})
        return "\n".join(line for line in done.output.splitlines() if not line.startswith("Warning:")).strip()
    printed = json.loads(RECORDED.read_text(encoding="utf-8"))["outputs"].get(" ".join(arguments))
    return f"{printed}\n\n(recorded: {name} is not installed here)" if printed else f"({name} is not installed here)"


def record(drill: Drill, outputs: dict[str, str]) -> None:
    """Keep a drill, and what the programs printed about the examples by their arguments, for machines without them."""
    data = {"events": drill.events, "shares": drill.shares, "outputs": outputs}
    RECORDED.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def plot(drill: Drill) -> plt.Figure:
    """The share of failed requests over both windows, and what happened when."""
    figure, axis = plt.subplots(figsize=(9, 3.6))
    times = [at for at, _, _ in drill.shares]
    axis.plot(times, [100 * short for _, short, _ in drill.shares], label="failed, over “5 m”")
    axis.plot(times, [100 * long for _, _, long in drill.shares], linestyle="--", label="failed, over “1 h”")
    axis.axhline(7.2, color="black", linestyle=":", label="burn rate 14.4")
    for number, (at, what) in enumerate(drill.events):
        axis.axvline(at, color="grey", linewidth=0.8)
        axis.text(
            at + 0.1,
            92 - 13 * (number % 5),
            what,
            fontsize="x-small",
            bbox={"facecolor": "white", "alpha": 0.7, "lw": 0},
        )
    axis.set_xlabel(f"seconds since the service broke (one is {FASTER // 60} minutes of the rules)")
    axis.set_ylabel("requests, in %")
    axis.legend(loc="upper left", fontsize="x-small")
    figure.tight_layout()
    return figure


def describe(drill: Drill) -> str:
    """The same in words."""
    return "; ".join(f"after {at:.1f} s {what}" for at, what in drill.events)


def plain_counts(requests: int, scrapes: int) -> list[int]:
    """What a plain counter behind two workers says in each of some scrapes, after so many requests."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "counts").mkdir()
        shutil.copyfile(Path(__file__).with_name("plain.py"), folder / "plain.py")
        (port,) = _ports(1)
        env = {"PROMETHEUS_MULTIPROC_DIR": ""}
        stack.enter_context(_running(folder, [*_gunicorn(port), "plain:app"], port, "/metrics", **env))
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(lambda _: _get(port, "/ask"), range(requests)))
            texts = [body.decode() for _, body in callers.map(lambda _: _get(port, "/metrics"), range(scrapes))]
    return [int(float(re.findall(r"^asked_total (\S+)", text, re.MULTILINE)[0])) for text in texts]


def _look_around() -> None:
    if os.environ.get(LIVE) == "off":
        raise NotRun(f"{LIVE}=off says that nothing is started here")
    if missing := [name for name in ("prometheus", "alertmanager") if programs.find(name) is None]:
        raise NotRun(f"there is no {' and no '.join(missing)} here (make doctor says how to get them)")
    if missing := [name for name in FILES if not (shipped() / name).is_file()]:
        raise NotRun(f"you have not shipped {', '.join(missing)} yet")


def _run() -> Drill:
    rules, routes = AlertRules("rules.yml").text(annotations=True), Routes("alertmanager.yml").text
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        calls: list[tuple[float, dict[str, Any]]] = []
        webhook = stack.enter_context(_webhook(calls))
        service, prometheus, alertmanager = _ports(3)
        _write(folder, rules, routes, webhook, service, alertmanager)
        _start(stack, folder, service, prometheus, alertmanager)
        stack.enter_context(_callers(service))
        return _play(folder, prometheus, calls)


def _play(folder: Path, prometheus: int, calls: list[tuple[float, dict[str, Any]]]) -> Drill:
    """Break the service, wait for the page, repair it, and wait for the all-clear."""
    drill, broken = Drill(), folder / "broken"
    shares: list[tuple[float, float, float]] = []

    def wait(until: Callable[[], bool], seconds: float) -> bool:
        end = time.time() + seconds
        while time.time() < end and not until():
            shares.append((time.time(), *(_share(prometheus, window) for window in ("5m", "1h"))))
            time.sleep(0.3)
        return until()

    def pages(status: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, one) for at, one in calls if one["receiver"] == "on-call" and one["status"] == status]

    wait(lambda: False, CALM_S)
    began = time.time()
    broken.touch()
    paged = wait(lambda: bool(pages("firing")), LONGEST_S)
    wait(lambda: False, MENDING_S)  # whoever is on call needs a moment
    repaired = time.time()
    broken.unlink()
    clear = paged and wait(lambda: bool(pages("resolved")), LONGEST_S)
    wait(lambda: False, 2.0)
    drill.events.append((0.0, "the service breaks"))
    if paged:
        at, page = pages("firing")[0]
        first = page["alerts"][0]
        drill.events.append((datetime.fromisoformat(first["startsAt"]).timestamp() - began, "Prometheus: it fires"))
        drill.events.append((at - began, f"on-call is paged: {first['labels']['alertname']}"))
    drill.events.append((repaired - began, "the service is repaired"))
    if clear:
        drill.events.append((pages("resolved")[0][0] - began, "on-call: it is over"))
    drill.shares = [(at - began, short, long) for at, short, long in shares]
    if not paged:
        print(f"Nobody was paged within {LONGEST_S:.0f} seconds: do your rules fire, and does a page reach on-call?")
    return drill


# -- what is started ---------------------------------------------------------------------------------------------------


def _write(folder: Path, rules: str, routes: str, webhook: int, service: int, alertmanager: int) -> None:
    """The service, and the configurations of Prometheus and Alertmanager."""
    shutil.copyfile(Path(__file__).with_name("service.py"), folder / "service.py")
    shutil.copyfile(shipped() / "metrics.py", folder / "metrics.py")
    (folder / "counts").mkdir()
    (folder / "rules.yml").write_text(hurried(rules), encoding="utf-8")
    watch = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [_job("late-flights", service)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(watch))
    config = yaml.safe_load(routes)
    names = [one["name"] for one in config.get("receivers") or []]
    url = f"http://127.0.0.1:{webhook}/"
    config["receivers"] = [{"name": name, "webhook_configs": [{"url": url}]} for name in names]
    _no_waiting(config["route"])
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))


def hurried(rules: str) -> str:
    """Rules in which every duration is 120 times shorter."""

    def shorter(match: re.Match[str]) -> str:
        return f"{max(1, round((seconds_of(match.group()) or 0) * 1000 / FASTER))}ms"

    document = yaml.safe_load(rules)
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        rule["expr"] = _WINDOW.sub(lambda window: _DURATION.sub(shorter, window.group()), rule["expr"])
        for key in ("for", "keep_firing_for"):
            if key in rule:
                rule[key] = _DURATION.sub(shorter, str(rule[key]))
    return yaml.safe_dump(document, sort_keys=False)


def _no_waiting(route: dict[str, Any]) -> None:
    route |= {"group_wait": "0s", "group_interval": "1s"}
    for inner in route.get("routes") or []:
        _no_waiting(inner)


def _job(name: str, port: int) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}


def _start(stack: contextlib.ExitStack, folder: Path, service: int, prometheus: int, alertmanager: int) -> None:
    watch = [programs.find("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=series"]
    watch += [f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=error"]
    call = [programs.find("alertmanager"), "--config.file=alertmanager.yml", "--storage.path=silences"]
    call += [f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=", "--log.level=error"]
    for command, port, path in (
        ([*_gunicorn(service), "service:app"], service, "/metrics"),
        (call, alertmanager, "/-/ready"),
        (watch, prometheus, "/-/ready"),
    ):
        stack.enter_context(_running(folder, [str(word) for word in command], port, path))


def _gunicorn(port: int) -> list[str]:
    return [sys.executable, "-B", "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{port}"]


# Runs a program until it ends, or until its own standard input is closed: at the end of the drill, and when the
# notebook's kernel is killed.
KEEPER = """
import os, subprocess, sys, threading, time

program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: os._exit(1 if program.wait() else 0), daemon=True).start()
sys.stdin.buffer.read()
program.terminate()
time.sleep(10)
program.kill()
time.sleep(10)
"""


@contextlib.contextmanager
def _running(folder: Path, command: list[str], port: int, path: str, **more: str) -> Iterator[None]:
    """A program that runs as long as the block, once it is ready."""
    name = "the service with your metrics.py" if "gunicorn" in command else Path(command[0]).name
    with tempfile.TemporaryFile() as log:
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder / "counts"), **more}
        env = {name: value for name, value in env.items() if value}
        process = subprocess.Popen(
            [sys.executable, "-c", KEEPER, *command],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + 30
            while _get(port, path)[0] != 200:
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                    raise NotRun(f"{name} does not start or does not answer {path}: {' '.join(last)[-200:]}")
                time.sleep(0.1)
            yield
        finally:
            process.stdin.close()
            process.wait()


@contextlib.contextmanager
def _webhook(calls: list[tuple[float, dict[str, Any]]]) -> Iterator[int]:
    """Where Alertmanager calls: a small server in this notebook. It yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((time.time(), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _callers(port: int) -> Iterator[None]:
    """Somebody who asks about a flight, some twenty times a second."""
    end = threading.Event()

    def ask() -> None:
        while not end.wait(0.05):
            _get(port, "/predict", "POST")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _share(port: int, window: str) -> float:
    """The share of requests that failed, as Prometheus sees it; 0 where it does not know yet."""
    milliseconds = round((seconds_of(window) or 0) * 1000 / FASTER)
    rates = [
        f'sum(rate(http_requests_total{{route="/predict"{failed}}}[{milliseconds}ms]))'
        for failed in (',status=~"5.."', "")
    ]
    status, body = _get(port, f"/api/v1/query?query={urllib.parse.quote('/'.join(rates))}")
    with contextlib.suppress(ValueError, LookupError, TypeError):
        value = float(json.loads(body)["data"]["result"][0]["value"][1])
        return value if status == 200 and value == value else 0.0
    return 0.0


def _get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """The status and the body of an answer; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _ports(count: int) -> list[int]:
    """Free ports of this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]
