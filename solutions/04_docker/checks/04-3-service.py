"""Does a container of the image serve the model: locked down, healthy, and stopped without loss?"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from course import flights
from course.checks import Question, Unmet, expect, fail, fixture
from course.checks.docker.containers import Container, run
from course.checks.docker.contexts import context
from course.checks.docker.images import Image, build
from course.checks.http.contracts import ArtifactModel, Model, as_sent
from course.checks.http.course_artifact import CourseArtifact, course_artifact, unseen_flights
from course.checks.http.messages import get, post

question = Question("The container, as it serves", points=16, deadline_s=420)
ARGUMENTS = {"REVISION": "4f2a9c1"}
START = ["gunicorn", "--bind", "0.0.0.0:8000", "production:app"]  # for an image that does not start by itself


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(200, random_state=6))


@fixture(shared=True)
def image() -> Image:
    """The image, built once."""
    with question.progress("the container") as step:
        step("building")
        return build(context("image"), arguments=ARGUMENTS)


@fixture(shared=True)
def known() -> dict[str, Any]:
    """What was found out about the start: why the image does not start by itself, and what starts it then."""
    return {}


@fixture
def swapped(image: Image, service: Container, known: dict[str, Any]) -> Iterator[tuple[Container, CourseArtifact]]:
    """A container of the same context with the course's own artifact in it, and that artifact."""
    mine = course_artifact()
    files = {f"artifact/{name}": content for name, content in mine.files.items()}
    there = context("image")
    taken = {path: content for path, content in files.items() if not there.ignored(path)}
    other = build(there, arguments=ARGUMENTS, changed=taken)
    with contextlib.closing(container(other, entrypoint=known.get("entrypoint"))) as running:
        yield running, mine


def container(image: Image, **options: Any) -> Container:
    """A container of the image, which starts at the first request."""
    return run(image, port=8000, timeout=20, start=45, **options)


@fixture
def service(image: Image, known: dict[str, Any]) -> Iterator[Container]:
    """A container of the image as it is; if that does not start, gunicorn is started in it by the checks.

    A wrong CMD costs the points for the start, and the rest of the service is judged all the same.
    """
    with contextlib.closing(container(image, entrypoint=known.get("entrypoint"))) as running:
        try:
            running.start()
        except Unmet as problem:
            if known:
                raise
            known["problem"] = problem
        else:
            yield running
            return
    with contextlib.closing(container(image, entrypoint=START)) as helped:
        if not helped.starts():
            raise known["problem"]
        known["entrypoint"] = START
        yield helped


def predicted(service: Container, sent: list[dict[str, Any]]) -> np.ndarray:
    """The probabilities with which a container answers a list of flights."""
    answer = service.post("/predict", json={"flights": sent}).expect_status(200).json()
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list) or len(predictions) != len(sent):
        fail(f"POST /predict gives no list of {len(sent)} predictions", actual=answer)
    return np.array([probability(prediction) for prediction in predictions])


def probability(prediction: Any) -> float:
    """The probability of one prediction."""
    p = prediction.get("probability") if isinstance(prediction, dict) else None
    if isinstance(p, bool) or not isinstance(p, int | float):
        fail("a prediction must have a number called probability", actual=prediction)
    return float(p)


def expect_predictions(service: Container, sent: list[dict[str, Any]], model: Model) -> None:
    """A container answers as a model does."""
    expect(predicted(service, sent), "the list of probabilities").is_close(
        model.probabilities(sent), abs=1e-3, hint="which model is in the image, and is it the one that answers?"
    )


@question.check(points=3)
def it_starts_locked_in(service: Container, known: dict[str, Any]) -> None:
    """it starts with a read-only root, without rights, within 30 seconds, and is ready"""
    if (problem := known.get("problem")) is not None:
        rest = f"the other checks started it with {' '.join(START)!r}"
        fail(problem.reason, actual=problem.actual, hint="; ".join(filter(None, (problem.hint, rest))))
    seconds = service.start()
    service.get("/health").expect_status(200)
    service.get("/ready").expect_status(200)
    if seconds > 2 * 30:  # a machine that grades others at the same time may be half as fast
        fail("it is slow to start", expected="at most 30 seconds", actual=f"{seconds:.0f} seconds")


