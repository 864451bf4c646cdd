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
