"""`workers.py REQUESTS ANSWERS CONNECTIONS`: run a student's worker beside a port that leads to the broker of `bus.py`.

Messages are as in `serve.py`. The table that the worker writes is read here too, so that no trusted process opens it.
"""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from link import die_with, reply_to_messages

MOST_ROWS = 5000
MOST_TEXT = 200


class Workers:
    """Processes of the student's, and the port that leads to the broker."""

    def __init__(self, connections):
        self.connections, self.running, self.lock = connections, {}, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        """Join each connection to one of the broker's."""
        while True:
            near, _ = self.listener.accept()
            with self.lock:
                self.connections.sendall(b"?")
                _, found, _, _ = socket.recv_fds(self.connections, 1, 1)
            if not found:
                near.close()
                continue
            far = socket.socket(fileno=found[0])
            far.settimeout(None)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    def pass_on(self, source, target):
        """Copy bytes until an end closes."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def do_fill(self, folder, files):
        """Write files."""
        Path(folder).mkdir(exist_ok=True)
        for name, text in files.items():
            Path(folder, name).write_text(text)
        return {}

    def do_start(self, name, command, folder, env):
        """Start a process in a folder; "PORT" in the environment becomes the port."""
        named = {key: value.replace("PORT", str(self.port)) for key, value in env.items()}
        self.running[name] = subprocess.Popen(
            [sys.executable, "-B", *command],
            cwd=folder,
            env={"PYTHONUNBUFFERED": "1", **os.environ, "PYTHONNOUSERSITE": "1", "MALLOC_ARENA_MAX": "2", **named},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: die_with(signal.SIGKILL),
        )
        return {}

    def do_signal(self, name, number):
        """Send a signal to a process and all of its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(self.running[name].pid, number)
            else:
                self.running[name].send_signal(number)
        return {}

    def do_wait(self, name, seconds):
        """Its exit status; None when it still runs after some seconds."""
        try:
            return {"code": self.running[name].wait(seconds)}
        except subprocess.TimeoutExpired:
            return {"code": None}

    def do_rows(self, database, columns, table):
        """The rows of a table, at most so many; what is no table of these columns is an error."""
        if not Path(database).is_file():
            return {"rows": [], "missing": True}
        names = ", ".join(columns)
        until = time.monotonic() + 10
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
            rows = connection.execute(f"SELECT {names} FROM {table} LIMIT {MOST_ROWS + 1}").fetchall()
        return {"rows": [[self.plain(value) for value in row] for row in rows]}

    def plain(self, value):
        """A value as JSON takes it."""
        return value if isinstance(value, int | float | None) else str(value)[:MOST_TEXT]

    def end(self):
        """End all processes."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main():
    """Serve, and leave nothing behind."""
    die_with(signal.SIGTERM)
    workers = Workers(socket.socket(fileno=int(sys.argv[3])))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        reply_to_messages(workers, int(sys.argv[1]), int(sys.argv[2]))
    finally:
        workers.end()
        os._exit(0)


if __name__ == "__main__":
    main()
