"""Is gunicorn set up for production: loaded once, set from the environment, and stopped without loss?"""

import re
import sys
import tempfile
from pathlib import Path

from course.base.removal import remove
from course.checks import CheckFailed, Question, Service, Unmet, expect, fail, text
from course.checks.core import processes
from course.checks.http.messages import get, post
from course.checks.http.services import service

probe = """
import json, os, time

LOADED_BY = os.getpid()

def app(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    received = len(environ["wsgi.input"].read(size)) if size else 0
    path = environ["PATH_INFO"]
    if path.startswith("/sleep"):
        time.sleep(float(path[len("/sleep/"):]))
    body = json.dumps({"status": "ok", "pid": os.getpid(), "loaded_by": LOADED_BY, "received": received}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
question = Question("A server for production", points=9)


def server(**env: str) -> Service:
    """The application in gunicorn, as the file says; or without it, by the settings that gunicorn reads in it.

    Where gunicorn reads the file and does not start with it, one check minds that, and others judge what it sets.
    """
    running = shipped(**env)
    try:
        running.get("/health")
    except Unmet:
        running = service(
            "probe:app", server="gunicorn", files={"probe.py": probe}, env=env, arguments=spelled_out(settings(**env))
        )
    except CheckFailed:
        pass
    return running


def shipped(**env: str) -> Service:
    """The application in gunicorn, with the shipped file."""
    text("gunicorn.conf.py")
    return service("probe:app", server="gunicorn", files={"probe.py": probe}, env=env)


def spelled_out(read: dict[str, str]) -> list[str]:
    """Some settings as arguments of gunicorn, which then looks at no file."""
    known = {"threads": r"\d{1,3}", "timeout": r"\d{1,4}", "graceful_timeout": r"\d{1,4}", "workers": "[1-4]"}
    known["worker_class"] = "sync|gthread"
    given = {name: read.get(name, "").strip("'") for name in known}
    options = [
        f"--{name.replace('_', '-')}={value}" for name, value in given.items() if re.fullmatch(known[name], value)
    ]
    return ["--config=/dev/null", *options, *(["--preload"] if read.get("preload_app") == "True" else [])]


def settings(**env: str) -> dict[str, str]:
    """What gunicorn makes of the file, by name, as text; a value that it refuses is passed over: one check minds it."""
    source, said = text("gunicorn.conf.py"), ""
    for _ in range(4):
        said = printed_settings(source, env)
        refused = re.search(r"^Invalid value for ([a-z_]{1,40}):", said, flags=re.MULTILINE)
        if refused is None:
            break
        source += f"\nglobals().pop({refused[1]!r}, None)\n"
    printed = dict(re.findall(r"^(\w+)\s+= (.*)$", said, flags=re.MULTILINE))
    if "workers" not in printed:
        last = (said.strip().splitlines() or ["nothing was printed"])[-1]
        raise Unmet(
            "gunicorn.conf.py can be read by gunicorn",
            last[:200],
            hint="this is the place for your code" if "NotImplemented" in last else None,
        )
    return printed


def printed_settings(source: str, env: dict[str, str]) -> str:
    """What gunicorn prints of a configuration file."""
    place = Path(tempfile.mkdtemp(prefix="course-"))
    try:
        (place / "gunicorn.conf.py").write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "gunicorn", "--print-config", "wsgiref.simple_server:demo_app"]
        return processes.run(command, cwd=place, timeout=20, env={**processes.environment(place), **env}).output
    finally:
        remove(place)


def number(value: str, name: str) -> float:
    try:
        return float(value)
    except ValueError:
        fail(f"{name} must be a number", actual=repr(value))


@question.check(points=2)
def the_application_is_loaded_once() -> None:
    """the application is loaded once, and by no worker"""
    answers = [answer.json() for answer in server(WEB_CONCURRENCY="2").many([get("/sleep/0.05")] * 8, clients=8)]
    loaders = {answer["loaded_by"] for answer in answers}
    expect(len(loaders), "the number of processes that loaded it").equals(1, hint="what does preload_app do?")
    if loaders & {answer["pid"] for answer in answers}:
        fail("a worker loaded the application by itself", hint="what does preload_app do?")


@question.check(points=1)
def workers_come_from_the_environment() -> None:
    """WEB_CONCURRENCY says how many workers there are, and 2 is what they are without it"""
    for many in (1, 3):
        workers = number(settings(WEB_CONCURRENCY=str(many))["workers"], "workers")
        expect(workers, f"workers with WEB_CONCURRENCY={many}").equals(many)
    expect(number(settings()["workers"], "workers"), "workers without WEB_CONCURRENCY").equals(2)


@question.check(points=2)
def requests_in_flight_are_answered() -> None:
    """it starts; after SIGTERM a request in flight is still answered, and the server ends"""
    running = shipped(WEB_CONCURRENCY="1")
    running.get("/health").expect_status(200)
    ending = running.stop(during=post("/sleep/0.5", body=b"x" * 2000), timeout=20)
    if ending.answer is None:
        fail("the request in flight got no answer", actual=ending.lost)
    expect(ending.answer.status, "the status of its answer").equals(200)
    expect(ending.status, "the exit status of the server").equals(0)
