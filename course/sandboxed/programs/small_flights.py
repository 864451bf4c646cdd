"""A small server that answers as the service of lab 03 does, and knows no model; needs the standard library only.

It runs in the image of `stand_ins`, in place of a student's. Like a real service it takes a moment to load, says 503
on /ready meanwhile, and stops listening as soon as it is told to end.
"""

import hashlib
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("STAND_IN_VERSION", "1")
LOADING_S = 1.0
BEGAN = time.monotonic()
FIELDS = {"carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival"}


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


server = Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
server.server_close()
