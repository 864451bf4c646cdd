"""A small server that answers as the service of lab 03 does, and knows no model; needs the standard library only.

It runs in the image of `stand_ins`, in place of a student's, as `gunicorn` and as `python -m gunicorn`. Like a real
service it takes a moment to load, answers 503 on /ready meanwhile, and stops listening as soon as it is told to end.
Like gunicorn it needs a place for temporary files, and knows `--bind` and `--worker-tmp-dir`. The first line of its log
reports what it finds in its container.
"""

import hashlib
import json
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("STAND_IN_VERSION", "1")
LOADING_S = 1.0
BEGAN = time.monotonic()
FIELDS = {"carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival"}


def option(*names):
    """The value of an option of gunicorn, from the command line or GUNICORN_CMD_ARGS; None when it is not there."""
    words = [*shlex.split(os.environ.get("GUNICORN_CMD_ARGS", "")), *sys.argv[1:]]
    found = None
    for place, word in enumerate(words):
        name, equal, value = word.partition("=")
        if name in names:
            found = value if equal else (words[place + 1] if place + 1 < len(words) else None)
        elif word.startswith("-b") and not word.startswith("--") and "-b" in names and len(word) > 2:
            found = word[2:]
    return found


def can_write(folder):
    """Whether a file can be made in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def inside():
    """What the container is like: its user, whether its root can be written, its settings."""
    names = ("WEB_CONCURRENCY", "WEB_THREADS", "WEATHER_API_KEY")
    return {
        "user": os.getuid(),
        "writable": [folder for folder in ("/", "/srv", "/usr/local", "/var") if can_write(folder)],
        "temporary": can_write(option("--worker-tmp-dir")),
        "environment": {name: os.environ.get(name) for name in names},
    }


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self):
        """Health, readiness, and which model this would be."""
        loaded = time.monotonic() - BEGAN > LOADING_S
        sha256 = hashlib.sha256(VERSION.encode()).hexdigest()
        found = {
            "/health": (200, {"status": "ok"}),
            "/ready": (200, {"status": "ready"}) if loaded else (503, {"title": "Service Unavailable", "status": 503}),
            "/model": (200, {"name": "late-flights", "version": VERSION, "sha256": sha256, "threshold": 0.25}),
        }
        self.answer(*found.get(self.path.partition("?")[0], (404, {"title": "Not Found", "status": 404})))

    def do_POST(self):
        """A made-up probability for a flight."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            flight = json.loads(body)
        except ValueError:
            flight = None
        if self.path != "/predict":
            self.answer(404, {"title": "Not Found", "status": 404})
        elif not isinstance(flight, dict) or not set(flight) >= FIELDS:
            self.answer(422, {"title": "Unprocessable Content", "status": 422})
        else:
            share = int(hashlib.sha256(json.dumps(flight, sort_keys=True).encode()).hexdigest()[:4], 16) / 0xFFFF
            self.answer(200, {"probability": round(share, 4), "warn": share >= 0.25})

    def answer(self, status, found):
        """Send JSON, and leave a line in the log."""
        kind = "application/json" if status < 400 else "application/problem+json"
        asked = self.headers.get("X-Request-ID", "-")
        print(json.dumps({"request_id": asked, "path": self.path, "status": status}), flush=True)
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The line above is the log."""


class Server(ThreadingHTTPServer):
    """Finishes what it began before it ends."""

    daemon_threads = False
    request_queue_size = 128


print(json.dumps({"inside": inside()}), flush=True)
with tempfile.TemporaryFile(prefix="wgunicorn-", dir=option("--worker-tmp-dir")):  # as the heartbeat of each worker
    pass
held = bytearray(int(os.environ.get("STAND_IN_MIB", "0")) << 20)
held[::4096] = b"x" * len(held[::4096])
if os.environ.get("STAND_IN_BUSY"):
    threading.Thread(target=lambda: any(iter(int, 1)), daemon=True).start()
port = (option("-b", "--bind") or "").rpartition(":")[2]
server = Server(("0.0.0.0", int(port if port.isdigit() else os.environ.get("PORT") or "8000")), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
server.server_close()
