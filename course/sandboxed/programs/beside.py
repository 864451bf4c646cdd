"""`beside.py`, in a container beside a student's: be the clients of a service at an address, as messages ask for it.

It is `serve.py` without the server: the same messages, on standard input and output. It ends when the other end of its
input does, which is how everybody sees whether the grader that started it still lives.
"""

import os
import signal
import socket
import time

import serve


class At(serve.Client):
    """A client of a service elsewhere than on this machine's loopback."""

    host = "0.0.0.0"


class Beside(serve.Relay):
    """Clients of whatever address is asked for."""

    def do_reach(self, host, port, probe, timeout):
        """Wait until something answers there; None seconds when nothing does."""
        At.host, self.port = host, port
        started, end = time.monotonic(), "refused"
        while time.monotonic() < started + timeout:
            left = max(0.1, started + timeout - time.monotonic())
            client = At(port, {"send": probe, "timeout": min(left, 5.0)})
            while client.end is None:
                self.turn([client], time.monotonic() + 0.05)
            if client.buffer:
                return {"seconds": time.monotonic() - started}
            end = client.end
            time.sleep(0.05)
        return {"silent": True, "end": end}

    def do_find(self, name):
        """The address of a name, as this container sees it."""
        try:
            return {"address": socket.gethostbyname(name)}
        except OSError:
            return {"address": None}

    def do_exchange(self, clients, at_once, host=None, port=None):
        """Ask, and wait for all answers."""
        if host is not None:
            At.host, self.port = host, port
        return super().do_exchange(clients, at_once)

    def do_open(self, clients, host=None, port=None):
        """Begin clients that go on beside what is asked next."""
        if host is not None:
            At.host, self.port = host, port
        return super().do_open(clients)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container ignores it otherwise
    serve.Client = At
    serve.IDLE_S = 7 * 86400.0  # its end is that of its input
    Beside(0, 1).serve()
