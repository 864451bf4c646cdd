"""`serve.py REQUESTS ANSWERS`: start a web server on a port of its own, and be its clients, as messages ask for it.

A message is a length of 8 bytes and that much JSON, and so is its reply. All clients share one loop, with a deadline
each, so that fifty at once need no threads and no server can keep this program waiting. It ends its server when the
other side goes away, and by itself when nobody asked for long.

A server may call others: *peers*, such as a collector of spans. They are in the same loop. A peer keeps what it is
sent, within limits, and answers as it is told to.
"""

import base64
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

MAX_ANSWER = 2 << 20
MAX_ALL = 48 << 20
IDLE_S = 120.0
STEP_S = 0.25
ENDING_S = 2.0  # how long after a broken connection a server's end is waited for, to tell the one from the other
BROKEN = ("closed", "reset", "refused")
MAX_HEAD = 1 << 16
MAX_CALL = 4 << 20
MAX_HEARD = 16 << 20  # bytes that a peer keeps until it is asked for them
MOST_HEARD = 4000
MOST_CALLS = 64  # connections of one peer; the oldest is closed for a new one


def die_with(parent_signal):
    """Ask Linux for a signal when the process that started this one ends; elsewhere the closed pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, parent_signal)  # PR_SET_PDEATHSIG


class Client:
    """One connection: it sends its bytes, at its pace, and reads until the answer is whole or time is up."""

    host = "127.0.0.1"

    def __init__(self, port, spec):
        self.data = base64.b64decode(spec["send"])
        self.chunk = spec.get("chunk") or len(self.data) or 1
        self.pause = spec.get("pause") or 0.0
        self.cut = spec.get("cut")  # close, without a farewell, after that many bytes
        self.hold = spec.get("hold")  # wait at that byte until released
        self.bodiless = bool(spec.get("bodiless"))
        self.sent, self.buffer, self.end = 0, bytearray(), None
        self.length = None
        self.started = self.next = time.monotonic()
        self.deadline = self.started + spec["timeout"]
        self.seconds = 0.0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        code = self.socket.connect_ex((self.host, port))
        if code not in (0, 115, 36, 10035):  # in progress, by system
            self.finish("refused")

    def wants_to_write(self, now):
        """Whether there is something that it should send now."""
        return self.sent < self.limit() and now >= self.next

    def limit(self):
        """How far it may send at present."""
        bounds = [bound for bound in (self.cut, self.hold) if bound is not None]
        return min([len(self.data), *bounds])

    def waits_until(self):
        """When it needs attention though nothing arrives."""
        return min(self.deadline, self.next) if self.sent < self.limit() else self.deadline

    def write(self):
        """Send the next bytes."""
        try:
            self.sent += self.socket.send(self.data[self.sent : min(self.sent + self.chunk, self.limit())])
        except BlockingIOError:
            return
        except OSError:
            self.sent = len(self.data)  # the server wants no more; its answer may be there all the same
            return
        self.next = time.monotonic() + self.pause
        if self.cut is not None and self.sent >= self.cut:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.finish("cut")

    def read(self):
        """Take what arrived."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self.finish("refused")
            return
        except OSError:
            self.finish("reset")
            return
        if not data:
            self.finish("complete" if self.buffer else "closed")
            return
        self.buffer += data
        if len(self.buffer) > MAX_ANSWER:
            self.finish("too large")
        elif self.is_whole():
            self.finish("complete")

    def is_whole(self):
        """Whether the answer has as many bytes as it says: then nobody needs to wait for the end of the connection."""
        if self.length is None:
            place = self.buffer.find(b"\r\n\r\n")
            if place < 0:
                return False
            self.length = self.expected(bytes(self.buffer[:place]), place + 4)
        if self.length == -1:
            return self.buffer.endswith(b"\r\n0\r\n\r\n")
        return self.length >= 0 and len(self.buffer) >= self.length

    def expected(self, head, begin):
        """The length of the whole answer; -1 when it comes in chunks, -2 when only the end of the connection tells."""
        lines = head.split(b"\r\n")
        if self.bodiless or lines[0].split(b" ")[1:2] in ([b"204"], [b"304"]):
            return begin
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"transfer-encoding":
                return -1
            if name == b"content-length" and value.isdigit() and len(value) < 16:
                return begin + int(value)
        return -2

    def finish(self, end):
        """Note how it ended, and close."""
        if self.end is None:
            self.end, self.seconds = end, time.monotonic() - self.started
            self.socket.close()

    def report(self):
        """What came of it, as plain data."""
        return {"raw": base64.b64encode(bytes(self.buffer)).decode(), "seconds": self.seconds, "end": self.end}


