"""What a Flask service needs before people rely on it: request ids, a line of log for each request, safe errors."""

import json
import logging
import re
import sys
import time
import traceback
import uuid

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException


HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
log = logging.getLogger("late_flights.requests")


def make_reliable(app: Flask) -> Flask:
    """Give a service request ids, structured logs, and errors that tell nothing internal.

    Args:
        app: any Flask service; its own error handlers stay.

    Returns:
        The same app.
    """
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
        log.propagate = False
    app.before_request_funcs.setdefault(None, []).insert(0, _begin)  # before the app's own, which may fail
    app.after_request(_finish)
    app.register_error_handler(Exception, _answer_error)
    return app


def _begin() -> None:
    offered = request.headers.get(HEADER, "")
    g.request_id = offered if SANE.fullmatch(offered) else uuid.uuid4().hex
    g.started = time.perf_counter()


def _finish(response: Response) -> Response:
    response.headers[HEADER] = g.request_id
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": "error" if response.status_code >= 500 else "info",
        "request_id": g.request_id,
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round(1000 * (time.perf_counter() - g.started), 2),
    }
    if "error" in g:
        entry["error"] = g.error
    log.info(json.dumps(entry))
    return response


def _answer_error(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        if error.code is None or error.code < 400:  # a redirect is no error
            return error.get_response()
        return _problem(error.code, error.name, error.description, error.get_headers())
    g.error = "".join(traceback.format_exception(error))  # for the log, never for the caller
    return _problem(500, "Internal Server Error", "The service failed; the request id leads to the reason.")


def _problem(status: int, title: str, detail: str | None, headers=()) -> Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": g.request_id}
    kept = {name: value for name, value in headers if name.lower() not in ("content-type", "content-length")}
    return Response(json.dumps(body), status, kept, content_type="application/problem+json")
