"""Does the scorer open the artifact once, and say what its model says?"""

from typing import Any

from course import flights
from course.checks import Question, expect, fail, fixture
from course.checks.http.contracts import Artifact, Scorer, as_sent

question = Question("The model, loaded once", points=10)


@fixture
def scorer() -> Scorer:
    """The shipped class."""
    return Scorer("scoring")


@fixture
def shipped() -> Artifact:
    """The shipped artifact."""
    return Artifact("artifact")


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(300, random_state=3))


def expect_same(said: Any, wanted: Any, hint: str | None = None) -> None:
    """Two lists of probabilities are the same, but for rounding."""
    expect(said, "the list of probabilities").is_close(wanted, abs=1e-4, hint=hint)


@question.check(points=2)
def it_opens_and_answers(scorer: Scorer, november: list[dict[str, Any]]) -> None:
    """Scorer(artifact) opens the artifact, and gives a probability"""
    scorer.ask(november[:1])


@question.check(points=2, needs=it_opens_and_answers)
def says_what_the_model_says(scorer: Scorer, shipped: Artifact, november: list[dict[str, Any]]) -> None:
    """it says of flights in November what the artifact's model says"""
    (said,), _ = scorer.ask(november)
    expect_same(
        said,
        shipped.probabilities(november),
        hint="is it the probability of late, the second column? And are times read on New York's clock?",
    )


@question.check(points=2, needs=it_opens_and_answers)
def nothing_is_opened_again(scorer: Scorer, november: list[dict[str, Any]]) -> None:
    """nothing of the artifact is opened again when it answers"""
    if scorer.opened() == 0:
        fail(
            "Scorer(artifact) opened no file of the artifact",
            hint="load in __init__, from the folder that it gets; else the first caller waits for it",
        )
    _, opened = scorer.ask(*[[flight] for flight in november[:5]])
    if opened:
        fail(
            "it opens files of the artifact again for each request",
            expected="0 files",
            actual=f"{opened} in 5 requests",
        )
