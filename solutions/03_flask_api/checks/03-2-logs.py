"""Does every request get an id and a line in the log, and every error an answer that keeps secrets?"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from course.checks import Question, Service, expect, fail, fixture
from course.checks.http.messages import get
from course.checks.http.services import service

probe = """
import time

from flask import Flask, abort, request
from reliability import make_reliable

app = Flask("probe")

@app.get("/health")
def health():
    return {"status": "ok"}

@app.post("/echo")
def echo():
    return {"length": len(request.get_data())}

@app.get("/boom")
def boom():
    password = "swordfish-7731"
    raise RuntimeError(f"cannot log in with {password}")

@app.get("/own")
def own():
    raise LookupError("known")

@app.errorhandler(LookupError)
def known(error):
    return {"answer": "handled by the app itself"}, 409

@app.get("/wait/<int:number>")
def wait(number):
    time.sleep(0.3 if number % 2 else 0.05)
    return {"number": number}

made = make_reliable(app)
app.add_url_rule("/probe/made", "made", lambda: {"callable": callable(made), "made": repr(made)[:80]})
app = made if callable(made) else app
"""
question = Question("Ids, logs and errors", points=12)
ID = "X-Request-ID"


@fixture
def api() -> Iterator[Service]:
    """An application that the shipped module makes reliable."""
    running = service("probe:app", files={"probe.py": probe})
    yield running
    running.close()


def entries_of(api: Service) -> list[dict[str, Any]]:
    """The log's lines that are JSON objects."""
    entries = []
    for line in api.logs.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def log_of(api: Service, request_id: str) -> list[dict[str, Any]]:
    """The log's lines about one request, as objects; the log may be a little late."""
    for _ in range(40):
        if entries := [entry for entry in entries_of(api) if entry.get("request_id") == request_id]:
            return entries
        time.sleep(0.05)
    hint = "write it with json.dumps to standard error, and look that the logger lets INFO through"
    fail(f"no line of the log is a JSON object with the request_id {request_id}", hint=hint)


@question.check(points=1)
def every_answer_has_an_id(api: Service) -> None:
    """every answer carries a request id of its own"""
    made = api.get("/probe/made").expect_status(200).json()
    if not made["callable"]:
        fail("make_reliable(app) must return the app", expected="return app", actual=made["made"])
    ids = [api.get("/health").expect_status(200).headers.get(ID.lower(), "") for _ in range(2)]
    if not all(ids):
        fail(f"an answer has no header {ID}", hint="app.after_request sees every answer, and can change it")
    if ids[0] == ids[1]:
        fail(
            "two requests have the same id",
            actual=ids[0],
            hint="make it for each request, not when the module is loaded",
        )


@question.check(points=1)
def the_callers_id_comes_back(api: Service) -> None:
    """an id that the caller sends comes back, also with an error, and to the one who sent it"""
    for path in ("/health", "/nowhere", "/boom"):
        answer = api.get(path, headers={ID: "order-66.retry_1"})
        expect(answer.headers.get(ID.lower()), f"{ID} in the answer to {path}").equals("order-66.retry_1")
    answers = api.many([get(f"/wait/{number}", {ID: f"many-{number}"}) for number in range(8)], clients=8)
    hint = "what do requests share that are under way at once: a global variable? flask.g belongs to one request"
    for number, answer in enumerate(answers):
        returned = answer.expect_status(200).headers.get(ID.lower())
        expect(returned, f"{ID} of one of eight requests at once").equals(f"many-{number}", hint=hint)
    for entry in entries_of(api):  # lines that are printed at once may run into each other; those are passed over
        sent, named = str(entry.get("request_id")), re.search(r"/wait/(\d+)", str(entry.get("path")))
        if sent.startswith("many-") and named and sent != f"many-{named[1]}":
            fail("a line of the log has another request's id", expected=f"many-{named[1]}", actual=sent, hint=hint)


