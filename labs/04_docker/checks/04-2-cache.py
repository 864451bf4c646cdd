"""Does the function predict which steps of a Dockerfile the build cache keeps after a change?"""

from course.checks import Module, Question, fail, fixture, module

question = Question("What a build keeps", points=4)
USUAL = ["FROM python:3.11-slim", "WORKDIR /app", "COPY . .", "RUN pip install -r requirements.txt", 'CMD ["gunicorn"]']
ORDERED = [
    "FROM python:3.11-slim",
    "WORKDIR /app",
    "COPY requirements.txt ./",
    "RUN pip install -r requirements.txt",
    "COPY board.py departures.json ./",
    "USER 10001",
]


@fixture
def cache() -> Module:
    """The shipped module, called in a process of its own."""
    return module("cache.py")


def expect_kept(cache: Module, steps: list[str], changed: list[str], count: int) -> None:
    """The first steps are kept, and none after them."""
    wanted = [place < count for place in range(len(steps))]
    kept = cache.kept(steps, changed)
    if kept != wanted:
        shown = "\n".join(steps)
        fail(
            f"kept(steps, {changed}) is not what an engine keeps of these steps\n{shown}", expected=wanted, actual=kept
        )


@question.check(points=2)
def the_first_change_ends_it(cache: Module) -> None:
    """the first step that takes a changed file ends what is kept, in each order"""
    expect_kept(cache, USUAL, ["board.py"], 2)
    expect_kept(cache, ORDERED, ["board.py"], 4)
    expect_kept(cache, ORDERED, ["requirements.txt"], 2)
    expect_kept(cache, ORDERED, ["departures.json", "requirements.txt"], 2)


@question.check(points=1)
def what_nothing_takes_changes_nothing(cache: Module) -> None:
    """what no step takes changes nothing, and what one takes does"""
    expect_kept(cache, ORDERED, ["board.py"], 4)
    expect_kept(cache, ORDERED, [], len(ORDERED))
    expect_kept(cache, ORDERED, ["README.md", "old/board.py"], len(ORDERED))
    expect_kept(cache, ["FROM python:3.11-slim", "RUN apt-get update", "ENV A=board.py"], ["board.py"], 3)
