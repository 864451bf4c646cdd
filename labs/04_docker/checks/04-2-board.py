"""Is the application set from the environment alone, and does it log each request to standard output?"""

from course.checks import Question, Service, Unmet, expect, fail, service
from course.checks.http.logs import lines_about

question = Question("The application", points=6)
FIRST = {"EWR": "9E 3932", "JFK": "AA 45", "LGA": "AA 2379"}
BUFFERED = {"PYTHONUNBUFFERED": ""}  # as in a container of an image that says nothing about it
INSIDE = {
    "in_its_folder.py": "import os, sys\n\nos.chdir('web')\nsys.path.insert(0, os.getcwd())\nfrom board import app\n",
    "elsewhere.py": "import sys\n\nsys.path.insert(0, 'web')\nfrom board import app\n",
}


def board(server: str = "gunicorn", module: str = "in_its_folder", **env: str) -> Service:
    """The shipped application behind a server that is started in the folder web, with these settings."""
    more = ["--workers", "1"] if server == "gunicorn" else None
    return service(f"{module}:app", server=server, env=BUFFERED | env, files=INSIDE, arguments=more)


def expect_board(api: Service, title: str, origin: str) -> None:
    """/departures shows the board of this airport."""
    board = api.get("/departures").expect_status(200).json()
    if not isinstance(board, dict) or not {"title", "origin", "departures"} <= set(board):
        fail("GET /departures must have title, origin and departures", actual=board)
    expect({name: board[name] for name in ("title", "origin")}, "the board").equals({"title": title, "origin": origin})
    flights = board["departures"]
    if not isinstance(flights, list) or not flights or not isinstance(flights[0], dict):
        fail("departures must be a list of flights", actual=flights)
    expect(flights[0].get("flight"), f"the first flight from {origin}").equals(FIRST[origin])


def expect_line(api: Service, path: str, status: int) -> None:
    """The log has a line about one request, with method, path and status."""
    logged, lines = lines_about(api, path, "GET", str(status))
    if not logged:
        fail(
            f"the output of the service has no line about GET {path}",
            expected=f"a line with GET, {path} and {status}",
            actual=lines[-1] if lines else "no line names that path",
            hint="does it go to standard output, and at once? What print() writes waits in a buffer, unless it has "
            "flush=True",
        )


@question.check(points=1)
def without_settings_it_is_newark() -> None:
    """without any setting it is the board of Newark, called Departures"""
    api = board()
    expect_board(api, "Departures", "EWR")
    health = api.get("/health").expect_status(200).json()
    if not isinstance(health, dict) or health.get("status") != "ok":
        fail("GET /health must have the status ok", expected='{"status": "ok"}', actual=health)


@question.check(points=1)
def environment_sets_title_and_airport() -> None:
    """the environment sets the title and the airport"""
    expect_board(board(BOARD_TITLE="Gate 7", BOARD_ORIGIN="JFK"), "Gate 7", "JFK")


@question.check(points=1)
def the_data_are_found_from_anywhere() -> None:
    """the data are found beside the module, wherever the server is started"""
    expect_board(board(module="elsewhere"), "Departures", "EWR")


@question.check(points=1)
def an_unknown_airport_ends_it() -> None:
    """an unknown airport ends it at the start, with a message that names the setting and the value"""
    api = board("flask", BOARD_ORIGIN="ZZZ")
    try:
        api.start()
    except Unmet as problem:
        said = f"{problem.reason} {problem.actual}"
        if "BOARD_ORIGIN" not in said or "ZZZ" not in said:
            fail("it ends, and does not say why", expected="BOARD_ORIGIN and the wrong value", actual=problem.actual)
    else:
        api.close()
        fail("it starts with BOARD_ORIGIN=ZZZ", hint="look at the setting where it is read, before the first request")


@question.check(points=1)
def each_request_leaves_a_line() -> None:
    """each request leaves a line on standard output or error, at once"""
    api = board()
    expect_line(api, "/departures", api.get("/departures").status)