class Conversation(Client):
    """One connection for some requests: each is sent when the answer to the one before is there."""

    def __init__(self, port, spec, sends):
        self.later, self.reports, self.patience = list(sends[1:]), [], spec["timeout"]
        super().__init__(port, {**spec, "send": sends[0]})

    def finish(self, end):
        """Note how one ended; go on with the next where the connection stays open."""
        if self.end is not None:
            return
        self.seconds = time.monotonic() - self.started
        self.reports.append({**self.report(), "end": end})
        head = bytes(self.buffer).partition(b"\r\n\r\n")[0].lower()
        if end == "complete" and self.later and self.length != -2 and b"connection: close" not in head:
            self.data, self.sent, self.buffer, self.length = base64.b64decode(self.later.pop(0)), 0, bytearray(), None
            self.chunk = len(self.data)
            self.started = self.next = time.monotonic()
            self.deadline = self.started + self.patience
            return
        super().finish(end)


class Call:
    """One connection of the server to a peer: a request that is read, an answer that is written."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.setblocking(False)
        self.buffer, self.out, self.at, self.length = bytearray(), b"", 0.0, None
        self.open = True

    def close(self):
        """Forget it."""
        self.open = False
        self.socket.close()

    def read(self):
        """Take what arrived; the request once it is whole, as its head and its body."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return None
        if self.length == 0:  # it is answered already
            return None
        self.buffer += data
        if self.length is None:
            place = self.buffer.find(b"\r\n\r\n")
            if place < 0:
                if len(self.buffer) > MAX_HEAD:
                    self.refuse(b"431 Request Header Fields Too Large")
                return None
            size = self.declared(bytes(self.buffer[:place]))
            if size is None or size > MAX_CALL:
                self.refuse(b"411 Length Required" if size is None else b"413 Content Too Large")
                return None
            self.length = place + 4 + size
        if len(self.buffer) < self.length:
            return None
        head, _, body = bytes(self.buffer[: self.length]).partition(b"\r\n\r\n")
        self.buffer, self.length = bytearray(), 0
        return head, body

    def declared(self, head):
        """How long the body will be; None when only its end tells."""
        size = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"transfer-encoding":
                return None
            if name == b"content-length":
                size = int(value) if value.isdigit() and len(value) < 16 else MAX_CALL + 1
        return size

    def refuse(self, status):
        """Answer with an error, and read no further."""
        self.length = 0
        self.buffer = bytearray()
        self.answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0.0)

    def answer(self, data, delay):
        """Write this, after some seconds."""
        self.out, self.at = data, time.monotonic() + delay

    def write(self):
        """Send the next bytes, and close after the last."""
        try:
            self.out = self.out[self.socket.send(self.out) :]
        except BlockingIOError:
            return
        except OSError:
            self.out = b""
        if not self.out:
            self.close()


