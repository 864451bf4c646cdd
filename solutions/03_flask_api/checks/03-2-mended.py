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


### BEGIN HIDDEN TESTS
def assert_error(answer: Response, least: int) -> None:
    """An error as JSON, whose status and content fit."""
    if answer.status < least or answer.status >= least + 100:
        fail(f"the status of {answer.asked} does not fit", expected=f"{least} to {least + 99}", actual=answer.status)
    if not isinstance(answer.json(), dict):
        fail("the error is no JSON object")
    for secret in ("Traceback", "model.pkl", "card.md", "KeyError", "TypeError", "/tmp"):
        if secret in answer.text:
            fail(f"the error tells {secret}")


@question.check(
    points=2,
    hidden=True,
    hint="try an unknown airline, hour 24, −1, 17.5, true and null, a list instead of an object, and no JSON at all",
)
def mistakes_of_the_caller_are_told(mended: Service) -> None:
    """mistakes of the caller are answered as JSON, with a status from 400 on"""
    wrong = [
        {"carrier": "XX", "hour": 17},
        {"hour": 17},
        {"carrier": "UA"},
        {"carrier": ["UA"], "hour": 1},
        [],
        None,
        "UA",
    ]
    wrong += [{"carrier": "UA", "hour": hour} for hour in (24, -1, "17", None, 17.5, True, [1])]
    for body in wrong:
        assert_error(mended.post("/predict", json=body), 400)
    assert_error(mended.post("/predict", body=b"{", headers={"Content-Type": "application/json"}), 400)
    assert_error(mended.get("/predict"), 400)
    assert_error(mended.get("/nowhere"), 400)


@question.check(
    points=1,
    hidden=True,
    hint="take card.md away and ask for /card: does the error handler itself work?",
)
def what_fails_inside_stays_inside(mended: Service) -> None:
    """what fails inside is answered as JSON, and tells nothing internal"""
    mended.get("/probe/lose").expect_status(200)
    try:
        answer = mended.get("/card")
        if answer.status != 200 or answer.json() != {"card": "# Late rates by hour"}:  # it may have been kept
            assert_error(answer, 500)
    finally:
        mended.close()


@question.check(points=1, hidden=True, hint="which lines switch on the debug mode?")
def there_is_no_debug_mode(mended: Service) -> None:
    """there is no debug mode, and no debugger"""
    if state(mended)[1] != "False":
        fail("app.debug is on")
    console = mended.get("/console")
    if "debugger" in console.text.lower():
        fail("a debugger answers")


### END HIDDEN TESTS
