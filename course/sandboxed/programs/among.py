"""`among.py`, in a pod beside those of a student: `beside.py`, and a load that goes on until it is taken off.

Each request of a load goes over a connection of its own, through the Service's address, as from any other pod. Its
answers are noted in short, so that a rollout of minutes fits into one reply.
"""

import base64
import os
import signal
import time

import beside
import serve

MAX_RECORDS = 20_000
MAX_BODY = 2000
MAX_BODIES = 500


class Among(beside.Beside):
    """Clients of whatever address is asked for, and a load."""

    def __init__(self, requests, answers):
        super().__init__(requests, answers)
        self.load, self.loaded, self.records, self.bodies = None, [], [], {}

    def do_load(self, host, port, clients, at_once, pause):
        """Begin to ask requests in turn, some at once, each client with a pause between two."""
        self.load = {
            "host": host,
            "port": port,
            "specs": clients,
            "pause": pause,
            "place": 0,
            "begun": time.monotonic(),
        }
        self.loaded = [
            {"client": None, "next": time.monotonic() + pause * number / at_once} for number in range(at_once)
        ]
        self.records, self.bodies = [], {}
        return {}

    def do_unload(self):
        """Take the load off, wait for what is on its way, and tell what came of each request."""
        load, self.load = self.load, None
        while any(one["client"] is not None for one in self.loaded):
            self.turn([], time.monotonic() + serve.STEP_S)
        seconds = time.monotonic() - load["begun"]
        bodies = sorted(self.bodies, key=self.bodies.get)
        return {
            "seconds": seconds,
            "records": self.records,
            "bodies": [base64.b64encode(one).decode() for one in bodies],
        }

    def turn(self, clients, until, also=()):
        """Drive the load besides what else there is to do."""
        wake = self.keep_up()
        return super().turn([*clients, *self.under_way()], min(until, wake), also)

    def under_way(self):
        """The load's own clients."""
        return [one["client"] for one in self.loaded if one["client"] is not None]

    def keep_up(self):
        """Note what ended, begin what is due; when to look again."""
        now = time.monotonic()
        for one in self.loaded:
            if one["client"] is not None and one["client"].end is not None:
                self.note(one)
            if one["client"] is None and self.load is not None and now >= one["next"]:
                if len(self.records) >= MAX_RECORDS:
                    one["next"] = now + 3600
                    continue
                specs = self.load["specs"]
                place = self.load["place"] % len(specs)
                self.load["place"] += 1
                beside.At.host, kept = self.load["host"], beside.At.host
                one["client"] = serve.Client(self.load["port"], specs[place])
                beside.At.host = kept
                one["place"], one["at"] = place, now - self.load["begun"]
        due = [one["next"] for one in self.loaded if one["client"] is None and self.load is not None]
        return min(due, default=now + serve.STEP_S)

    def note(self, one):
        """One line about a request that ended: when, which, how, its status, its seconds, which body."""
        client, one["client"] = one["client"], None
        head, _, body = bytes(client.buffer).partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() and len(words[1]) == 3 else 0
        body = body[:MAX_BODY]
        if body not in self.bodies and len(self.bodies) < MAX_BODIES:
            self.bodies[body] = len(self.bodies)
        shown = self.bodies.get(body, -1)
        took = round(client.seconds, 4)
        self.records.append([round(one["at"], 4), one["place"], client.end, status, took, shown])
        one["next"] = time.monotonic() + (self.load["pause"] if self.load is not None else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container ignores it otherwise
    serve.Client = beside.At
    serve.IDLE_S = 7 * 86400.0  # its end is that of its input
    Among(0, 1).serve()
