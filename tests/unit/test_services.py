"""A student's web service, started and asked over HTTP; it may answer anything, or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.http import services
from course.checks.http.messages import Request, get, parse, post
from course.checks.http.services import service
from course.grading.sandbox import launcher, policy, zygote

needs_sandbox = pytest.mark.skipif(sys.platform != "linux" or policy.why_not() is not None, reason="no sandbox here")
both = pytest.mark.parametrize("server", services.SERVERS)

SMALL = """
    import os, signal, time
    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/health")
    def health():
        return {"status": "ok"}

    @app.post("/predict")
    def predict():
        return {"length": len(request.get_json())}

    @app.get("/boom")
    def boom():
        return {}["gone"]

    @app.get("/hang")
    def hang():
        time.sleep(60)

    @app.get("/end")
    def end():
        os.kill(os.getppid() if "gunicorn" in request.environ["SERVER_SOFTWARE"] else os.getpid(), signal.SIGKILL)
        time.sleep(60)
"""

# a server of one's own behind the WSGI name: what it answers over the wire is up to the test
RAW = """
    import socket, sys, threading, time

    def app(environ, start_response):
        wire = next(
            value for value in (environ.get("werkzeug.socket"), environ.get("gunicorn.socket")) if value is not None
        )
        path = environ["PATH_INFO"]
        if path == "/health":
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        if path == "/garbage":
            wire.sendall(b"\\xff\\xfe nonsense\\r\\n\\r\\n")
        if path == "/headers":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\n" + b"X-A: b\\r\\n" * 300 + b"\\r\\n")
        if path == "/long":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\nX-A: " + b"b" * 100_000 + b"\\r\\n\\r\\n")
        if path == "/endless":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            while True:
                wire.sendall(b"x" * 100_000)
        if path == "/drip":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            while True:
                wire.sendall(b"x")
                time.sleep(0.1)
        if path == "/liar":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 999999999999\\r\\n\\r\\nshort")
        if path == "/chunk":
            wire.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nffffffffffffffffffffff\\r\\nx")
        wire.shutdown(socket.SHUT_RDWR)
        wire.close()
        sys.exit()
"""


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    yield folder
    close_all()


def close_all() -> None:
    while services._pool:
        services._pool.popitem()[1].talk.close()
    services._failed.clear()


def ship(folder: Path, name: str, source: str) -> None:
    (folder / name).write_text(textwrap.dedent(source))


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether something holds, now or soon."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def runs(process: psutil.Process) -> bool:
    """Whether it does; one that ended and was not waited for by whoever inherited it does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@both
def test_a_service_is_asked_over_http(shipped, server):
    ship(shipped, "wsgi.py", SMALL)
    api = service("wsgi:app", server=server)
    assert api.start() > 0
    answer = api.get("/health")
    assert (answer.status, answer.json(), answer.type) == (200, {"status": "ok"}, "application/json")
    assert api.post("/predict", json=[1, 2, 3]).json() == {"length": 3}
    assert api.request("HEAD", "/health").status == 200
    broken = api.get("/boom")
    assert broken.status == 500
    assert broken.log == "wsgi.py, line 17: return {}[\"gone\"]\nKeyError: 'gone'"
    with pytest.raises(CheckFailed) as caught:
        broken.expect_status(200)
    assert caught.value.actual.endswith(f"in its log: {broken.log}")
    assert "KeyError: 'gone'" in api.logs


@both
@pytest.mark.timed("the answer comes before the slow client, which takes four seconds, is done")
def test_many_slow_and_broken_clients_are_served_beside_each_other(shipped, server):
    ship(shipped, "wsgi.py", SMALL)
    api = service("wsgi:app", server=server)
    answers = api.many([post("/predict", json=[0] * length) for length in range(60)])
    assert [answer.json()["length"] for answer in answers] == list(range(60))
    began = time.monotonic()
    with api.slow_client(json=[1, 2], seconds=4.0) as slow:
        assert api.get("/health").seconds < 3
    assert time.monotonic() - began > 1.0
    assert [answer.json() for answer in slow] == [{"length": 2}]
    api.cut_client(json=[1] * 1000, count=9)
    assert api.get("/health").status == 200


@both
def test_its_memory_is_told(shipped, server):
    ship(shipped, "wsgi.py", SMALL)
    api = service("wsgi:app", server=server)
    api.get("/health")
    assert eventually(lambda: len(api.processes()) == {"flask": 1, "gunicorn": 3}[server])
    assert 5 < api.memory() < 500


