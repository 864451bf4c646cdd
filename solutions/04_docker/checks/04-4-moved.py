"""What does each user of an image get after its tag has moved to another one?"""

from course.checks import Question, answers_in, fail, fixture

question = Question("What does a moved tag do?", points=3)
ASKED = {"runs", "starts again", "digest", "new machine", "roll back", "swept"}


@fixture
def moved() -> dict[str, str]:
    """The shipped answers, each of them one of the three."""
    answers = answers_in("moved")
    for name in sorted(ASKED):
        if answers.get(name) not in ("A", "B", "nothing"):
            fail(f"there is no answer to {name!r}", expected='"A", "B" or "nothing"', actual=answers.get(name))
    return answers


@question.check()
def all_questions_have_an_answer(moved: dict[str, str]) -> None:
    """all six questions have an answer"""


### BEGIN HIDDEN TESTS


@question.check(
    points=1.5,
    hidden=True,
    needs=all_questions_have_an_answer,
    hint="who has an image of that name does not ask for another one",
)
def those_who_have_it(moved: dict[str, str]) -> None:
    """what those get who have it already"""
    if [moved[name] for name in ("runs", "starts again", "digest")] != ["A", "A", "A"]:
        fail("not all three are right")


@question.check(
    points=1.5,
    hidden=True,
    needs=all_questions_have_an_answer,
    hint="which bytes does the name lead to at that moment, and are they still there?",
)
def those_who_ask(moved: dict[str, str]) -> None:
    """what those get who must ask the registry"""
    if [moved[name] for name in ("new machine", "roll back", "swept")] != ["B", "B", "nothing"]:
        fail("not all three are right")


### END HIDDEN TESTS
