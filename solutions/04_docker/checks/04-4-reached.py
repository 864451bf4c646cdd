"""Which of the known vulnerabilities can somebody outside reach?"""

from course.checks import Question, answers_in, fail, fixture

question = Question("Reached or not?", points=3)
IDS = {
    *("GHSA-w3h3-4rj7-4ph4", "GHSA-hrfv-mqp8-q5rw", "GHSA-2g68-c3qc-8985", "GHSA-f9vj-2wh5-fj8j"),
    *("GHSA-q2x7-8rv6-6q7h", "GHSA-cx63-2mw6-8hw5", "GHSA-mq26-g339-26xf"),
}


@fixture
def reached() -> dict[str, bool]:
    """The shipped answers, True or False for each."""
    answers = answers_in("reached")
    for advisory in sorted(IDS):
        if not isinstance(answers.get(advisory), bool):
            fail(f"there is no answer for {advisory}", expected="True or False", actual=answers.get(advisory))
    return answers


@question.check()
def every_hole_has_an_answer(reached: dict[str, bool]) -> None:
    """every vulnerability has an answer"""


### BEGIN HIDDEN TESTS


@question.check(
    points=3,
    hidden=True,
    needs=every_hole_has_an_answer,
    hint="what can somebody out there send, and what does each of the programs on its way do with it?",
)
def the_right_ones_are_reached(reached: dict[str, bool]) -> None:
    """those that can be reached are distinguished from the others"""
    if {advisory for advisory in IDS if reached[advisory]} != {"GHSA-w3h3-4rj7-4ph4", "GHSA-hrfv-mqp8-q5rw"}:
        fail("not all are right")


### END HIDDEN TESTS
