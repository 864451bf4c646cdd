"""A shipped configuration of nginx, which is started and asked for real, and may do whatever it likes."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from course import rollouts
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.http.messages import post
from course.checks.http.services import Peer
from course.checks.nginx.proxies import proxy
from course.grading.sandbox import launcher, policy, zygote

pytestmark = pytest.mark.skipif(rollouts.nginx() is None, reason="nginx is not installed (make extra LAB=07)")

PLAIN = """
events {}
http {
    access_log off;
    server {
        listen ${LISTEN};
        location / { mirror /copy; proxy_pass http://${STABLE}; }
        location = /copy { internal; proxy_pass http://${SHADOW}$request_uri; proxy_read_timeout 100ms; }
        location = /word { return 200 "${WORD}"; }
    }
}
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that ships a template and returns nginx before two backends; all of it ends with the test."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    made = []

    def start(template: str):
        (tmp_path / "nginx.conf.template").write_text(template)
        made.append(proxy("nginx.conf.template", values={"WORD": "hello"}, peers=("stable", "shadow")))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def sandboxed(warm, tmp_path, monkeypatch):
    """What a check starts is in the sandbox."""
    if policy.why_not() is not None:
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    tmp_path.chmod(0o755)
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)


def test_requests_pass_to_the_backend_and_a_copy_to_the_shadow(start):
    nginx = start(PLAIN)
    assert nginx.get("/word").text == "hello"
    nginx.heard("stable")
    nginx.heard("shadow")
    assert nginx.post("/predict?x=1", json={"a": 1}).text == "stable"
    assert [one.line for one in nginx.heard("stable")] == ["POST /predict?x=1 HTTP/1.1"]
    (copy,) = nginx.heard("shadow", 5.0)
    assert copy.body == b'{"a": 1}'


def test_a_conversation_gets_all_answers_also_when_nginx_closes_the_connection(start):
    for template in (PLAIN, PLAIN.replace("access_log off;", "access_log off; keepalive_timeout 0;")):
        nginx = start(template)
        requests = [post(f"/{number}", json={}, headers={"Connection": "keep-alive"}) for number in range(4)]
        assert [answer.status for answer in nginx.converse(requests)] == [200] * 4


def test_after_a_restart_the_backends_are_the_same(start):
    nginx = start(PLAIN)
    nginx.start()
    nginx.behave("stable", Peer(body=b"as before"))
    nginx.restart()
    assert nginx.get("/x").text == "as before"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (PLAIN.replace("proxy_pass", "proxy_path"), 'unknown directive "proxy_path" in nginx.conf:7'),
        ("events {} http { server { listen ${LISTEN}; ", "unexpected end of file"),
        ("# ${LISTEN}", 'no "events" section in configuration'),
        ("events {} http {}", "a server { … } with listen ${LISTEN}; is missing"),
        (PLAIN.replace("events {}", "daemon on;\nevents {}"), "leave them out"),
        ("load_module /nowhere.so; " + PLAIN, "/nowhere.so"),
    ],
)
def test_what_does_not_start_is_reported_with_the_reason_of_nginx(start, template, reason):
    with pytest.raises(Unmet) as caught:
        start(template).get("/")
    assert reason in f"{caught.value.actual} {caught.value.hint}"


def test_nothing_is_left_when_the_check_ends(start):
    nginx = start(PLAIN.replace("events {}", "worker_processes 2;\nevents {}"))
    nginx.start()
    began = [one for one in psutil.Process().children(recursive=True) if one.name() == "nginx"]
    assert len(began) == 1
    nginx.close()
    psutil.wait_procs(began, timeout=20)
    assert [one for one in began if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def test_the_stage_of_the_notebook_starts_and_ends(tmp_path):
    with rollouts.Stage(PLAIN.replace("${WORD}", "hello")) as stage:
        assert stage.ask(["P-1", "P-2"]) == ["stable", "stable"]
        stage.status["stable"] = 503
        assert stage.ask(["P-1"]) == ["503"]
    assert stage._process.returncode is not None
    with pytest.raises(RuntimeError, match="unknown directive"), rollouts.Stage("eventz {}"):
        pass


def test_counters_grow_until_a_restart():
    series = rollouts.scrape(rollouts.Canary(restarts=((), (30,)), minutes=40), seed=1)
    canary = series[series["version"] == "canary"].set_index("minute")
    assert list(series.columns) == rollouts.COLUMNS
    assert list(canary.index[canary["requests"].diff() < 0]) == [30]
    assert rollouts.until(series, 3)["minute"].max() == 3


# what a hostile configuration tries, in the sandbox

READS = """
events {}
http {
    access_log off;
    server { listen ${LISTEN}; location / { root /; autoindex on; } }
}
"""


def test_a_configuration_reads_only_what_student_code_may_read(start, sandboxed, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "gradebook.db"
    secret.write_text("canary-of-the-test")
    nginx = start(READS)
    assert nginx.get(str(secret)).status == 404
    assert nginx.get("/etc/shadow").status in (403, 404)


def test_a_configuration_writes_only_into_its_own_folder(start, sandboxed, tmp_path):
    target = tmp_path / "log"
    with pytest.raises(Unmet, match="does not start") as caught:
        start(PLAIN.replace("access_log off", f"access_log {target}")).get("/")
    assert "log" in str(caught.value.actual)
    assert not target.exists()


def test_a_configuration_that_floods_is_stopped(start, sandboxed):
    endless = PLAIN.replace("proxy_pass http://${STABLE};", "proxy_pass http://${LISTEN}/;")
    nginx = start(endless)
    nginx.timeout = 3.0
    with contextlib.suppress(CheckFailed):
        assert nginx.get("/x").status >= 400
