"""Are the faults of the broken service fixed, with its good answers kept?"""

import json
import re
from collections.abc import Iterator

from course.checks import Question, Service, expect, fail, fixture
from course.checks.http.messages import Response
from course.checks.http.services import service

probe = """
import json, pickle, tempfile
from pathlib import Path
from mended import create_app

folder = Path(tempfile.mkdtemp())
model = folder / "model.pkl"
rates = {"UA": [hour / 100 for hour in range(24)], "DL": [0.5 - hour / 100 for hour in range(24)]}
model.write_bytes(pickle.dumps(rates))
(folder / "card.md").write_text("# Late rates by hour")
before = model.read_bytes()
inner = create_app(folder)
if not callable(inner):
    raise TypeError(f"create_app(folder) must return the app; it returned {inner!r}")

def app(environ, start_response):
    said, path = None, environ["PATH_INFO"]
    if path == "/probe/state":
        said = f"{model.exists() and model.read_bytes() == before} {inner.debug}"
    elif path == "/probe/rules":
        said = json.dumps([[rule.rule, sorted(rule.methods)] for rule in inner.url_map.iter_rules()][:50])
    elif path == "/probe/lose":
        for file in folder.iterdir():
            file.unlink()
        said = "lost"
    if said is None:
        return inner(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""
question = Question("Find and fix", points=8)
OFFERED = {("GET", "/health"), ("GET", "/card"), ("POST", "/predict")}


@fixture
def mended() -> Iterator[Service]:
    """The mended service, and two more paths by which the check looks inside."""
    running = service("probe:app", files={"probe.py": probe})
    yield running
    running.close()


def rules(mended: Service) -> list[tuple[str, str]]:
    """Every method of every path that the service answers, but of those that it should; `<…>` in a path becomes 1."""
    listed = json.loads(mended.get("/probe/rules").expect_status(200).text)
    pairs = [(method, re.sub("<[^>]*>", "1", path)) for path, methods in listed for method in methods]
    return [pair for pair in pairs if pair[0] not in ("HEAD", "OPTIONS") and pair not in OFFERED]


def state(mended: Service) -> list[str]:
    """Whether the model is as it was, and whether the debug mode is on, as the process itself says."""
    return mended.get("/probe/state").expect_status(200).text.split()


@question.check(points=1)
def it_answers_as_before(mended: Service) -> None:
    """whoever asks correctly gets the answer that they got before"""
    for carrier, hour, probability in (("UA", 17, 0.17), ("DL", 0, 0.5), ("UA", 0, 0.0), ("DL", 23, 0.27)):
        answer = mended.post("/predict", json={"carrier": carrier, "hour": hour}).expect_status(200).json()
        expect(
            answer.get("probability") if isinstance(answer, dict) else answer,
            f"the probability for {carrier} at {hour}",
        ).is_close(probability)
    expect(mended.get("/health").expect_status(200).json()).equals({"status": "ok"})
    expect(mended.get("/card").expect_status(200).json()).equals({"card": "# Late rates by hour"})


@question.check(points=2)
def nobody_changes_the_model(mended: Service) -> None:
    """nobody changes the model by asking, for /train or for anything else"""
    answer = mended.get("/train")
    if answer.status < 400:
        hint = "training is a job of its own; a crawler that follows links must not start it"
        fail("GET /train is still answered", expected="a status from 400 on", actual=answer.status, hint=hint)
    asked = [(method, "/train") for method in ("HEAD", "POST", "PUT", "DELETE")] + rules(mended)
    for method, path in asked:
        body = None if method in ("HEAD", "GET") else json.dumps({"carrier": "UA", "hour": 17}).encode()
        mended.request(method, path, headers={"Content-Type": "application/json"} if body else None, body=body)
        hint = "a service answers; it does not train, whatever the method is"
        if state(mended)[0] != "True":
            fail(f"the model's file was changed by {method} {path}", hint=hint)
        answer = mended.post("/predict", json={"carrier": "UA", "hour": 17}).expect_status(200, hint=hint).json()
        said = answer.get("probability") if isinstance(answer, dict) else answer
        expect(said, f"the probability after {method} {path}").is_close(0.17, hint=hint)


@question.check(points=1)
def the_model_is_read_once(mended: Service) -> None:
    """the model is read once: it answers when the file has gone"""
    mended.get("/probe/lose").expect_status(200)
    try:
        answer = mended.post("/predict", json={"carrier": "UA", "hour": 17})
    finally:
        mended.close()
    answer.expect_status(
        200, hint="what create_app reads is there for every request; what a view reads is read every time"
    )
    expect(answer.json().get("probability"), "the probability").is_between(0, 1)
