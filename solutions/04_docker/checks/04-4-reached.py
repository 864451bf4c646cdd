"""Reached or not?."""

from course.checks import Question, answer, fail

question = Question("Reached or not?", points=3)
IDS = {
    *("GHSA-w3h3-4rj7-4ph4", "GHSA-hrfv-mqp8-q5rw", "GHSA-2g68-c3qc-8985", "GHSA-f9vj-2wh5-fj8j"),
    *("GHSA-q2x7-8rv6-6q7h", "GHSA-cx63-2mw6-8hw5", "GHSA-mq26-g339-26xf"),
}


def reached() -> dict:
    """The shipped answers, True or False for each."""
    found = answer("reached")
    if not isinstance(found, dict):
        fail('answers["reached"] is no dictionary', actual=found)
    for one in sorted(IDS):
        if not isinstance(found.get(one), bool):
            fail(f"there is no answer for {one}", expected="True or False", actual=found.get(one))
    return found


@question.check()
def every_hole_has_an_answer():
    """every hole has an answer"""
    reached()


### BEGIN HIDDEN TESTS


@question.check(
    points=3,
    hidden=True,
    needs=every_hole_has_an_answer,
    hint="what can somebody out there send, and what does each of the programs on its way do with it?",
)
def the_right_ones_are_reached():
    """those that can be reached are told from the others"""
    found = reached()
    if {one for one in IDS if found[one]} != {"GHSA-w3h3-4rj7-4ph4", "GHSA-hrfv-mqp8-q5rw"}:
        fail("not all are right")


### END HIDDEN TESTS
