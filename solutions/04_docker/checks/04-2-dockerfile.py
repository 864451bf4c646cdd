"""Does the Dockerfile make an image that builds quickly, runs without root and serves the board?

Where an engine answers, the image is built and run, and most checks look at that; elsewhere they read the text.
"""

import contextlib
import time
from collections.abc import Iterator

from course.checks import CheckFailed, Question, expect, fail, fixture
from course.checks.docker.containers import Container, run
from course.checks.docker.context_policy import copied
from course.checks.docker.contexts import Context, context
from course.checks.docker.images import build, built, expect_cached
from course.checks.http.logs import lines_about

question = Question("The image", points=11, deadline_s=420)
PORT = 8000
FIRST = {"EWR": "9E 3932", "JFK": "AA 45"}


@fixture
def web() -> Context:
    """The shipped context."""
    return context("web")


@fixture
def made(web: Context) -> Iterator[Container | None]:
    """A container of the image, without any setting; None where no engine answers or no image comes of the context."""
    with question.progress("the image") as step:
        step("building it")
        image = built(web)
    if image is None:
        yield None
    else:
        with contextlib.closing(run(image, port=PORT, start=20)) as container:
            yield container


@fixture
def board(web: Context, made: Container | None) -> Container:
    """The same container, started; what kept it from starting is reported here."""
    container = made or run(build(web), port=PORT, start=20)
    container.start()
    return container


@fixture
def kennedy(board: Container) -> Iterator[Container]:
    """A container of the same image with other settings; what does not run without settings does not run with them."""
    settings = {"BOARD_ORIGIN": "JFK", "BOARD_TITLE": "Gate 7"}
    with contextlib.closing(run(board.image, port=PORT, env=settings, start=20)) as other:
        with question.progress("the image") as step:
            step("starting a container")
            other.start()
        yield other


def expect_board(api: Container, title: str, origin: str) -> None:
    """/departures shows the board of this airport."""
    board = api.get("/departures").expect_status(200).json()
    departures = board.get("departures") if isinstance(board, dict) else None
    if not isinstance(departures, list) or not departures or not isinstance(departures[0], dict):
        fail("GET /departures must have title, origin and departures", actual=board)
    shown = {"title": board.get("title"), "origin": board.get("origin"), "first": departures[0].get("flight")}
    expect(shown, "the board").equals({"title": title, "origin": origin, "first": FIRST[origin]})


@question.check(points=1)
def base_has_a_version(web: Context) -> None:
    """the base image has a version"""
    web.expect("pinned base")


@question.check(points=2)
def packages_are_installed_before_the_code_is_copied(web: Context) -> None:
    """packages are installed before the code is copied, so that a change of the code installs nothing again"""
    web.expect("cached dependencies")
    expect_cached(web)


@question.check(points=1)
def each_version_is_named(web: Context) -> None:
    """each package is installed in a version that is listed"""
    web.expect("pinned installs")
    if image := built(web):
        listed = {*web.expect_pinned_requirements(), "pip", "setuptools", "wheel", "uv"}
        if unlisted := sorted(set(image.packages()) - listed):
            fail("installed, and not listed in requirements.txt", actual=", ".join(unlisted))


@question.check(points=1)
def service_is_not_root(web: Context, made: Container | None) -> None:
    """the service does not run as root"""
    web.expect("non-root")
    if made and made.starts() and 0 in made.users():
        fail("in a container of the image, a process is root's")


@question.check(points=1)
def signals_reach_the_service(web: Context, made: Container | None) -> None:
    """the service is started directly, as a list, so that signals reach it"""
    web.expect("exec form")
    if made and made.starts():
        made.expect_no_shell_first()


@question.check(points=1)
def what_is_copied_is_there(web: Context, made: Container | None) -> None:
    """the module and its data are in the image, and no secret with them"""
    web.expect("copies")
    web.expect("no secrets")
    if made:
        inside = {path.rpartition("/")[2] for path in made.image.files()}
        made.image.expect_no_secrets()
    else:
        inside = {path.rpartition("/")[2] for path in copied(web)}
    for name in ("board.py", "departures.json"):
        if name not in inside:
            fail(f"the image has no {name}", hint="what no COPY takes is not in the image")


@question.check(points=1)
def a_container_answers(board: Container) -> None:
    """a container of the image shows the board of Newark on port 8000"""
    expect_board(board, "Departures", "EWR")


@question.check(points=1)
def another_setting_another_board(kennedy: Container) -> None:
    """with other settings, the same image shows another board"""
    expect_board(kennedy, "Gate 7", "JFK")


@question.check(points=1)
def its_log_is_collected(board: Container) -> None:
    """the engine collects its log: a line for each request, at once"""
    board.get("/departures")
    board.get("/arrivals").expect_status(404)
    for path, status in {"/departures": "200", "/arrivals": "404"}.items():
        logged, lines = lines_about(board, path, status)
        if not logged:
            fail(
                f"the log has no line about GET {path} while the container runs",
                expected=f"a line with {path} and {status}",
                actual=lines[-1] if lines else "no line names that path",
                hint="does it go to standard output? A line that waits in a buffer is not there yet: "
                "ENV PYTHONUNBUFFERED=1, or print(…, flush=True)",
            )


### BEGIN HIDDEN TESTS


@question.check(points=1, hidden=True, hint="how long does docker stop take, and with which status does it end?")
def it_ends_when_it_is_asked_to(web: Context, made: Container | None) -> None:
    """it stops soon after SIGTERM, with status 0"""
    image = made.image if made else build(web)
    with contextlib.closing(run(image, port=PORT)) as other:
        other.launch()
        deadline = time.monotonic() + 20
        while not other.listening() and other.wait(0.2) is None and time.monotonic() < deadline:
            pass
        try:
            other.get("/departures")  # gunicorn listens before it opens the application
        except CheckFailed:
            other.wait(2)  # it may be ending, or listen on another port
        if (status := other.wait(0)) is not None:
            fail("it ended before it was asked to", actual=f"exit status {status}")
        stop = other.stop(timeout=20)
    if stop.status is None:
        fail("it does not end when it is asked to, and has to be killed")
    expect(stop.status, "its exit status").equals(0)


### END HIDDEN TESTS
