"""Callers that never stop asking: the request loop under which this lab updates, breaks and kills things.

    with Callers(space, "late-flights") as callers:
        space.apply(newer)
        …
    callers.records             # one for each request

They run in the pod "client" of your namespace, so their requests go to the Service, as other programs' do.
"""

from __future__ import annotations

import json
import subprocess
import time

ASKING = """
import http.client, json, sys, threading, time

host, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began, stop, records = time.monotonic(), threading.Event(), []

def ask_again_and_again():
    while not stop.is_set():
        at, status, model = time.monotonic(), None, None
        connection = http.client.HTTPConnection(host, timeout=5)
        try:
            connection.request("GET", "/model", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                model = json.loads(body)["sha256"]
            status = answer.status
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        seconds = time.monotonic() - at
        records.append({"at": round(at - began, 3), "seconds": round(seconds, 3), "status": status, "model": model})
        stop.wait(pause)

callers = [threading.Thread(target=ask_again_and_again) for _ in range(count)]
for one in callers:
    one.start()
print("asking", flush=True)
sys.stdin.read()
stop.set()
for one in callers:
    one.join()
print(json.dumps(sorted(records, key=lambda one: one["at"])))
"""


class Callers:
    """Some callers who ask `GET /model` of a Service again and again, each time over a new connection.

    Args:
        space: your namespace; its pod "client" runs.
        service: the Service's name.
        versions: what to call a model, by the SHA-256 that the service says of it.
        count: how many callers.
        pause: seconds between an answer and the next question.

    Attributes:
        records: when the block has ended, a dictionary for each request: `at` (when it was sent, in seconds since the
            first), `seconds` (how long it took), `status` (None: nobody answered) and `version` (None: unknown).
    """

    def __init__(
        self, space, service: str, versions: dict[str, str] | None = None, *, count: int = 4, pause: float = 0.03
    ):
        self.space, self.service, self.versions = space, service, versions or {}
        self.count, self.pause = count, pause
        self.records: list[dict] = []

    def __enter__(self) -> Callers:
        arguments = [self.service, str(self.count), str(self.pause)]
        command = [self.space.program, "--namespace", self.space.name, "exec", "-i", "client", "--"]
        self._asking = subprocess.Popen(
            [*command, "python", "-u", "-c", ASKING, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._asking.stdout.readline().strip() != "asking":
            raise RuntimeError(f"the callers did not start: {self._asking.stderr.read().strip()[-500:]}")
        return self

    def __exit__(self, *_: object) -> None:
        said, trouble = self._asking.communicate()
        try:
            asked = json.loads(said)
        except ValueError:
            raise RuntimeError(f"the callers did not tell what they saw: {trouble.strip()[-500:]}") from None
        self.records = [
            {
                "at": one["at"],
                "seconds": one["seconds"],
                "status": one["status"],
                "version": self.versions.get(one["model"], one["model"]),
            }
            for one in asked
        ]

    def watch(self, seconds: float) -> None:
        """Go on asking for some seconds."""
        time.sleep(seconds)
