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
