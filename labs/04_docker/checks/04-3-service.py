"""The container, as it serves."""

import numpy as np

from course import flights
from course.checks import Question, Unmet, expect, fail
from course.checks.docker.containers import run
from course.checks.docker.contexts import context
from course.checks.docker.images import build
from course.checks.http.contracts import Artifact, as_sent
from course.checks.http.exchanges import get, post

question = Question("The container, as it serves", points=16)
november = as_sent(flights.planned("2013-11-20").sample(200, random_state=6))
kept = {}


def container(name="as it is", **options):
    """A container of the image, one for each name; started at the first question."""
    if name not in kept:
        with question.progress("the container") as step:
            step("building")
            made = build(context("image"), arguments={"REVISION": "4f2a9c1"})
            step(name)
            kept[name] = run(made, port=8000, timeout=20, start=45, **options)
    return kept[name]


def expect_predictions(service, sent) -> None:
    """A container says of flights what the shipped artifact says of them."""
    answer = service.post("/predict", json={"flights": sent}).expect_status(200).json()
    found = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) != len(sent):
        fail(f"POST /predict gives no list of {len(sent)} predictions", actual=answer)
    said = [one.get("probability") if isinstance(one, dict) else None for one in found]
    if not all(isinstance(p, float) for p in said):
        fail("a prediction must have a probability", actual=found[0])
    expect(np.array(said), "the list of probabilities").is_close(
        Artifact("image/artifact").probabilities(sent), abs=1e-3, hint="which model is in the image?"
    )


@question.check(points=3)
def it_starts_locked_in():
    """it starts with a read-only root, without rights, within 30 seconds, and is ready"""
    service = container()
    seconds = service.start()
    service.get("/health").expect_status(200)
    service.get("/ready").expect_status(200)
    if seconds > 30:
        fail("it is slow to start", expected="at most 30 seconds", actual=f"{seconds:.0f} seconds")


@question.check(points=3)
def it_says_what_the_model_says():
    """it says of November's flights what the artifact says"""
    expect_predictions(container(), november)


@question.check(points=2)
def its_health_check_finds_it_healthy():
    """its health check finds it healthy"""
    container().expect_healthy()


@question.check(points=3)
def it_ends_gracefully():
    """SIGTERM ends it within 15 seconds, and the request on its way is answered"""
    service = container()
    expect_predictions(service, november[:1])
    ending = service.stop(during=post("/predict", json=november[0]), timeout=15)
    if ending.status is None:
        fail(
            "it had to be killed",
            expected="it ends by itself within 15 seconds",
            hint="which program is the first process, and does it get the signal?",
        )
    if ending.answer is None or ending.answer.status != 200:
        fail(
            "the request on its way got no answer",
            actual=ending.lost or f"status {ending.answer.status}",
            hint="a server for production ends what it began; is it the first process?",
        )
    if ending.status not in (0, 143):
        fail("it ended with an error", expected="exit status 0", actual=f"exit status {ending.status}")
