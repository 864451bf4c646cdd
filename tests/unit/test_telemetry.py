"""What a service reports, as checks read it: from a service that tells the truth, one that lies and one that floods."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from course.checks.core.expectations import CheckFailed
from course.checks.http.messages import post
from course.checks.http.services import Peer, service
from course.checks.http.telemetry import HANGS, REFUSES, Turn, Waits, Watched, waits, watched

pytest.importorskip("opentelemetry.proto", reason="make extra LAB=06")

# an application that sends what a request asks for to the collector: {"spans": [{"name": …}], "times": 1, "raw": "…"}
APP = """
    import json, os, secrets, threading, time, urllib.request
    from flask import Flask, request

    URL = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
    app = Flask(__name__)

    def send(body, url=URL, **headers):
        headers = {"Content-Type": "application/json", **headers}
        try:
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5).close()
        except OSError:
            pass

    @app.get("/health")
    def health():
        return {"status": "ok"}

    @app.post("/predict")
    def predict():
        asked, began = request.get_json(), time.time_ns()
        version, trace, caller, flags = request.headers.get("traceparent", "0-0-0-0").split("-")
        time.sleep(0.01)
        usual = {"traceId": trace, "parentSpanId": caller, "startTimeUnixNano": began, "kind": 2, "name": "request"}
        own = lambda: {"spanId": secrets.token_hex(8), "endTimeUnixNano": time.time_ns()}
        spans = [{**usual, **own(), **span} for span in asked["spans"]]
        body = asked.get("raw") or json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
        for _ in range(asked.get("times", 1)):
            if asked.get("wait"):
                send(body.encode(), asked.get('url', URL))
            else:
                threading.Thread(target=send, args=[body.encode(), asked.get('url', URL)]).start()
        return {}
"""
OWN = "00f067aa0ba902b7"


@pytest.fixture
def one(tmp_path, monkeypatch) -> Watched:
    """The application, watched; gunicorn runs it."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    (Path(tmp_path) / "app.py").write_text(textwrap.dedent(APP))
    running = watched("app:app", files={})
    yield running
    running.api.close()


def trace(one: Watched, *spans: dict, **more):
    """The trace of a request that sends these spans."""
    (asked,) = one.ask(post("/predict", json={"spans": list(spans), **more}))
    return one.trace(asked, *[span["name"] for span in spans if "name" in span])


def test_a_trace_is_judged_by_what_it_is(one):
    step = {"name": "features", "kind": 1, "parentSpanId": OWN}
    good = trace(one, step, {"spanId": OWN})
    good.must_continue()
    assert good.must_have_step("features").milliseconds >= 10
    good.must_last("features", 5, "it sleeps")
    with pytest.raises(CheckFailed, match="'features' is shorter than the work"):
        good.must_last("features", 10_000, "it sleeps")
    with pytest.raises(CheckFailed, match="no span is named 'weather'"):
        good.must_have_step("weather")


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([{"kind": 1}], "the request's span is of another kind"),
        ([{"traceId": "1" * 32}], "the request is in another trace"),
        ([{"parentSpanId": ""}], "the request's span is not below the caller's"),
        ([{}, {}], "more than one span of the kind server"),
        ([{"parentSpanId": "1" * 16}], "no span is the request's"),
        ([{"spanId": OWN}, {"name": "features", "kind": 1, "parentSpanId": "1" * 16}], "is not below the request's"),
        ([{"spanId": OWN}, {"name": "features", "kind": 1, "spanId": "1" * 16, "parentSpanId": "1" * 16}], "not below"),
        (
            [{"spanId": OWN}, {"name": "features", "kind": 1, "parentSpanId": OWN, "startTimeUnixNano": 10**18}],
            "lies outside of the request's time",
        ),
        (
            [{"name": "features", "kind": 1, "parentSpanId": OWN}, {"spanId": OWN, "startTimeUnixNano": 10**18}],
            "not of the time",
        ),
    ],
)
def test_a_trace_that_is_not_right_is_named(one, monkeypatch, spans, reason):
    monkeypatch.setattr("course.checks.http.telemetry.WAIT_S", 5.0)
    found = trace(one, *spans)

    def judge() -> None:
        found.must_continue()
        found.must_last("features", 0, "")

    with pytest.raises(CheckFailed, match=reason):
        judge()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"raw": "{"}, "does not take what the service sent: the body is not an ExportTraceServiceRequest in JSON"),
        ({"raw": "[" * 300_000}, "more than 100,000 values"),
        ({"times": 4100, "wait": True, "raw": "{}"}, "more than it takes: 4000 requests"),
    ],
    ids=["no JSON", "deep", "a flood of requests"],
)
def test_what_the_collector_does_not_take_fails_the_check_with_its_reason(one, more, reason):
    one.api.timeout = 100
    with pytest.raises(CheckFailed, match=reason):
        trace(one, {}, **more)


