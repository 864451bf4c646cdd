"""One request and its answer, as they go over the wire: what `services` sends, and what it makes of what came back."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, fail
from course.checks.files.reading import MAX_DEPTH, plain_json

MAX_SHOWN = 160


@dataclass(frozen=True)
class Request:
    """One request, for :meth:`Service.many`; the arguments are those of :meth:`Service.request`."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def asked(self) -> str:
        """The request in short."""
        return f"{self.method} {self.path}"[:80]

    def raw(self) -> bytes:
        """The request as it goes over the wire."""
        headers = {"Host": "localhost", "User-Agent": "course", "Accept": "*/*", "Connection": "close"}
        if self.body is not None:
            headers["Content-Length"] = str(len(self.body))
        headers |= dict(self.headers)
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a request of a check has a line break in a header")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


def get(path: str, headers: Mapping[str, str] | None = None) -> Request:
    """A GET request."""
    return Request("GET", path, dict(headers or {}))


def post(
    path: str, *, json: Any = None, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Request:
    """A POST request: of `json`, with its Content-Type, or of bytes with what `headers` say."""
    if body is None:
        return Request("POST", path, {"Content-Type": "application/json", **(headers or {})}, dumps(json))
    return Request("POST", path, dict(headers or {}), body)


@dataclass(frozen=True)
class Response:
    """What came back over HTTP; nothing of it is to be trusted.

    Attributes:
        asked: the request in short, such as "POST /predict".
        status: the status code.
        headers: by lower-case name; of repeated ones, all values with commas between.
        body: the bytes that came.
        seconds: from opening the connection to the last byte.
        log: of an answer of 500 or more, the error that the server told its log last.
    """

    asked: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float = 0.0
    log: str = ""

    @property
    def text(self) -> str:
        """The body as text, with marks in place of what is no UTF-8."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def type(self) -> str:
        """The media type alone, in lower case: "application/json"."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as plain data.

        Raises:
            CheckFailed: it is not said to be JSON, or is none.
        """
        if self.type != "application/json" and not self.type.endswith("+json"):
            fail(
                f"the answer to {self.asked} is not said to be JSON",
                expected="Content-Type: application/json",
                actual=f"{self.type or 'no Content-Type'}: {self._begin()}",
                hint="a view that returns a dictionary, or jsonify(…), answers with JSON",
            )
        try:
            with bounded("the answers of the service can be read", f"the answer to {self.asked}"):
                found = plain_json(self.body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            fail(
                f"the answer to {self.asked} says that it is JSON, and is not",
                expected="JSON",
                actual=f"{self._begin()} ({str(error)[:100]})",
            )
        if _depth(found) > MAX_DEPTH:
            fail(f"the answer to {self.asked} is nested too deeply")
        return found

    def expect_status(self, *statuses: int, hint: str | None = None) -> Response:
        """Fail the check unless the status is one of these; return the answer."""
        if self.status not in statuses:
            found = f"{_status(self.status)}: {self._begin()}" if self.body else _status(self.status)
            fail(
                f"{self.asked} has another status",
                expected=" or ".join(map(_status, statuses)),
                actual=f"{found}\nin its log: {self.log}" if self.log else found,
                hint=hint,
            )
        return self

    def problem(self, *statuses: int, hint: str | None = None) -> dict[str, Any]:
        """The problem details (RFC 9457) that the answer holds.

        Args:
            statuses: those that fit; by default any error.
            hint: for a status that does not fit.

        Returns:
            Its members; "type", "title", "status" and "detail" are of the right types where they are there.

        Raises:
            CheckFailed: it has another status, or is no problem details; the message says what is missing.
        """
        if statuses:
            self.expect_status(*statuses, hint=hint)
        elif self.status < 400:
            fail(f"{self.asked} should be refused", expected="a status of 400 or more", actual=_status(self.status))
        if self.type != "application/problem+json":
            fail(
                f"the error {self.status} of {self.asked} is not said to be problem details",
                expected="Content-Type: application/problem+json",
                actual=f"{self.type or 'no Content-Type'}: {self._begin()}",
                hint="every error takes the same way out: an error handler that makes the answer, and its Content-Type",
            )
        found = self.json()
        if not isinstance(found, dict):
            fail(f"the problem of {self.asked} is no JSON object", actual=found)
        for name, kind in {"type": str, "title": str, "status": int, "detail": str}.items():
            if name in ("title", "status", "detail") and name not in found:
                fail(f"the problem of {self.asked} lacks {name}", expected="type, title, status, detail", actual=found)
            if name in found and (not isinstance(found[name], kind) or isinstance(found[name], bool)):
                fail(f"the problem's {name} is of another type", expected=kind.__name__, actual=found[name])
        if found["status"] != self.status:
            fail(
                f"the problem of {self.asked} tells another status than the answer has",
                expected=self.status,
                actual=found["status"],
            )
        return found

    def _begin(self) -> str:
        text = " ".join(self.text[: 4 * MAX_SHOWN].split())
        return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


class _Wire(io.BytesIO):
    """Bytes that http.client reads as if they came from a socket."""

    def makefile(self, *_: Any) -> _Wire:
        return self


def parse(request: Request, raw: bytes, seconds: float) -> Response:
    """An answer as it came over the wire.

    Raises:
        CheckFailed: it is not HTTP, or ends early.
    """
    response = http.client.HTTPResponse(_Wire(raw), method=request.method)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError, OverflowError, OSError) as error:
        begin = raw[:MAX_SHOWN].decode("latin-1")
        kind = "ends too early" if isinstance(error, http.client.IncompleteRead) else "is not HTTP"
        raise CheckFailed(f"the answer to {request.asked} {kind}", actual=begin or None) from None
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Response(request.asked, response.status, headers, body, seconds)


def _status(code: int) -> str:
    phrase = http.client.responses.get(code)
    return f"{code} {phrase}" if phrase else str(code)


def dumps(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


def _depth(value: Any) -> int:
    """How deep lists and objects are nested."""
    depth, level = 0, [value]
    while level := [inner for one in level if isinstance(one, dict | list) for inner in _inner(one)]:
        depth += 1
    return depth


def _inner(value: dict | list) -> list:
    return list(value.values()) if isinstance(value, dict) else value
