"""What a build keeps."""

from course.checks import Question, fail, module

question = Question("What a build keeps", points=4)
cache = module("cache.py")
USUAL = ["FROM python:3.11-slim", "WORKDIR /app", "COPY . .", "RUN pip install -r requirements.txt", 'CMD ["gunicorn"]']
ORDERED = [
    "FROM python:3.11-slim",
    "WORKDIR /app",
    "COPY requirements.txt ./",
    "RUN pip install -r requirements.txt",
    "COPY board.py departures.json ./",
    "USER 10001",
]


def expect_kept(steps, changed, count):
    """The first steps are kept, and none after them."""
    wanted = [place < count for place in range(len(steps))]
    found = cache.kept(steps, changed)
    if found != wanted:
        shown = "\n".join(steps)
        fail(
            f"kept(steps, {changed}) is not what an engine keeps of these steps\n{shown}", expected=wanted, actual=found
        )


@question.check(points=2)
def the_first_change_ends_it():
    """the first step that takes a changed file ends what is kept, in each order"""
    expect_kept(USUAL, ["board.py"], 2)
    expect_kept(ORDERED, ["board.py"], 4)
    expect_kept(ORDERED, ["requirements.txt"], 2)
    expect_kept(ORDERED, ["departures.json", "requirements.txt"], 2)


@question.check(points=1, needs=the_first_change_ends_it)
def what_nothing_takes_changes_nothing():
    """what no step takes changes nothing"""
    expect_kept(ORDERED, [], len(ORDERED))
    expect_kept(ORDERED, ["README.md", "old/board.py"], len(ORDERED))
    expect_kept(["FROM python:3.11-slim", "RUN apt-get update", "ENV A=board.py"], ["board.py"], 3)


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    needs=the_first_change_ends_it,
    hint="a folder takes all that is in it, however deep; * stops at a slash; options and the target are no sources",
)
def folders_patterns_and_options():
    """folders, patterns and options are read as Docker reads them"""
    steps = ["FROM python:3.11-slim", "COPY --chown=10001 *.py pyproject.toml /srv/", "COPY templates/ /srv/static/"]
    steps += ["RUN true", "ADD --chmod=644 static/*.css ./docs /srv/static/", "COPY . /srv"]
    expect_kept(steps, ["board.py"], 1)
    expect_kept(steps, ["templates/mail/late.html"], 2)
    expect_kept(steps, ["templates_old/a.html", "static/a/b.css", "tests/test_board.py"], 5)
    expect_kept(steps, ["static/board.css"], 4)
    expect_kept(steps, ["docs/index.md"], 4)
    expect_kept(steps[:5], ["srv/static/x", "10001"], 5)


### END HIDDEN TESTS
