"""Containers of students' images: what they are asked, how they end, and what hostile ones may not do."""

from __future__ import annotations

import signal
import time

import pytest
from docker.errors import NotFound

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.docker.containers import ContainerLimits
from course.checks.http.messages import post

FLIGHT = {"text": "x" * 200}


def not_started(container) -> Unmet:
    with pytest.raises(Unmet) as caught:
        container.start()
    return caught.value


def test_it_is_asked_over_http(start):
    container = start()
    assert 0 < container.start() < 20
    assert container.get("/health").expect_status(200).json() == {"status": "ok"}
    assert container.post("/predict", json=FLIGHT).json()["length"] > 200
    answers = container.many([post("/predict", json=FLIGHT)] * 30, clients=10)
    assert [answer.status for answer in answers] == [200] * 30
    container.cut_client(json=FLIGHT, count=3)
    assert container.get("/health").status == 200


@pytest.mark.timed("the answer comes before the slow client, which takes four seconds, is done")
def test_a_slow_client_keeps_nobody_waiting(start):
    container = start()
    with container.slow_client(json=FLIGHT, seconds=4.0) as slow:
        assert container.get("/health").seconds < 3
    assert slow[0].status == 200


def test_it_is_held_as_tightly_as_said(start, api):
    container = start()
    container.start()
    host = container.details["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"]
    assert host["PidsLimit"] == 128
    assert host["Memory"] == host["MemorySwap"] == 768 << 20
    assert host["NanoCpus"] == 10**9
    assert host["Binds"] is None
    assert not any(container.details["NetworkSettings"]["Ports"].values())
    assert api.inspect_network(container.network)["Internal"]


def test_its_own_health_check_is_asked(start):
    container = start()
    container.expect_healthy()
    assert container.users() == {10001}
    assert 1 < container.memory() < 200


def test_a_service_that_took_long_to_start_is_healthy_once_it_answers(start):
    container = start("import time\ntime.sleep(6)\nfrom server import *\nserve()")
    assert container.start() > 5
    container.expect_healthy()


def test_nothing_that_answers_is_unhealthy(start):
    dockerfile = """
        FROM python:3.11-slim
        COPY *.py /
        HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
        ENTRYPOINT ["python", "/app.py"]
    """
    container = start(dockerfile=dockerfile, entrypoint=["python", "-c", "import time; time.sleep(300)"])
    container.launch()
    assert container.health(60, failures=1) == "unhealthy"
    assert container.health(60) == "unhealthy"


def test_a_health_check_that_fails_is_said_with_what_it_printed(start):
    dockerfile = """
        FROM python:3.11-slim
        COPY *.py /
        HEALTHCHECK --interval=30s CMD curl --fail http://localhost:8000/health
        CMD ["python", "app.py"]
    """
    container = start(dockerfile=dockerfile)
    with pytest.raises(CheckFailed) as caught:
        container.expect_healthy()
    assert "curl: not found" in caught.value.actual


def test_any_user_id_can_run_it(start):
    container = start(user="23456:0")
    assert container.get("/health").status == 200
    assert container.users() == {23456}


def test_it_starts_again(start):
    container = start()
    container.start()
    assert container.restart() > 0
    assert container.get("/health").status == 200


def test_sigterm_ends_it_when_the_request_on_its_way_is_answered(start):
    stop = start().stop(during=post("/predict", json=FLIGHT))
    assert stop.status == 0  # it was not killed, as one is that takes ten seconds
    assert stop.answer.status == 200


def test_who_ignores_sigterm_is_killed_in_time(start):
    app = """
        from server import *
        real = signal.signal
        signal.signal = lambda *_: real(signal.SIGTERM, signal.SIG_IGN)
        serve()
    """
    container = start(app)
    container.start()
    stop = container.stop(timeout=2)
    assert stop.status is None
    assert stop.seconds == 2


def test_a_full_disk_is_full_and_empty_afterwards(start):
    app = """
        from server import *
        def write():
            try:
                with open("/tmp/x", "wb") as file:
                    file.write(bytes(1000))
                return "written"
            except OSError as error:
                return error.strerror
        answers["/write"] = write
        serve()
    """
    container = start(app)
    with container.full_disk():
        assert container.get("/write").json() == "No space left on device"
        assert container.get("/health").status == 200
    assert container.get("/write").json() == "written"


def test_who_writes_elsewhere_than_in_tmp_hears_why(start):
    failure = not_started(start("open('/srv/app/log', 'w')"))
    assert failure.reason == "it ended at once: exit status 1"
    assert "Read-only file system" in failure.actual or "Permission denied" in failure.actual


def test_volumes_are_as_small_as_tmp(start):
    dockerfile = """
        FROM python:3.11-slim
        COPY *.py /
        VOLUME /data
        CMD ["python", "app.py"]
    """
    app = """
        from server import *
        def fill():
            n = 0
            try:
                with open("/data/x", "wb", 0) as file:
                    while n < 100 << 20:
                        n += file.write(bytes(1 << 20))
            except OSError:
                pass
            return n
        answers["/fill"] = fill
        serve()
    """
    assert start(app, dockerfile=dockerfile).get("/fill").json() <= 16 << 20