@question.check(points=2)
def each_request_leaves_one_line(api: Service) -> None:
    """each request leaves a line of JSON in the log"""
    for number, (method, path, status) in enumerate(
        [("GET", "/health", 200), ("POST", "/echo", 200), ("GET", "/nowhere", 404)]
    ):
        name = f"line-{number}"
        api.request(method, path, headers={ID: name}, body=b"x" if method == "POST" else None)
        lines = [entry for entry in log_of(api, name) if "status" in entry]
        expect(len(lines), f"the number of lines with a status about one {method} {path}").equals(1)
        for key, value in {"method": method, "path": path, "status": status}.items():
            expect(lines[0].get(key), f"{key} in the line about {method} {path}").equals(value)
        took = lines[0].get("duration_ms")
        if isinstance(took, bool) or not isinstance(took, int | float) or not 0 <= took < 60_000:
            fail("duration_ms is no time in milliseconds", actual=took)


@question.check(points=2)
def an_exception_tells_nothing(api: Service) -> None:
    """an exception becomes a problem that tells nothing internal"""
    answer = api.get("/boom")
    answer.problem(500)
    for secret in ("swordfish", "RuntimeError", "Traceback", "probe.py"):
        if secret in answer.text:
            fail(f"the answer to the caller holds {secret!r}", hint="say that it failed; the reason belongs in the log")


@question.check(points=1)
def flask_errors_keep_their_status(api: Service) -> None:
    """404 and 405 become problems, and keep their status and headers"""
    api.get("/nowhere").problem(404, hint="a handler for Exception gets Flask's own HTTPException too; it has a code")
    answer = api.get("/echo")
    answer.problem(405)
    if "POST" not in answer.headers.get("allow", ""):
        hint = "an HTTPException knows its headers: get_headers()"
        fail("the header Allow does not name the method that fits", expected="Allow: POST", hint=hint)


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="which characters, and how many of them, may an id from outside have? fullmatch() looks at all of it",
)
def strange_ids_are_not_taken_over(api: Service) -> None:
    """an id that is no id is replaced by a new one"""
    for strange in ("x" * 65, 'a" , "status": 200', "two words", "<b>id</b>", "id;rm", "\xe9t\xe9", "a\tb"):
        answer = api.get("/health", headers={ID: strange})
        answer.expect_status(200)
        answered = answer.headers.get(ID.lower(), "")
        if answered == strange or not answered:
            fail("a strange id was taken over", actual=answered)
    expect(api.get("/health", headers={ID: "y" * 64}).headers.get(ID.lower())).equals("y" * 64)


@question.check(
    points=1, hidden=True, hint="traceback.format_exception(error) gives the text; put it where the request's id is"
)
def the_trace_is_in_the_log(api: Service) -> None:
    """the trace of an exception is in the log, under the request's id"""
    api.get("/boom", headers={ID: "trace-1"})
    logged = json.dumps(log_of(api, "trace-1"))
    for part in ("RuntimeError", "probe.py"):
        if part not in logged:
            fail("the trace is not in the log", actual=logged[:300])


@question.check(points=1, hidden=True, hint="let json.dumps write the whole line")
def odd_paths_do_no_harm(api: Service) -> None:
    """a path with quotes and line breaks is still one line of the log"""
    api.get("/a%22%2C%20%22status%22%3A%20200%0A%7B%22request_id%22%3A%20%22forged%22%7D", headers={ID: "odd-1"})
    lines = [entry for entry in log_of(api, "odd-1") if "status" in entry]
    expect([entry.get("status") for entry in lines]).equals([404])
    if any(line.strip().startswith('{"request_id": "forged"') for line in api.logs.splitlines()):
        fail("the caller wrote a line of the log")


@question.check(points=1, hidden=True, hint="request.path has no query string; request.url and request.full_path have")
def personal_things_stay_out_of_the_log(api: Service) -> None:
    """bodies and query strings are not in the log's lines"""
    api.post(
        "/echo?passenger=Grace-4711",
        body=b'{"name": "Hopper-4712"}',
        headers={ID: "personal-1", "Content-Type": "application/json"},
    )
    logged = json.dumps(log_of(api, "personal-1"))
    if "4711" in logged or "4712" in logged:
        fail("the log holds what the caller sent", actual=logged[:300])


@question.check(points=1, hidden=True, hint="does your handler for Exception replace handlers that the app has?")
def handlers_of_the_app_stay(api: Service) -> None:
    """an error that the app handles itself is handled as before"""
    answer = api.get("/own", headers={ID: "own-1"})
    answer.expect_status(409)
    expect(answer.json()).equals({"answer": "handled by the app itself"})
    expect(answer.headers.get(ID.lower())).equals("own-1")


### END HIDDEN TESTS
