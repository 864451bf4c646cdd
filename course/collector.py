"""A collector of spans for a notebook: it takes OTLP over HTTP and keeps the spans in DuckDB. Used by lab 06.

    spans = collector.start()          # on a free port; spans.endpoint is what OTEL_EXPORTER_OTLP_ENDPOINT takes
    spans.sql("SELECT name, avg(duration_ms) FROM spans GROUP BY name")

It ends with the notebook. What it is sent is read by `course.base.otlp`; what it does not take is listed in `refused`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd

from course.base import otlp
from course.base.otlp import Malformed, Span

MOST_SPANS = 200_000
MOST_REFUSED = 100
TIMEOUT_S = 10.0  # that a sender may be silent
_TABLE = """
CREATE TABLE spans (
    trace_id VARCHAR, span_id VARCHAR, parent_id VARCHAR, service VARCHAR, name VARCHAR, kind VARCHAR,
    started TIMESTAMP_NS, duration_ms DOUBLE, status VARCHAR, attributes MAP(VARCHAR, VARCHAR)
)"""


class Spans:
    """Spans in a table of DuckDB, named `spans`: one row per span; times are in UTC.

    Args:
        spans: the first ones.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        import duckdb  # of the lab's extra

        self._database = duckdb.connect(":memory:", config={"threads": 1})
        self._database.execute(_TABLE)
        self._lock = threading.Lock()
        self._count = 0
        self.add(list(spans))

    def __len__(self) -> int:
        return self._count

    def add(self, spans: Sequence[Span]) -> None:
        """Add rows.

        Raises:
            Malformed: these would be more than it keeps.
        """
        if self._count + len(spans) > MOST_SPANS:
            raise Malformed(f"this collector keeps {MOST_SPANS:,} spans, and has {self._count:,}")
        rows = [
            {
                "trace_id": span.trace_id,
                "span_id": span.span_id,
                "parent_id": span.parent_id or None,
                "service": span.service,
                "name": span.name,
                "kind": span.kind,
                "started": pd.Timestamp(span.start),
                "duration_ms": span.milliseconds,
                "status": span.status,
                "keys": [str(key) for key in span.attributes],
                "contents": [str(value) for value in span.attributes.values()],
            }
            for span in spans
        ]
        if not rows:
            return
        frame = pd.DataFrame(rows)
        with self._lock:
            self._database.register("arrived", frame)
            self._database.execute("""
                INSERT INTO spans
                SELECT * EXCLUDE (keys, contents), map(keys::VARCHAR[], contents::VARCHAR[]) FROM arrived
                """)
            self._database.unregister("arrived")
            self._count += len(rows)

    def sql(self, query: str) -> pd.DataFrame:
        """The result of a query to the table `spans`.

        Args:
            query: in DuckDB's SQL.
        """
        with self._lock:
            return self._database.execute(query).df()

    def close(self) -> None:
        """Forget the spans."""
        self._database.close()


class Collector(Spans):
    """Spans that arrive over OTLP/HTTP.

    Attributes:
        endpoint: the address that OTEL_EXPORTER_OTLP_ENDPOINT takes.
        refused: why requests were not taken, the last ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)
        self._thread.start()

    def wait(self, count: int, seconds: float = 15.0) -> int:
        """Wait until so many spans are there, or some seconds are over; how many there are."""
        deadline = time.monotonic() + seconds
        while len(self) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self)

    def close(self) -> None:
        """Take no more, and forget the spans."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        super().close()


def start() -> Collector:
    """Start a collector on a free port of this machine; only programs of this machine reach it."""
    return Collector()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that hangs up is no error of the notebook."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server: _Server

    def do_POST(self) -> None:
        """Take one batch."""
        kind = self.headers.get("Content-Type", "")
        try:
            spans = otlp.parse(self._body(), kind, self.headers.get("Content-Encoding", ""))
            self.server.collector.add(spans)
        except Malformed as error:
            refused = self.server.collector.refused
            refused.append(str(error))
            del refused[:-MOST_REFUSED]
            self._answer(400, str(error).encode(), "text/plain")
        else:
            is_json = kind.startswith("application/json")
            self._answer(200, b"{}" if is_json else b"", "application/json" if is_json else "application/x-protobuf")

    def _body(self) -> bytes:
        if self.path != "/v1/traces":
            raise Malformed(f"spans go to /v1/traces; a request came to {self.path[:100]!r}")
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or len(size) > 12:
            raise Malformed("a request needs a Content-Length")
        if int(size) > otlp.MAX_BYTES:
            raise Malformed(f"the body has more than {otlp.MAX_BYTES >> 20} MiB; send smaller batches")
        return self.rfile.read(int(size))

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing into the notebook."""
