"""Can a colleague read the history of the repository, and is nothing in it that machines make?"""

from course.checks import Project, Question, expect, fail, fixture, project
from course.checks.python.repositories import vague

question = Question("A history to read", points=3)


@fixture
def shipped() -> Project:
    """The shipped project."""
    return project("late-flights.bundle")


@question.check(points=1)
def tells_what_was_done(shipped: Project) -> None:
    """there are three commits or more, each with an author and a message that says what it does"""
    commits = [commit for commit in shipped.commits if commit.parents < 2]
    expect(len(commits), "the number of commits").is_at_least(3, hint="one step, one commit")
    for commit in commits:
        if reason := vague(commit.subject):
            hint = 'complete the sentence "If applied, this commit will …"'
            fail(f"a commit message could be better: {reason}", actual=commit.subject, hint=hint)
        if not commit.author.strip() or "@" not in commit.email:
            author = f"{commit.author} <{commit.email}>"
            hint = "set user.name and user.email with git config, then git commit --amend --reset-author"
            fail("a commit has no author", actual=author, hint=hint)
    expect(len({commit.subject for commit in commits}), "the number of different messages").is_at_least(3)


@question.check(points=1, needs=tells_what_was_done)
def holds_no_products(shipped: Project) -> None:
    """nothing is committed that machines make, and no large file"""
    if junk := shipped.junk():
        more = f" and {len(junk) - 3} more" if len(junk) > 3 else ""
        hint = "git rm -r --cached takes it out of git and leaves it on disk; .gitignore keeps it out"
        fail("this does not belong in git", actual=", ".join(junk[:3]) + more, hint=hint)


### BEGIN HIDDEN TESTS
@question.check(
    points=1, needs=tells_what_was_done, hidden=True, hint="git status must stay clean after make env and a build"
)
def keeps_products_out(shipped: Project) -> None:
    """.gitignore keeps environments, caches, builds and data out, and no large file ever was in"""
    products = [
        ".venv/bin/python",
        "src/late_flights/__pycache__/features.cpython-311.pyc",
        "src/late_flights.egg-info/PKG-INFO",
        "dist/late_flights-0.1.0-py3-none-any.whl",
        "build/lib/late_flights/features.py",
        "flights.csv",
        "weather.parquet",
    ]
    kept = ["src/late_flights/features.py", "tests/test_features.py", "pyproject.toml", "Makefile"]
    expect(sorted(shipped.ignores([*products, *kept]))).equals(sorted(products))
    expect(shipped.largest()).is_at_most(1_000_000)


### END HIDDEN TESTS
