"""Does the build context hold what the board needs, with pinned requirements and no secrets?"""

from course.checks import Question, fail, fixture
from course.checks.docker.contexts import Context, context
from course.checks.python.pins import closure

question = Question("What goes in", points=4)
NEEDED = ("board.py", "departures.json", "requirements.txt")
NOT_NEEDED = {"ipykernel", "jupyterlab", "matplotlib", "notebook", "numpy", "pandas", "pytest", "scikit-learn"}
ONLY_SOME_NEED = {"colorama", "importlib-metadata", "packaging", "zipp"}  # on some systems, or in some versions


@fixture
def web() -> Context:
    """The shipped context."""
    return context("web")


@question.check(points=1)
def requirements_are_pinned(web: Context) -> None:
    """requirements.txt pins flask and gunicorn, and nothing that the board does not need"""
    pins = web.expect_pinned_requirements()
    missing = [name for name in ("flask", "gunicorn") if name not in pins]
    if missing:
        fail(f"requirements.txt lacks {' and '.join(missing)}", actual=", ".join(pins) or "no package")
    too_many = sorted(NOT_NEEDED & set(pins))
    if too_many or len(pins) > 20:
        named = f", {', '.join(too_many)} among them" if too_many else ""
        fail(
            "requirements.txt has more than the board needs",
            actual=f"{len(pins)} packages{named}",
            hint="which environment was frozen? Freeze one in which only flask and gunicorn were installed",
        )


@question.check(points=1, needs=requirements_are_pinned)
def what_they_need_is_pinned_too(web: Context) -> None:
    """what flask and gunicorn need is pinned, too"""
    pins = web.expect_pinned_requirements()
    wanted = set(closure([("flask", set()), ("gunicorn", set())])) - ONLY_SOME_NEED
    if missing := sorted(wanted - set(pins)):
        fail(f"the version of {', '.join(missing)} is left open", hint="pip freeze lists them all, in a clean place")


@question.check(points=1)
def clutter_and_secrets_stay_out(web: Context) -> None:
    """.dockerignore keeps out history, environments, caches, notebooks and .env"""
    web.expect_kept_out()


@question.check(points=1, needs=clutter_and_secrets_stay_out)
def what_the_board_needs_goes_in(web: Context) -> None:
    """the module, its data and the requirements go in"""
    for name in NEEDED:
        if name not in web.files:
            fail(f"there is no web/{name}", hint="run the cells above that ship or copy it")
        if name not in web.sent:
            fail(f".dockerignore keeps {name} out", hint="the last line that matches a name decides; ! lets it in")
