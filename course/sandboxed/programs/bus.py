"""`bus.py REQUESTS ANSWERS CONNECTIONS`: a broker (NATS JetStream), and its owner's client, as messages ask for it.

It runs in a sandbox of its own. Whoever holds the other end of CONNECTIONS, a socket, gets a connection to the broker
for each byte that they send, as an open file. So a student's worker in another sandbox reaches the broker and nothing
else. Messages are as in `serve.py`. The broker ends with this program, and with its folder go the streams.
"""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nats
from link import die_with, reply_to_messages

MOST_CONNECTIONS = 200
MOST_DEAD = 500  # dead letters that are shown
SHOWN = 2000  # bytes of one of them


class Bus:
    """One broker and its owner's client."""

    def __init__(self, connections):
        self.connections, self.server, self.port, self.client = connections, None, 0, None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        threading.Thread(target=self.hand_out, daemon=True).start()

    def wait_for(self, coroutine, seconds=20.0):
        """The result of a coroutine."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def hand_out(self):
        """Send an open connection to the broker for each byte that arrives; a byte alone where the broker is away."""
        for _ in range(MOST_CONNECTIONS):
            if not self.connections.recv(1):
                return
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=2) as made:
                    socket.send_fds(self.connections, [b"+"], [made.fileno()])
            except OSError:
                self.connections.sendall(b"-")

    def do_start(self, program, config, url, streams):
        """Start the broker, and make its streams."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.command = [program, "-c", "nats.conf", "-a", "127.0.0.1", "-p", str(self.port), "-sd", "store"]
        Path("nats.conf").write_text(config)
        self.launch()
        self.client = self.wait_for(
            nats.connect(
                url.replace("PORT", str(self.port)),
                reconnect_time_wait=0.05,
                max_reconnect_attempts=-1,
                error_cb=self.ignore,
                allow_reconnect=True,
            )
        )
        self.stream = self.client.jetstream(timeout=10)
        for spec in streams:
            self.wait_for(self.stream.add_stream(**spec))
        return {}

    async def ignore(self, _):
        """A broker that goes away is no error here."""

    def launch(self):
        """Start the broker's process, and wait until it takes connections."""
        with open("nats.log", "ab") as log:
            environment = {**os.environ, "GOMEMLIMIT": "400MiB", "GOMAXPROCS": "2"}
            self.server = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                preexec_fn=lambda: die_with(signal.SIGKILL),
            )
        until = time.monotonic() + 15
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(Path("nats.log").read_text(errors="replace")[-500:])

    def do_restart(self, away):
        """End the broker, and start it again after some seconds; its files stay."""
        self.server.terminate()
        self.server.wait()
        time.sleep(away)
        self.launch()
        until = time.monotonic() + 10
        while not self.client.is_connected and time.monotonic() < until:
            time.sleep(0.02)
        return {}

    def do_clear(self, streams):
        """Forget all messages and consumers."""

        async def clear():
            for name in streams:
                for consumer in await self.stream.consumers_info(name):
                    await self.stream.delete_consumer(name, consumer.name)
                await self.stream.purge_stream(name)

        self.wait_for(clear())
        return {}

    def do_publish(self, subject, bodies):
        """Put messages into a stream, each confirmed; a number stands for so many bytes."""

        async def publish():
            numbers = []
            for body in bodies:
                data = b"x" * body if isinstance(body, int) else base64.b64decode(body)
                numbers.append((await self.stream.publish(subject, data)).seq)
            return numbers

        return {"numbers": self.wait_for(publish())}

    def do_state(self, stream):
        """What consumers have left to do: per consumer, messages not sent yet, not acknowledged yet, sent again."""

        async def state():
            found = await self.stream.consumers_info(stream)
            return [[one.num_pending, one.num_ack_pending, one.num_redelivered] for one in found[:20]]

        return {"consumers": self.wait_for(state())}

    def do_read(self, stream):
        """The messages of a stream: their headers, and the beginning of their bodies."""

        async def read():
            state = (await self.stream.stream_info(stream)).state
            found = []
            for number in range(max(1, state.first_seq), min(state.last_seq, state.first_seq + MOST_DEAD - 1) + 1):
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    message = await self.stream.get_msg(stream, number)
                    body = base64.b64encode((message.data or b"")[:SHOWN]).decode()
                    found.append({"headers": dict(message.headers or {}), "body": body})
            return {"messages": found, "count": state.messages}

        return self.wait_for(read())

    def end(self):
        """End the broker."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()


def main():
    """Serve, and leave nothing behind."""
    die_with(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bus = Bus(socket.socket(fileno=int(sys.argv[3])))
    try:
        reply_to_messages(bus, int(sys.argv[1]), int(sys.argv[2]))
    finally:
        bus.end()
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
