"""What does a moved tag do?."""

from course.checks import Question, answer, fail

question = Question("What does a moved tag do?", points=3)
ASKED = {"runs", "starts again", "digest", "new machine", "roll back", "swept"}


def moved() -> dict:
    """The shipped answers, each of them one of the three."""
    found = answer("moved")
    if not isinstance(found, dict):
        fail('answers["moved"] is no dictionary', actual=found)
    for name in sorted(ASKED):
        if found.get(name) not in ("A", "B", "nothing"):
            fail(f"there is no answer to {name!r}", expected='"A", "B" or "nothing"', actual=found.get(name))
    return found


@question.check()
def all_questions_have_an_answer():
    """all six questions have an answer"""
    moved()


### BEGIN HIDDEN TESTS


@question.check(
    points=1.5,
    hidden=True,
    needs=all_questions_have_an_answer,
    hint="who has an image of that name does not ask for another one",
)
def those_who_have_it():
    """what those get who have it already"""
    found = moved()
    if [found[name] for name in ("runs", "starts again", "digest")] != ["A", "A", "A"]:
        fail("not all three are right")


@question.check(
    points=1.5,
    hidden=True,
    needs=all_questions_have_an_answer,
    hint="which bytes does the name lead to at that moment, and are they still there?",
)
def those_who_ask():
    """what those get who must ask the registry"""
    found = moved()
    if [found[name] for name in ("new machine", "roll back", "swept")] != ["B", "B", "nothing"]:
        fail("not all three are right")


### END HIDDEN TESTS