def test_gunicorn_finishes_what_is_on_its_way_and_the_development_server_does_not(shipped):
    ship(shipped, "wsgi.py", SMALL)
    whole = service("wsgi:app", server="gunicorn").stop(during=post("/predict", json=[1, 2]))
    assert (whole.status, whole.answer.json(), whole.lost) == (0, {"length": 2}, None)
    broken = service("wsgi:app").stop(during=post("/predict", json=[1, 2]))
    assert (broken.status, broken.answer) == (-signal.SIGTERM, None)
    assert "closed without an answer" in broken.lost


def test_services_of_the_same_files_share_a_server_until_the_files_change(shipped):
    ship(shipped, "wsgi.py", SMALL)
    first, second = service("wsgi:app"), service("wsgi:app")
    first.get("/health")
    running = services._pool[first._key]
    second.get("/health")
    assert services._pool[second._key] is running
    ship(shipped, "wsgi.py", SMALL.replace('"ok"', '"well"'))
    assert second.get("/health").json() == {"status": "well"}
    assert running.talk.process.poll() is not None


def test_only_a_few_servers_are_kept(shipped):
    ship(shipped, "wsgi.py", SMALL)
    for number in range(services.MOST_RUNNING + 1):
        service("wsgi:app", env={"NUMBER": str(number)}).get("/health")
    assert len(services._pool) == services.MOST_RUNNING


def test_a_check_may_bring_files_and_environment_variables(shipped):
    ship(shipped, "other.py", "")
    extra = """
        import os
        from pathlib import Path
        from flask import Flask
        import other

        app = Flask(__name__)

        @app.get("/")
        def read():
            return {"text": Path(os.environ["PLACE"], "a.txt").read_text()}
    """
    files = {"extra.py": textwrap.dedent(extra), "folder/a.txt": b"hello"}
    api = service("extra:app", files=files, env={"PLACE": "{scratch}/folder"})
    assert api.get("/").json() == {"text": "hello"}


@both
def test_why_it_does_not_start_is_told_once_and_quickly_again(shipped, server):
    ship(shipped, "wsgi.py", "import flask\n\napp = flask.Flask(unknown_name)\n")
    api = service("wsgi:app", server=server)
    for _ in range(2):
        with pytest.raises(Unmet) as caught:
            api.get("/health")
        assert "starts with" in caught.value.title
        assert "did not start" in caught.value.reason
        shown = "wsgi.py, line 3: app = flask.Flask(unknown_name)\nNameError: name 'unknown_name' is not defined"
        assert caught.value.actual == shown
        assert "imports" in caught.value.hint
    assert not services._pool


def test_a_module_that_is_missing_is_told_without_starting_anything(shipped):
    with pytest.raises(Unmet, match=r"there is no wsgi\.py among the shipped files"):
        service("wsgi:app").get("/")


def test_a_server_that_never_answers_is_given_up(shipped):
    ship(shipped, "wsgi.py", "import time\n\ntime.sleep(100)\n")
    with pytest.raises(Unmet, match="no answer within 1 seconds"):
        service("wsgi:app", start=1.0).get("/health")


@both
def test_a_request_that_hangs_and_a_server_that_ends_are_told_apart(shipped, server):
    ship(shipped, "wsgi.py", SMALL)
    with pytest.raises(CheckFailed, match="no answer to GET /hang within 1 seconds"):
        service("wsgi:app", server=server, timeout=1.0).get("/hang")
    patient = service("wsgi:app", server=server, timeout=6.0)  # so long waits who asked the master's orphan
    with pytest.raises(CheckFailed, match=r"ended while it was asked.*SIGKILL|closed without an answer"):
        patient.get("/end")
    assert patient.get("/health").status == 200  # by a new one


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/garbage", "is not HTTP"),
        ("/headers", "is not HTTP"),
        ("/long", "is not HTTP"),
        ("/endless", "larger than 2 MiB"),
        ("/drip", "within 2 seconds"),
        ("/liar", "ends too early"),
        ("/chunk", "is not HTTP|ends too early"),
        ("/nothing", "closed without an answer"),
    ],
)
def test_whatever_a_server_sends_becomes_a_failed_check(shipped, path, says):
    ship(shipped, "wsgi.py", RAW)
    with pytest.raises(CheckFailed, match=says):
        service("wsgi:app", server="gunicorn", timeout=2.0).get(path)


def answer_of(head: str, body: bytes = b"", request: Request | None = None):
    return parse(request or get("/x"), head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body, 0.0)