@question.check(points=2)
def it_says_what_the_model_says(
    november: list[dict[str, Any]], service: Container, swapped: tuple[Container, CourseArtifact]
) -> None:
    """it answers as the artifact in its image does: with yours, and with another one in its place"""
    shipped = ArtifactModel("image/artifact")
    shipped.must_rank(unseen_flights())
    expect_predictions(service, november, shipped)
    expect_predictions(swapped[0], november, swapped[1])


@question.check(points=1)
def its_health_check_finds_it_healthy(service: Container) -> None:
    """its health check finds it healthy"""
    service.expect_healthy()


@question.check(points=2)
def it_ends_gracefully(november: list[dict[str, Any]], service: Container) -> None:
    """SIGTERM ends it within 15 seconds, and the request on its way is answered"""
    ending = service.stop(during=post("/predict", json=november[0]), timeout=15)
    if ending.status is None:
        fail(
            "it had to be killed",
            expected="it ends by itself within 15 seconds",
            hint="which program is the first process, and does it get the signal?",
        )
    status = None if ending.answer is None else ending.answer.status
    if status is None:
        fail(
            "the request on its way got no answer",
            actual=ending.lost,
            hint="a server for production ends what it began; is it the first process?",
        )
    if ending.status not in (0, 143):
        fail("it ended with an error", expected="exit status 0", actual=f"exit status {ending.status}")


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="does it say the same of a flight alone, of many, and when many ask at once?",
)
def many_ask_at_once_in_december(swapped: tuple[Container, CourseArtifact]) -> None:
    """in December, asked by many at once, it still answers as the artifact does"""
    service, mine = swapped
    december = as_sent(flights.holdout()[0].sample(60, random_state=7))
    expect_predictions(service, december, mine)
    answers = service.many([post("/predict", json=flight) for flight in december], clients=20)
    said = np.array([probability(answer.expect_status(200).json()) for answer in answers])
    expect(said, "the list of probabilities").is_close(mine.probabilities(december), abs=1e-3)


@question.check(
    points=2,
    hidden=True,
    hint="docker run --user 23456:0 …: which file may that user not read, which folder not enter?",
)
def any_user_can_run_it(
    november: list[dict[str, Any]], image: Image, service: Container, known: dict[str, Any]
) -> None:
    """it runs as any user id"""
    before = predicted(service, november[:3])
    with contextlib.closing(container(image, user="23456:0", entrypoint=known.get("entrypoint"))) as other:
        try:
            expect(predicted(other, november[:3]), "the list of probabilities").is_close(before, abs=1e-3)
        except Unmet as problem:  # it does not even start
            fail(problem.reason, actual=problem.actual)


@question.check(points=1, hidden=True, hint="what does it write, and what happens when it cannot?")
def a_full_disk_changes_nothing(november: list[dict[str, Any]], service: Container) -> None:
    """it answers with a full disk"""
    before = predicted(service, november[:3])
    with service.full_disk():
        expect(predicted(service, november[:3]), "with a full disk, the list").is_close(before, abs=1e-3)


@question.check(points=1, hidden=True, hint="what does it keep in /tmp? It is empty after a restart")
def a_restart_changes_nothing(november: list[dict[str, Any]], service: Container) -> None:
    """it answers after a restart"""
    before = predicted(service, november[:3])
    service.restart()
    expect(predicted(service, november[:3]), "after a restart, the list").is_close(before, abs=1e-3)


@question.check(
    points=1,
    hidden=True,
    hint="run the health check in a container in which no server runs: it must end with another status than 0",
)
def its_health_check_notices(image: Image) -> None:
    """its health check notices when nothing answers"""
    asleep = container(image, entrypoint=["python", "-c", "import time; time.sleep(300)"])
    with contextlib.closing(asleep) as silent:
        silent.launch()
        health = silent.health(timeout=25, failures=1)
    if health == "none":
        fail("the image has no health check")
    if health == "healthy":
        fail("nothing answers, and it says that all is well")


@question.check(
    points=1, hidden=True, hint="how many workers are there, and is the model loaded before they are forked?"
)
def it_needs_little(november: list[dict[str, Any]], service: Container) -> None:
    """after some hundred flights it has less than 400 MB of memory"""
    service.many([post("/predict", json=flight) for flight in november] + [get("/ready")] * 50, clients=10)
    expect(service.memory(), "its memory in MB").is_at_most(400)


@question.check(points=1, hidden=True, hint="which user runs it?")
def no_process_is_roots(service: Container) -> None:
    """no process of it is root's"""
    service.start()
    if 0 in service.users():
        fail("a process of it is root's")


### END HIDDEN TESTS