class Peer:
    """What the server calls: it keeps requests, and answers, is silent, or takes no connection."""

    def __init__(self, spec):
        self.port, self.listener, self.calls = 0, None, []
        self.heard, self.size, self.dropped = [], 0, 0
        self.behave(**spec)

    def behave(self, how, answer="", delay=0.0):
        """Do something else from now on: "answer" with these bytes after a delay, "hang" or "refuse"."""
        self.how, self.data, self.delay = how, base64.b64decode(answer), delay
        for call in self.calls:
            call.close()
        self.calls = []
        if how == "refuse":
            if self.listener is not None:
                self.listener.close()
            self.listener = None
        elif self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
            self.listener.setblocking(False)
            self.port = self.listener.getsockname()[1]

    def accept(self):
        """Take a connection."""
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            self.calls = [call for call in self.calls if call.open]
            if len(self.calls) >= MOST_CALLS:
                self.calls.pop(0).close()
            self.calls.append(Call(connection))

    def take(self, call):
        """Read a call, and keep what it sent once that is whole."""
        request = call.read()
        if request is None:
            return
        size = sum(map(len, request))
        if len(self.heard) >= MOST_HEARD or self.size + size > MAX_HEARD:
            self.dropped += 1
            call.refuse(b"503 Service Unavailable")
            return
        self.size += size
        self.heard.append(request)
        if self.how == "answer":
            call.answer(self.data, self.delay)

    def told(self):
        """What it heard since it was asked last, as plain data."""
        heard = [[base64.b64encode(part).decode() for part in request] for request in self.heard]
        reply = {"heard": heard, "dropped": self.dropped}
        self.heard, self.size, self.dropped = [], 0, 0
        return reply