def test_more_spans_than_are_kept_fail_the_check(one, monkeypatch):
    monkeypatch.setattr("course.checks.http.telemetry.MOST_SPANS", 50)
    with pytest.raises(CheckFailed, match="the service sent more than 50 spans"):
        trace(one, *[{}] * 60)


def test_silence_is_named_and_waited_for_once(one, monkeypatch):
    monkeypatch.setattr("course.checks.http.telemetry.WAIT_S", 1.0)
    with pytest.raises(CheckFailed, match="no span of the request arrived within 1 seconds"):
        trace(one, raw="{}")


@pytest.mark.parametrize(("collector", "what"), [(HANGS, "hangs"), (REFUSES, "refuses connections")])
def test_a_service_that_sends_in_another_thread_does_not_wait(one, collector, what):
    waits(one, {"spans": []}, {what: collector}).must_cost_nothing(what)
    (asked,) = one.ask(post("/predict", json={"spans": [{}]}))  # and the collector takes spans again
    assert one.trace(asked).request is not None


def test_a_service_that_waits_for_its_collector_is_found_out(one):
    found = waits(one, {"spans": [], "wait": True}, {"hangs": HANGS})
    with pytest.raises(CheckFailed, match="requests wait for a collector that hangs"):
        found.must_cost_nothing("hangs")


def test_one_slow_request_in_a_hundred_is_noise_and_two_are_not():
    usual = [0.01] * 50
    assert not Turn(usual, [0.01] * 99 + [2.0]).waited
    assert Turn(usual, [0.01] * 98 + [2.0] * 2).waited
    assert Turn(usual, [0.06] * 100).waited
    Waits({"hangs": [Turn(usual, [2.0] * 9), Turn(usual, usual)]}).must_cost_nothing("hangs")


def test_spans_for_another_address_arrive_and_are_told_apart(one):
    one.api.post("/predict", json={"spans": []})
    (asked,) = one.ask(post("/predict", json={"spans": [{}], "url": "http://localhost:4318/v1/traces"}))
    assert one.trace(asked).request is not None
    with pytest.raises(CheckFailed, match="an address other than the one in OTEL_EXPORTER_OTLP_ENDPOINT") as failed:
        one.must_be_addressed()
    assert "http://localhost:4318/v1/traces" in str(failed.value.actual)


def test_a_peer_hears_answers_and_limits_what_it_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    app = """
        import os, urllib.request, urllib.error
        from flask import Flask, request

        app = Flask(__name__)

        @app.get("/health")
        def health():
            return {}

        @app.post("/call")
        def call():
            size = int(request.get_data())
            question = urllib.request.Request("http://" + os.environ["OTHER"] + "/x", b"y" * size, {"X-Id": "7"})
            try:
                with urllib.request.urlopen(question, timeout=10) as answer:
                    return {"status": answer.status, "body": answer.read().decode()}
            except urllib.error.HTTPError as error:
                return {"status": error.code}
            except OSError as error:
                return {"status": type(error).__name__}
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(app))
    api = service("app:app", env={"OTHER": "{other}"}, peers={"other": Peer(body=b"hello", status="201 Created")})
    assert api.post("/call", body=b"3").json() == {"status": 201, "body": "hello"}
    (heard,) = api.heard("other")
    assert (heard.line, heard.headers["x-id"], heard.body) == ("POST /x HTTP/1.1", "7", b"yyy")
    assert api.post("/call", body=b"5000000").json()["status"] != 201
    assert api.heard("other") == []
    api.behave("other", REFUSES)
    assert api.post("/call", body=b"3").json()["status"] == "URLError"
    api.close()
