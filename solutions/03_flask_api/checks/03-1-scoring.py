"""Does the scorer open the artifact once, and say what its model says?"""

from typing import Any

import numpy as np
import pandas as pd

from course import flights
from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.http.contracts import ArtifactModel, Model, Scorer, as_sent
from course.checks.http.course_artifact import course_artifact, measure, unseen_flights

question = Question("The model, loaded once", points=10)


@fixture
def judge() -> Model:
    """The artifact by which the scorer is judged: the shipped one, unless its model ranks no flights."""
    return measure()


@fixture
def scorer(judge: Model) -> Scorer:
    """The shipped class, with that artifact."""
    return Scorer("scoring", artifact=judge)


@fixture
def november() -> list[dict[str, Any]]:
    """Flights of November, as they are sent."""
    return as_sent(flights.planned("2013-11-20").sample(300, random_state=3))


def expect_same(said: Any, wanted: Any, hint: str | None = None) -> None:
    """Two lists of probabilities are the same, but for rounding."""
    expect(said, "the list of probabilities").is_close(wanted, abs=1e-4, hint=hint)


def expect_to_depend(said: Any, judge: Model, sent: list[dict[str, Any]]) -> None:
    """What a scorer says depends on the artifact's model, rightly or wrongly."""
    wanted = judge.probabilities(sent)
    related = pd.Series(said).corr(pd.Series(wanted), method="spearman") if np.ptp(said) > 1e-9 else 0.0
    if not abs(related) > 0.5:
        fail(
            "what it answers has nothing to do with what the artifact's model says",
            expected=[round(float(value), 4) for value in wanted[:4]],
            actual=[round(float(value), 4) for value in said[:4]],
        )


@question.check(points=1)
def it_opens_and_answers(scorer: Scorer, november: list[dict[str, Any]]) -> None:
    """Scorer(artifact) opens the artifact, and gives a probability"""
    scorer.ask(november[:1])


@question.check(points=2)
def says_what_the_model_says(scorer: Scorer, judge: Model, november: list[dict[str, Any]]) -> None:
    """it says of flights in November what the artifact's model says, and that model ranks flights"""
    (said,), _ = scorer.ask(november)
    expect_same(
        said,
        judge.probabilities(november),
        hint="is it the probability of late, the second column? And are times read on New York's clock?",
    )
    try:
        ArtifactModel("artifact").must_rank(unseen_flights())
    except CheckFailed as problem:  # of the shipped model; the scorer is judged by the course's
        fail(problem.reason, expected=problem.expected, actual=problem.actual, hint=problem.hint)


@question.check(points=1)
def says_what_another_model_says(november: list[dict[str, Any]]) -> None:
    """it opens another artifact of the same form, the course's own, and says what that model says"""
    other = course_artifact()
    hint = "Scorer opens what is in the folder that it gets: what of your own artifact is written into scoring.py?"
    try:
        (said,), _ = Scorer("scoring", artifact=other).ask(november[:50])
    except CheckFailed as problem:
        fail(problem.reason, expected=problem.expected, actual=problem.actual, hint=problem.hint or hint)
    expect_same(said, other.probabilities(november[:50]), hint=hint)


@question.check(points=2)
def nothing_is_opened_again(scorer: Scorer, judge: Model, november: list[dict[str, Any]]) -> None:
    """the model is opened once, when the scorer is made, and not again when it answers"""
    _, at_first = scorer.ask(november[:1])
    if scorer.opened() == 0:
        fail(
            "Scorer(artifact) opened no file of the artifact",
            hint="load in __init__, from the folder that it gets; else the first caller waits for it",
        )
    said, opened = scorer.ask(*[[flight] for flight in november[:20]])
    if opened:
        fail(
            "it opens the model again when it answers, from a file or from bytes that it keeps",
            expected="0 files or models",
            actual=f"{opened} in 20 requests",
            hint="keep the opened model as an attribute of the scorer, not its path and not its bytes",
        )
    if at_first:
        fail(
            "the first request opens the model",
            expected="0 files or models",
            actual=f"{at_first} in the first request",
            hint="load in __init__; else the first caller waits for it",
        )
    expect_to_depend([probability for (probability,) in said], judge, november[:20])


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    hint="ask about one flight, then about a hundred with that one among them: is its probability the same?",
)
def one_and_many_are_the_same(scorer: Scorer, judge: Model) -> None:
    """a flight has the same probability alone and among others, in December, too"""
    december = as_sent(flights.holdout()[0].sample(200, random_state=5))
    alone, _ = scorer.ask(*[[flight] for flight in december[:20]])
    (together, backwards), _ = scorer.ask(december, december[::-1])
    expect_same([probability for (probability,) in alone], together[:20])
    expect_same(backwards[::-1], together)
    expect_to_depend(together, judge, december)


@question.check(
    points=2,
    hidden=True,
    hint="an offset says how to read the time, not where the flight leaves; and not all flights of a request share it",
)
def moments_are_moments(scorer: Scorer, judge: Model) -> None:
    """the same moment gives the same probability, in whatever zone it is written"""
    autumn = flights.planned("2013-11-02", "2013-11-05").sample(60, random_state=8)
    here, utc, there = as_sent(autumn), as_sent(autumn, "UTC"), as_sent(autumn, "Asia/Kolkata")
    zulu = [
        {**flight, **{name: flight[name].replace("+00:00", "Z") for name in ("planned_departure", "planned_arrival")}}
        for flight in utc
    ]
    mixed = [*here[:20], *utc[20:40], *there[40:]]
    (wanted, *said), _ = scorer.ask(here, utc, zulu, there, mixed)
    for probabilities in said:
        expect_same(probabilities, wanted)
    expect_to_depend(wanted, judge, here)


### END HIDDEN TESTS