class Relay:
    """One server, its clients and its peers."""

    def __init__(self, requests, answers):
        self.requests, self.answers = requests, answers
        self.server, self.port, self.tree = None, 0, []
        self.background, self.names = {}, 0
        self.peers = {}

    # the loop

    def turn(self, clients, until, also=()):
        """Drive clients, and those in the background, until a moment, or until something else can be read."""
        now = time.monotonic()
        active = [client for client in [*clients, *self.background.values()] if client.end is None]
        reading = {client.socket: client for client in active}
        writing = [client.socket for client in active if client.wants_to_write(now)]
        wake = min([until, *(client.waits_until() for client in active)])
        listening = {peer.listener: peer for peer in self.peers.values() if peer.listener is not None}
        calls = {call.socket: (peer, call) for peer in self.peers.values() for call in peer.calls if call.open}
        for wire, (_, call) in calls.items():
            if call.out and now >= call.at:
                writing.append(wire)
            elif call.out:
                wake = min(wake, call.at)
        every = [*reading, *listening, *calls, *also]
        readable, writable, _ = select.select(every, writing, [], max(0.0, min(wake - now, STEP_S)))
        for place in writable:
            (calls[place][1] if place in calls else reading[place]).write()
        for place in readable:
            if place in listening:
                listening[place].accept()
            elif place in calls and calls[place][1].open:
                calls[place][0].take(calls[place][1])
        for place in readable:
            if place in reading and reading[place].end is None:
                reading[place].read()
        now = time.monotonic()
        for client in active:
            if now >= client.deadline:
                client.finish("timeout")
        return any(place in readable for place in also)

    def drive(self, specs, at_once):
        """Run clients to their ends, some at once."""
        waiting, clients = list(specs), []
        while waiting or any(client.end is None for client in clients):
            while waiting and sum(client.end is None for client in clients) < at_once:
                clients.append(Client(self.port, waiting.pop(0)))
            if sum(len(client.buffer) for client in clients) > MAX_ALL:
                for client in clients:
                    client.finish("too large")
                waiting = []
            self.turn(clients, time.monotonic() + STEP_S)
        return [client.report() for client in clients]

    # what can be asked for

    def do_start(self, server, app, folder, arguments, env, probe, timeout, peers=None):
        """Start a server; it is ready when it answers anything. "{NAME}" in `env` becomes a peer's address."""
        self.peers = {name: Peer(spec) for name, spec in (peers or {}).items()}
        for name, peer in self.peers.items():
            address = f"127.0.0.1:{peer.port}"
            env = {key: value.replace("{" + name + "}", address) for key, value in env.items()}
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = listener.getsockname()[1]
        descriptor = listener.fileno()
        if server == "gunicorn":
            command = [sys.executable, "-B", "-m", "gunicorn", "--bind", f"fd://{descriptor}", *arguments, app]
        else:
            command = [sys.executable, "-B", str(Path(__file__).with_name("develop.py")), str(descriptor), app]
        # a thread for each of fifty clients would else reserve more addresses than the sandbox gives
        environment = {"PYTHONUNBUFFERED": "1", **os.environ, "MALLOC_ARENA_MAX": "2", "PYTHONNOUSERSITE": "1", **env}
        started = time.monotonic()
        self.server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: die_with(signal.SIGKILL),
        )
        listener.close()
        return self.ready(started, probe, timeout)

    def do_proxy(self, command, config, values, probe, timeout, peers):
        """Start nginx with a configuration in which "${NAME}" becomes a value, a peer's address, or LISTEN, its own."""
        self.peers = {name: Peer(spec) for name, spec in peers.items()}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        addresses = {name.upper(): f"127.0.0.1:{peer.port}" for name, peer in self.peers.items()}
        for name, value in {**values, **addresses, "LISTEN": f"127.0.0.1:{self.port}"}.items():
            config = config.replace("${" + name + "}", value)
        Path("nginx.conf").write_text(config)
        return self.do_restart(command, probe, timeout)

    def do_restart(self, command, probe, timeout):
        """Start nginx, instead of the one that runs; addresses and backends stay."""
        self.kill()
        started = time.monotonic()
        self.server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=lambda: die_with(signal.SIGKILL)
        )
        return self.ready(started, probe, timeout)

    def ready(self, started, probe, timeout):
        """Wait until the server answers anything, or ends, or time is up."""
        while time.monotonic() < started + timeout and self.server.poll() is None:
            left = max(0.1, started + timeout - time.monotonic())
            client = Client(self.port, {"send": probe, "timeout": left})
            while client.end is None and self.server.poll() is None:
                self.turn([client], time.monotonic() + 0.05)
            client.finish("ended")
            if client.buffer:
                ports = {name: peer.port for name, peer in self.peers.items()}
                return {"seconds": time.monotonic() - started, "ports": ports}
            time.sleep(0.05)
        return {"seconds": time.monotonic() - started, "silent": self.server.poll() is None}

    def do_exchange(self, clients, at_once):
        """Ask, and wait for all answers."""
        answers = self.drive(clients, at_once)
        until = time.monotonic() + ENDING_S
        if self.server is not None and any(answer["end"] in BROKEN for answer in answers):
            while self.server.poll() is None and time.monotonic() < until:
                self.turn([], time.monotonic() + 0.02)
        return {"answers": answers}

    def do_converse(self, client):
        """Ask one question after the other over one connection, and over a new one where the server closes it."""
        answers, sends = [], client.pop("sends")
        while sends:
            conversation = Conversation(self.port, client, sends)
            while conversation.end is None:
                self.turn([conversation], time.monotonic() + STEP_S)
            answers += conversation.reports
            sends = sends[len(conversation.reports) :]
        return {"answers": answers}

    def do_open(self, clients):
        """Begin clients that go on beside what is asked next."""
        names = []
        for spec in clients:
            self.names += 1
            self.background[str(self.names)] = Client(self.port, spec)
            names.append(str(self.names))
        self.turn([], time.monotonic())
        return {"names": names}

    def do_collect(self, names):
        """Wait for clients in the background."""
        mine = [self.background[name] for name in names]
        for client in mine:
            client.hold = None
        while any(client.end is None for client in mine):
            self.turn([], time.monotonic() + STEP_S)
        for name in names:
            del self.background[name]
        return {"answers": [client.report() for client in mine]}

    def do_behave(self, name, spec):
        """Let a peer do something else."""
        self.peers[name].behave(**spec)
        return {}

    def do_heard(self, name, wait):
        """What a peer was sent since it was asked last; wait a while where that is nothing."""
        until = time.monotonic() + wait
        while not self.peers[name].heard and time.monotonic() < until:
            self.turn([], until)
        return self.peers[name].told()

    def do_memory(self):
        """The resident memory of the server and of each process that it started, in bytes."""
        try:
            import psutil

            found = []
            for process in self.family():
                info = process.memory_info()
                try:
                    shared = process.memory_full_info().pss
                except (AttributeError, psutil.Error):
                    shared = None
                found.append({"pid": process.pid, "resident": info.rss, "proportional": shared})
            return {"processes": found}
        except Exception as error:
            return {"unknown": f"{type(error).__name__}: {error}"[:200]}

    def do_kill_worker(self, timeout):
        """Kill one worker, as the kernel does when memory is short, and wait until another one stands in its place."""
        import psutil

        server = psutil.Process(self.server.pid)
        workers = server.children()
        if not workers:
            return {"killed": 0, "replaced": False}
        before = {worker.pid for worker in workers}
        workers[0].kill()
        until = time.monotonic() + timeout
        while time.monotonic() < until and self.server.poll() is None:
            now = {worker.pid for worker in server.children()}
            if workers[0].pid not in now and len(now) >= len(before):
                return {"killed": 1, "replaced": True}
            self.turn([], time.monotonic() + 0.05)
        return {"killed": 1, "replaced": False}

    def do_stop(self, number, client, grace, timeout):
        """Send a signal, perhaps while a request is half sent, and wait for the end."""
        clients = []
        if client is not None:
            clients.append(Client(self.port, client))
            until = time.monotonic() + grace
            while time.monotonic() < until:
                self.turn(clients, until)
        self.remember()
        started = time.monotonic()
        self.server.send_signal(number)
        release = started + grace
        while time.monotonic() < started + timeout:
            if clients and time.monotonic() >= release:
                clients[0].hold = None
            if self.server.poll() is not None and all(one.end is not None for one in clients):
                break
            self.turn(clients, min(started + timeout, time.monotonic() + 0.05))
        seconds, code = time.monotonic() - started, self.server.poll()
        for one in clients:
            one.finish("timeout")
        self.kill()
        return {"code": code, "seconds": seconds, "answers": [one.report() for one in clients]}

    # life and death

    def family(self):
        """The server's process and all below it."""
        import psutil

        first = psutil.Process(self.server.pid)
        return [first, *first.children(recursive=True)]

    def remember(self):
        """Note the processes of the server, for they cannot be found by descent when it has ended."""
        try:
            self.tree = self.family()
        except Exception:
            self.tree = []

    def end(self):
        """End the server and all that it started, without waiting."""
        if self.server.returncode is None:
            self.remember()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.server.pid, signal.SIGKILL)
        for process in self.tree:
            try:
                process.kill()  # psutil looks whether it is still the same process
            except Exception:
                continue

    def kill(self):
        """End the server and all that it started, and wait."""
        if self.server is not None:
            self.end()
            self.server.wait()

    def abandon(self, *_):
        """What started this program is gone; this may come at any moment, also in the middle of :meth:`kill`."""
        if self.server is not None:
            self.end()
        os._exit(1)

    def answer(self, request):
        """One reply."""
        do = getattr(self, f"do_{request.pop('do')}")
        reply = do(**request)
        code = None if self.server is None else self.server.poll()
        return {**reply, "ended": code}

    def receive(self, count):
        """Read so many bytes of a message, while clients in the background go on; None when the other side is gone."""
        data = bytearray()
        last = time.monotonic() + IDLE_S
        while len(data) < count:
            if not self.turn([], last, also=[self.requests]):
                if time.monotonic() > last:
                    return None
                continue
            chunk = os.read(self.requests, count - len(data))
            if not chunk:
                return None
            data += chunk
        return bytes(data)

    def serve(self):
        """Reply to messages until the other side closes, or is silent for long."""
        while (head := self.receive(8)) is not None:
            body = self.receive(int.from_bytes(head, "little"))
            if body is None:
                return
            reply = json.dumps(self.answer(json.loads(body))).encode()
            message = memoryview(len(reply).to_bytes(8, "little") + reply)
            while message:
                message = message[os.write(self.answers, message) :]


def main():
    """Serve, and leave nothing behind."""
    relay = Relay(int(sys.argv[1]), int(sys.argv[2]))
    signal.signal(signal.SIGTERM, relay.abandon)
    die_with(signal.SIGTERM)
    try:
        with contextlib.suppress(BrokenPipeError):
            relay.serve()
    finally:
        relay.kill()


if __name__ == "__main__":
    main()
