"""The image."""

import time

from course.checks import Question, expect, fail
from course.checks.docker.containers import run
from course.checks.docker.contexts import context, matching
from course.checks.docker.images import build

question = Question("The image", points=11)
web = context("web")
FIRST = {"EWR": "9E 3932", "JFK": "AA 45"}
running = {}


def container(**env):
    """A container of the image with these settings; image and container are made once."""
    if env:
        container()  # what does not run without settings does not run with them
    key = tuple(env.items())
    if key not in running:
        with question.progress("the image") as step:
            step("building it")
            made = build(web)
            step("starting a container")
            running[key] = run(made, env=env, start=20)
            running[key].start()
    return running[key]


def expect_board(api, title, origin):
    """/departures shows the board of this airport."""
    found = api.get("/departures").expect_status(200).json()
    if not isinstance(found, dict) or not isinstance(found.get("departures"), list) or not found["departures"]:
        fail("GET /departures must have title, origin and departures", actual=found)
    first = found["departures"][0]
    shown = {"title": found.get("title"), "origin": found.get("origin"), "first": first.get("flight")}
    expect(shown, "the board").equals({"title": title, "origin": origin, "first": FIRST[origin]})


@question.check(points=1)
def base_has_a_version():
    """the base image has a version"""
    web.expect("pinned base")


@question.check(points=2)
def packages_are_installed_before_the_code_is_copied():
    """packages are installed before the code is copied, each in the version that is listed"""
    web.expect("cached dependencies")
    web.expect("pinned installs")


@question.check(points=1)
def service_is_not_root():
    """the service does not run as root"""
    web.expect("non-root")


@question.check(points=1)
def signals_reach_the_service():
    """the service is started directly, so that signals reach it"""
    web.expect("exec form")


@question.check(points=1)
def what_is_copied_is_there():
    """the module and its data are copied, and no secret with them"""
    web.expect("copies")
    web.expect("no secrets")
    sources = [
        source
        for one in web.parsed.instructions
        if one.name in ("COPY", "ADD") and one.flag("from") is None
        for source in one.paths[0]
    ]
    copied = {path for source in sources for path in matching(source, web.sent)}
    for name in ("board.py", "departures.json"):
        if name not in copied:
            fail(f"no COPY takes {name}", hint="what is not copied is not in the image")


@question.check(points=2)
def a_container_answers():
    """a container of the image shows the board of Newark"""
    api = container()
    expect(api.get("/health").expect_status(200).json(), "GET /health").equals({"status": "ok"})
    expect_board(api, "Departures", "EWR")


@question.check(points=1)
def another_setting_another_board():
    """with other settings, the same image shows another board"""
    expect_board(container(BOARD_ORIGIN="JFK", BOARD_TITLE="Gate 7"), "Gate 7", "JFK")


@question.check(points=1)
def its_log_is_collected():
    """the engine collects its log: a line for each request"""
    api = container()
    api.get("/departures").expect_status(200)
    api.get("/arrivals").expect_status(404)
    for path, status in {"/departures": "200", "/arrivals": "404"}.items():
        deadline = time.monotonic() + 5  # a line may take a moment to come through
        lines, told = [], False
        while not told and time.monotonic() < deadline:
            lines = [line for line in api.logs.splitlines() if path in line]
            told = any(status in line for line in lines)
            time.sleep(0.05)
        if not told:
            fail(
                f"the log does not tell of GET {path}",
                expected=f"a line with {path} and {status}",
                actual=lines[-1] if lines else "no line names that path",
                hint="PYTHONUNBUFFERED=1, and a log that goes to standard output",
            )


### BEGIN HIDDEN TESTS


@question.check(points=1, hidden=True, hint="how long does docker stop take, and with which status does it end?")
def it_ends_when_it_is_asked_to():
    """it ends soon when it is asked to, with status 0"""
    stop = container().stop(timeout=20)
    if stop.status is None:
        fail("it does not end when it is asked to, and has to be killed")
    expect(stop.status, "its exit status").equals(0)


### END HIDDEN TESTS
