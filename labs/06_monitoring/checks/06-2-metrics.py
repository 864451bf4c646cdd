"""Are the counts of /metrics right: over several workers, after one was killed, and with labels that stay few?"""

from course.checks import Question, Service, fail, fixture, service
from course.checks.http.messages import Request, get, post
from course.checks.prometheus import exposition
from course.checks.prometheus.exposition import Metrics

question = Question("Counts that are right", points=7)
REQUESTS, SECONDS = "http_requests_total", "http_request_duration_seconds"
LABELS = ("method", "route", "status")

# another application than the student's, with routes of its own
STAGE = """
from flask import Flask, abort, jsonify, request

from metrics import measure

app = Flask("stage")


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.post("/predict")
def predict():
    asked = request.get_json()
    if asked.get("fail"):
        raise RuntimeError("broken on purpose")
    if asked.get("refuse"):
        abort(422)
    return jsonify(probability=0.3)


@app.get("/flights/<number>")
def flight(number):
    return jsonify(number=number)


measure(app)
"""


@fixture
def stage() -> Service:
    """An application of the check's own, measured by the shipped module, behind gunicorn with two workers."""
    return service(
        "stage:app",
        server="gunicorn",
        arguments=["--workers", "2"],
        env={"PROMETHEUS_MULTIPROC_DIR": "{scratch}/counts"},
        files={"stage.py": STAGE, "counts/readme.txt": "prometheus_client keeps its files here"},
    )


def scrape(stage: Service) -> Metrics:
    """What /metrics says now."""
    answer = stage.get("/metrics")
    if answer.status != 200:
        fail(f"GET /metrics answers {answer.status}", expected="200", actual=answer.log or answer.text[:200])
    return exposition.parse(answer.text)


def ask(stage: Service, *requests: Request) -> None:
    """Ask, some at once."""
    stage.many(requests, clients=8)


def counted(stage: Service, *requests: Request, name: str = REQUESTS, **labels: str) -> float:
    """By how much a metric grew while some requests were asked."""
    before = scrape(stage).total(name, **labels)
    ask(stage, *requests)
    return scrape(stage).total(name, **labels) - before


def must_count(stage: Service, *requests: Request, what: str, **labels: str) -> None:
    """Fail unless the counter grows by exactly the number of the requests."""
    grown = counted(stage, *requests, **labels)
    scrape(stage).must_have(REQUESTS, *LABELS)
    if grown != len(requests):
        shown = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        reason = f"{what}: {REQUESTS}{{{shown}}} grew by another number"
        fail(reason, expected=str(len(requests)), actual=f"{grown:g}", hint=_hint(grown))


def _hint(total: float) -> str:
    if total == 0:
        return "after_request sees every answer, also that of an error; request.url_rule.rule is the route as written"
    return "each worker counts for itself; MultiProcessCollector adds up what all of them wrote"


PREDICT = post("/predict", json={"carrier": "UA"})


@question.check(points=2)
def counts_are_exact_over_workers(stage: Service) -> None:
    """sixty requests to two workers are sixty, in each of ten scrapes"""
    labels = {"route": "/predict", "method": "POST", "status": "200"}
    must_count(stage, *[PREDICT] * 60, what="60 requests", **labels)
    totals = {scrape(stage).total(REQUESTS, **labels) for _ in range(10)}
    if len(totals) > 1:
        fail(
            "ten scrapes, with no request between them, differ",
            expected="one number",
            actual=sorted(totals),
            hint=_hint(1),
        )


@question.check(points=1)
def failures_are_counted_by_status(stage: Service) -> None:
    """what fails is counted under its status, also when the view raises"""
    raising, refused = post("/predict", json={"fail": True}), post("/predict", json={"refuse": True})
    must_count(stage, *[raising] * 5, what="5 requests whose view raises", route="/predict", status="500")
    must_count(stage, *[refused] * 3, what="3 requests that are refused", route="/predict", status="422")


@question.check(points=1)
def routes_are_as_written(stage: Service) -> None:
    """the label is the route as it is written, and `unmatched` where there is none"""
    flights = [get(f"/flights/{number}") for number in (1, 15, 407)]
    must_count(stage, *flights, what="3 flights", route="/flights/<number>", status="200")
    nowhere = [get("/nowhere"), get("/wp-admin.php")]
    must_count(stage, *nowhere, what="2 paths that are not there", route="unmatched", status="404")