@pytest.mark.parametrize(
    ("head", "body", "says"),
    [
        ("HTTP/1.1 200 OK\nContent-Type: text/html", b"<p>no</p>", "not said to be JSON"),
        ("HTTP/1.1 200 OK\nContent-Type: application/json", b"\xff\xfe", "says that it is JSON, and is not"),
        ("HTTP/1.1 200 OK\nContent-Type: application/json", b'{"p": NaN}', "says that it is JSON, and is not"),
        ("HTTP/1.1 200 OK\nContent-Type: application/json", b"[" * 100 + b"]" * 100, "nested too deeply"),
        ("HTTP/1.1 200 OK\nContent-Type: application/json", b"[" * 200_000, "says that it is JSON, and is not"),
    ],
)
def test_json_is_read_with_care(head, body, says):
    with pytest.raises(CheckFailed, match=says):
        answer_of(head, body).json()


@pytest.mark.parametrize(
    ("status", "kind", "body", "says"),
    [
        (200, "application/problem+json", b"{}", "should be refused"),
        (400, "text/html", b"<h1>Bad</h1>", "not said to be problem details"),
        (400, "application/json", b'{"error": "bad"}', "not said to be problem details"),
        (400, "application/problem+json", b"[]", "is no JSON object"),
        (400, "application/problem+json", b'{"title": "Bad"}', "lacks status"),
        (
            400,
            "application/problem+json",
            b'{"title": "Bad", "status": "400", "detail": ""}',
            "status is of another type",
        ),
        (400, "application/problem+json", b'{"title": "Bad", "status": 200, "detail": ""}', "tells another status"),
    ],
)
def test_what_a_problem_lacks_is_told(status, kind, body, says):
    with pytest.raises(CheckFailed, match=says):
        answer_of(f"HTTP/1.1 {status} x\nContent-Type: {kind}", body).problem()


def test_a_problem_is_read():
    body = b'{"type": "about:blank", "title": "Bad", "status": 422, "detail": "why"}'
    answer = answer_of("HTTP/1.1 422 x\nContent-Type: application/problem+json; charset=utf-8", body)
    assert answer.problem(400, 422)["detail"] == "why"
    with pytest.raises(CheckFailed, match="another status") as caught:
        answer.problem(404)
    assert caught.value.expected == "404 Not Found"


def test_a_request_cannot_smuggle_headers():
    with pytest.raises(ValueError, match="line break"):
        get("/x", {"A": "b\r\nC: d"}).raw()


GRADER = """
    import os, sys, time
    os.environ["COURSE_SHIPPED"] = sys.argv[1]
    from course.checks.http import services
    api = services.service("wsgi:app", server="gunicorn")
    api.get("/health")
    print(*[running.talk.process.pid for running in services._pool.values()], flush=True)
    time.sleep(60)
"""


def test_nothing_is_left_when_the_grader_is_killed(shipped, tmp_path):
    ship(shipped, "wsgi.py", SMALL)
    ship(tmp_path, "grader.py", GRADER)
    command = [sys.executable, "-P", str(tmp_path / "grader.py"), str(shipped)]
    grader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with grader.stdout:
        relay = psutil.Process(int(grader.stdout.readline()))
    try:
        # the program beside it, the parent, two workers, of which the second may come a moment later
        assert eventually(lambda: len(relay.children(recursive=True)) == 3)
        family = [relay, *relay.children(recursive=True)]
    finally:
        grader.kill()
        grader.wait()
    assert eventually(lambda: not any(runs(process) for process in family))


@needs_sandbox
@both
def test_in_the_sandbox_it_is_the_same(shipped, tmp_path, warm, monkeypatch, server):
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.owner() == "root" and "pytest" in folder.name:
                folder.chmod(0o755)
        os.chown(shipped, policy.FIRST_UID, policy.FIRST_UID)
    heavy = "    import onnxruntime, sklearn.linear_model\n"
    ship(shipped, "wsgi.py", heavy + SMALL)
    api = service("wsgi:app", server=server)
    assert len(api.many([get("/health")] * 50)) == 50
    assert api.get("/boom").status == 500
    assert "KeyError" in api.logs
    assert api.memory() > 20
    assert api.stop().status == {"flask": -signal.SIGTERM, "gunicorn": 0}[server]


@needs_sandbox
def test_in_the_sandbox_there_is_no_network_but_the_loopback(shipped, warm, monkeypatch):
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    source = """
        import socket
        from flask import Flask

        app = Flask(__name__)

        @app.get("/out")
        def out():
            found = [name for _, name in socket.if_nameindex()]
            return {"interfaces": found}
    """
    ship(shipped, "wsgi.py", source)
    assert service("wsgi:app").get("/out").json() == {"interfaces": ["lo"]}
