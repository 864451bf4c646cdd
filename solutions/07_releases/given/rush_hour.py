"""Sends the same rush of flights to a web server and to a stream, and measures when each flight has its score.

Both have one worker that needs `WORK_S` for a score, so neither is faster than the other. Clients send at a fixed rate
and do not wait for each other (an open loop).
"""

import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from course import broker

WORK_S = 0.01  # so at most 100 flights per second
TIMEOUT_S = 0.5  # how long a caller of the web server waits


class _Handler(BaseHTTPRequestHandler):
    worker = threading.Lock()

    def do_GET(self) -> None:
        with self.worker:
            time.sleep(WORK_S)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing into the notebook."""


class _Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 512

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller who hangs up is no error of the server's."""


def _at_a_rate(rate: float, seconds: float, send: Callable[[int], None], threads: int) -> None:
    """Call send(0), send(1), … at a fixed rate, whether or not the earlier calls have ended."""
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            pool.submit(send, number)


def over_http(rate: float, seconds: float) -> np.ndarray:
    """The seconds from each request to its answer; NaN where the caller gave up."""
    server = _Server(("127.0.0.1", 0), _Handler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    took = np.full(int(rate * seconds), np.nan)

    def ask(number: int) -> None:
        sent = time.monotonic()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/", timeout=TIMEOUT_S).close()
        except OSError:
            return
        took[number] = time.monotonic() - sent

    _at_a_rate(rate, seconds, ask, threads=200)
    server.shutdown()
    server.server_close()
    serving.join()
    return took


def over_a_stream(rate: float, seconds: float) -> np.ndarray:
    """The seconds from each message to its effect."""
    running = broker.start()
    took = np.full(int(rate * seconds), np.nan)
    sent = np.zeros(len(took))

    def work() -> None:
        queue, done = broker.connect(running.url, in_flight=8), 0
        while done < len(took):
            for delivery in queue.fetch(8, wait=5.0):
                time.sleep(WORK_S)
                took[int(delivery.body)] = time.monotonic() - sent[int(delivery.body)]
                delivery.ack()
                done += 1
        queue.close()

    owner = broker.connect(running.owner)

    def publish(number: int) -> None:
        sent[number] = time.monotonic()
        owner.publish(str(number).encode())

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    _at_a_rate(rate, seconds, publish, threads=8)
    worker.join(30)
    owner.close()
    running.close()
    return took
