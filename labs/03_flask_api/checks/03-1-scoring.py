"""The model, loaded once."""

from course import flights
from course.checks import Question, expect, fail
from course.checks.http.contracts import Artifact, Scorer, as_sent

question = Question("The model, loaded once", points=10)
scorer, shipped = Scorer("scoring"), Artifact("artifact")
november = as_sent(flights.planned("2013-11-20").sample(300, random_state=3))


def expect_same(said, wanted, hint=None) -> None:
    """Two lists of probabilities are the same, but for rounding."""
    expect(said, "the list of probabilities").is_close(wanted, abs=1e-4, hint=hint)


@question.check(points=2)
def it_opens_and_answers():
    """Scorer(artifact) opens the artifact, and gives a probability"""
    scorer.ask(november[:1])


@question.check(points=2, needs=it_opens_and_answers)
def says_what_the_model_says():
    """it says of flights in November what the artifact's model says"""
    (said,), _ = scorer.ask(november)
    expect_same(
        said,
        shipped.probabilities(november),
        hint="is it the probability of late, the second column? And are times read on New York's clock?",
    )


@question.check(points=2, needs=it_opens_and_answers)
def nothing_is_opened_again():
    """nothing of the artifact is opened again when it answers"""
    if scorer.opened() == 0:
        fail(
            "Scorer(artifact) opened no file of the artifact",
            hint="load in __init__, from the folder that it gets; else the first caller waits for it",
        )
    _, opened = scorer.ask(*[[one] for one in november[:5]])
    if opened:
        fail(
            "it opens files of the artifact again for each request",
            expected="0 files",
            actual=f"{opened} in 5 requests",
        )
