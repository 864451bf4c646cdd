"""Does the Dockerfile make an image that builds quickly, runs without root and serves the board?"""

import contextlib
from collections.abc import Iterator

from course.checks import Question, expect, fail, fixture
from course.checks.docker.containers import Container, run
from course.checks.docker.contexts import Context, context, matching
from course.checks.docker.images import build
from course.checks.http.logs import lines_about

question = Question("The image", points=11)
FIRST = {"EWR": "9E 3932", "JFK": "AA 45"}


@fixture
def web() -> Context:
    """The shipped context."""
    return context("web")


@fixture
def board(web: Context) -> Iterator[Container]:
    """A container of the image, without any setting."""
    with question.progress("the image") as step:
        step("building it")
        image = build(web)
        step("starting a container")
        with contextlib.closing(run(image, start=20)) as container:
            container.start()
            yield container


@fixture
def kennedy(board: Container) -> Iterator[Container]:
    """A container of the same image with other settings; what does not run without settings does not run with them."""
    settings = {"BOARD_ORIGIN": "JFK", "BOARD_TITLE": "Gate 7"}
    with question.progress("the image") as step, contextlib.closing(run(board.image, env=settings, start=20)) as other:
        step("starting a container")
        other.start()
        yield other


def expect_board(api: Container, title: str, origin: str) -> None:
    """/departures shows the board of this airport."""
    board = api.get("/departures").expect_status(200).json()
    if not isinstance(board, dict) or not isinstance(board.get("departures"), list) or not board["departures"]:
        fail("GET /departures must have title, origin and departures", actual=board)
    first = board["departures"][0]
    shown = {"title": board.get("title"), "origin": board.get("origin"), "first": first.get("flight")}
    expect(shown, "the board").equals({"title": title, "origin": origin, "first": FIRST[origin]})


@question.check(points=1)
def base_has_a_version(web: Context) -> None:
    """the base image has a version"""
    web.expect("pinned base")


@question.check(points=2)
def packages_are_installed_before_the_code_is_copied(web: Context) -> None:
    """packages are installed before the code is copied, each in the version that is listed"""
    web.expect("cached dependencies")
    web.expect("pinned installs")


@question.check(points=1)
def service_is_not_root(web: Context) -> None:
    """the service does not run as root"""
    web.expect("non-root")


@question.check(points=1)
def signals_reach_the_service(web: Context) -> None:
    """the service is started directly, so that signals reach it"""
    web.expect("exec form")


@question.check(points=1)
def what_is_copied_is_there(web: Context) -> None:
    """the module and its data are copied, and no secret with them"""
    web.expect("copies")
    web.expect("no secrets")
    sources = [
        source
        for instruction in web.parsed.instructions
        if instruction.name in ("COPY", "ADD") and instruction.flag("from") is None
        for source in instruction.paths[0]
    ]
    copied = {path for source in sources for path in matching(source, web.sent)}
    for name in ("board.py", "departures.json"):
        if name not in copied:
            fail(f"no COPY takes {name}", hint="what is not copied is not in the image")


@question.check(points=2)
def a_container_answers(board: Container) -> None:
    """a container of the image shows the board of Newark"""
    expect(board.get("/health").expect_status(200).json(), "GET /health").equals({"status": "ok"})
    expect_board(board, "Departures", "EWR")


@question.check(points=1)
def another_setting_another_board(kennedy: Container) -> None:
    """with other settings, the same image shows another board"""
    expect_board(kennedy, "Gate 7", "JFK")


@question.check(points=1)
def its_log_is_collected(board: Container) -> None:
    """the engine collects its log: a line for each request"""
    board.get("/departures").expect_status(200)
    board.get("/arrivals").expect_status(404)
    for path, status in {"/departures": "200", "/arrivals": "404"}.items():
        logged, lines = lines_about(board, path, status)
        if not logged:
            fail(
                f"the log does not tell of GET {path}",
                expected=f"a line with {path} and {status}",
                actual=lines[-1] if lines else "no line names that path",
                hint="PYTHONUNBUFFERED=1, and a log that goes to standard output",
            )


### BEGIN HIDDEN TESTS


@question.check(points=1, hidden=True, hint="how long does docker stop take, and with which status does it end?")
def it_ends_when_it_is_asked_to(board: Container) -> None:
    """it ends soon when it is asked to, with status 0"""
    stop = board.stop(timeout=20)
    if stop.status is None:
        fail("it does not end when it is asked to, and has to be killed")
    expect(stop.status, "its exit status").equals(0)


### END HIDDEN TESTS