def test_who_listens_on_the_wrong_interface_hears_it(start):
    failure = not_started(start("from server import *\nserve('127.0.0.1')", start=2))
    assert failure.reason == "it listens on 127.0.0.1:8000, which nobody outside the container reaches"
    assert "0.0.0.0" in failure.hint


def test_who_listens_on_another_port_hears_it(start):
    failure = not_started(start("from server import *\nserve(port=5000)", start=2))
    assert failure.reason == "nothing answers on port 8000; it listens on 5000"


def test_who_ends_at_once_is_shown_the_end_of_its_log(start):
    failure = not_started(start("import gone"))
    assert failure.reason == "it ended at once: exit status 1"
    assert "No module named 'gone'" in failure.actual


def test_a_program_that_is_not_there_is_named(start):
    dockerfile = 'FROM python:3.11-slim\nCOPY *.py /\nCMD ["gunicorn", "app:app"]\n'
    failure = not_started(start(dockerfile=dockerfile))
    assert failure.title == "the container starts"
    assert "gunicorn" in failure.actual


def test_who_answers_nothing_is_given_up(start):
    failure = not_started(start("import time\nprint('waiting', flush=True)\ntime.sleep(600)", start=2))
    assert failure.reason == "no answer on port 8000 within 2 seconds"
    assert failure.actual == "waiting"


def test_who_ends_while_it_is_asked_fails_the_check_and_not_the_grader(start):
    app = "from server import *\nanswers['/end'] = lambda: os._exit(3)\nserve()"
    container = start(app)
    with pytest.raises(CheckFailed, match="ended while it was asked: exit status 3"):
        container.get("/end")
    assert container.get("/health").status == 200


def test_memory_above_the_limit_ends_it(start):
    app = "from server import *\nanswers['/eat'] = lambda: len(bytearray(b'x') * (300 << 20))\nserve()"
    container = start(app, limits=ContainerLimits(memory_mb=100))
    with pytest.raises(CheckFailed, match=r"used more memory than it may|SIGKILL"):
        container.get("/eat")


def test_a_fork_bomb_at_the_start_harms_nobody(start):
    bomb = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.05)\n"
    container = start(bomb, start=4, limits=ContainerLimits(processes=40, processors=0.3, memory_mb=256))
    failure = not_started(container)
    assert "no answer on port 8000" in failure.reason or "ended at once" in failure.reason
    assert start().get("/health").status == 200


def test_it_reaches_neither_engine_nor_host_nor_network(start, listener):
    places, port = listener
    app = f"""
        from server import *
        from concurrent.futures import ThreadPoolExecutor
        def answers_at(place, number):
            one = socket.socket()
            one.settimeout(1)
            return one.connect_ex((place, number)) == 0
        def reach():
            found = [path for path in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(path)]
            places = [(p, n) for p in ("169.254.169.254", "1.1.1.1", {places}) for n in (80, 443, 2375, {port})]
            with ThreadPoolExecutor(40) as pool:
                found += [where for where, open in zip(places, pool.map(answers_at, *zip(*places))) if open]
            try:
                found.append(socket.gethostbyname("pypi.org"))
            except OSError:
                pass
            return found
        answers["/reach"] = reach
        serve()
    """
    assert start(app, timeout=60).get("/reach").json() == []


def test_two_submissions_do_not_see_each_other(start):
    app = """
        from server import *
        def look():
            address = sys.argv[1] if len(sys.argv) > 1 else ""
            return socket.socket().connect_ex((os.environ["OTHER"], 8000)) if "OTHER" in os.environ else None
        answers["/look"] = look
        serve()
    """
    first = start(app)
    first.start()
    networks = first.details["NetworkSettings"]["Networks"].values()
    address = next(iter(networks))["IPAddress"]
    assert start(app, env={"OTHER": address}).get("/look").json() != 0


def test_it_has_no_capabilities_and_gets_none(start):
    app = """
        from server import *
        def status():
            lines = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
            return {key: lines[key].strip() for key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
        answers["/status"] = status
        serve()
    """
    found = start(app, user="0").get("/status").json()
    assert found == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}


def test_a_huge_log_is_cut(start):
    app = """
        from server import *
        def talk():
            for n in range(100_000):
                print("x" * 200)
            print("the end", flush=True)
            return "said"
        answers["/talk"] = talk
        serve()
    """
    container = start(app, timeout=60)
    assert container.get("/talk").json() == "said"
    time.sleep(0.5)
    assert len(container.logs) <= 1 << 16
    assert container.logs.rstrip().endswith("the end")


def test_an_answer_without_end_is_cut(start):
    app = """
        from server import *
        class Endless(Handler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                if self.path == "/endless":
                    while True:
                        self.wfile.write(bytes(1 << 16))
        Handler.do_GET = Endless.do_GET
        serve()
    """
    with pytest.raises(CheckFailed, match="larger than 2 MiB"):
        start(app).get("/endless")


def test_what_was_started_is_removed(start, api):
    container = start()
    container.start()
    name, network = container.id, container.network
    container.close()
    with pytest.raises(NotFound):
        api.inspect_container(name)
    with pytest.raises(NotFound):
        api.inspect_network(network)


def test_a_signal_that_it_does_not_handle_is_its_end(start):
    assert start().stop(signal.SIGKILL).status == 137
