"""Applications on a real cluster: asked through their Service, rolled out under load, killed, rolled back, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.core.sessions import KEEPER, ROLE_LABEL, SESSION_LABEL
from course.checks.docker import registries
from course.checks.http.messages import get, post
from course.checks.kubernetes import sessions
from course.checks.kubernetes.clusters import deploy
from course.checks.kubernetes.load_reports import LoadReport, RequestRecord

pytestmark = pytest.mark.cluster
FLIGHT = {"carrier": "AA"}
LOAD = [post("/predict", json=FLIGHT), get("/model")]
NEWER = ('value: "1"', 'value: "2"')


def not_started(live) -> Unmet:
    with pytest.raises(Unmet) as caught:
        live.start()
    return caught.value


def fault(name: str) -> tuple[str, str]:
    return 'value: "1"}', f'value: "3"}}\n            - {{name: FAULT, value: {name}}}'


def test_it_is_asked_through_its_service(start):
    live = start()
    assert 0 < live.start() < 60
    assert live.get("/health").expect_status(200).json() == {"status": "ok"}
    assert live.post("/predict", json=FLIGHT).json() == {"probability": 0.25, "carrier": "AA"}
    answers = live.many([post("/predict", json=FLIGHT)] * 40, clients=8)
    assert [answer.status for answer in answers] == [200] * 40
    assert [(pod.name, pod.ready, pod.restarts, pod.state) for pod in live.pods()] == [
        ("late-flights 1", True, 0, "Running"),
        ("late-flights 2", True, 0, "Running"),
    ]
    assert live.pods()[0].image.endswith("/late-flights:v1")
    assert '"status": 200' in live.logs
    assert any("Scaled up" in event for event in live.events())
    counts = live.spread(count=60)
    assert sum(counts) == 60
    assert len(counts) == 2
    assert min(counts) >= 5
    assert start().start() == live.start()  # the same manifests share one namespace


def test_a_newer_version_comes_without_a_lost_request_and_goes_again(start, ship):
    live = start()
    run = live.roll(ship(NEWER), load=LOAD, timeout=120)
    run.expect_finished().expect_no_loss()
    said = [version for _, version in run.versions()]
    assert said[0] == "1"
    assert said[-1] == "2"
    assert run.asked > 50
    back = live.roll_back(load=LOAD, timeout=120)
    back.expect_finished().expect_no_loss()
    assert back.versions()[-1][1] == "1"
    assert live.get("/model").json()["version"] == "1"
    run = live.kill(load=LOAD)
    run.expect_finished()
    assert not run.records[-1].is_lost
    assert min(live.spread(count=20)) > 0  # each is reached again
    assert len([pod for pod in live.pods() if pod.ready]) == 2
    assert live.scale(3).finished
    assert len(live.pods()) == 3


def test_a_broken_version_stalls_and_harms_nobody(start, ship):
    live = start()
    live.start()
    run = live.roll(ship(fault("crash")), load=LOAD, timeout=90)
    run.expect_stalled().expect_no_loss()
    assert "ends with exit status 1" in run.why
    with pytest.raises(CheckFailed, match="the rollout did not finish: the pod late-flights ends"):
        run.expect_finished()
    assert {version for _, version in run.versions()} == {"1"}
    live.roll_back(load=LOAD).expect_finished().expect_no_loss()


def test_what_drops_requests_is_counted(start, ship):
    careless = [
        ("rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", "type: Recreate"),
        ("terminationGracePeriodSeconds: 15", "terminationGracePeriodSeconds: 1"),
        ('["sleep", "3"]', '["true"]'),
    ]
    live = start(*careless)
    run = live.roll(ship(NEWER, *careless), load=LOAD, timeout=90)
    assert run.finished
    assert run.failed > 0
    with pytest.raises(CheckFailed, match="requests were lost during the rollout") as caught:
        run.expect_no_loss()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ([fault("crash")], {}, "the pod late-flights ends with exit status 1"),
        ([fault("greedy"), ("memory: 96Mi", "memory: 48Mi")], {}, "takes more memory than its limit"),
        ([("configMapRef: {name: settings}", "configMapRef: {name: other}")], {}, 'configmap "other" not found'),
        ([fault("never ready")], {"start": 15}, "does not become ready"),
        ([("selector: {app: late-flights}", "selector: {app: other}")], {}, "none stands behind the Service"),
        ([("port: 80, targetPort: http", "port: 80, targetPort: 9000")], {}, "the connection is refused"),
        ([("cpu: 20m", "cpu: 1900m"), ("replicas: 2", "replicas: 3")], {"start": 6}, ""),
    ],
    ids=["crash", "memory", "no ConfigMap", "never ready", "wrong selector", "wrong port", "too much"],
)
def test_what_does_not_start_says_why(start, changes, options, reason):
    problem = not_started(start(*changes, **options))
    assert reason in problem.reason
    if reason.endswith("status 1"):
        assert "there is no model" in problem.actual


def test_an_image_that_is_not_there_is_said_before_anything_is_applied(ship):
    with pytest.raises(CheckFailed, match="the registry has no image"):
        deploy(ship(("late-flights:v1", "course-never-pushed:v1"))).start()


def test_only_images_of_the_course_are_run(ship, image):
    other = ship((f"{registries.address()}/late-flights:v1", "docker.io/evil/miner:v1"))
    with pytest.raises(CheckFailed, match=r"docker\.io/evil/miner:v1 is not run for grading"):
        deploy(other, images={"late-flights": image}).start()


def test_what_is_hostile_is_refused_and_nothing_is_applied(start, monkeypatch):
    monkeypatch.setattr(sessions, "cluster", lambda: pytest.fail("the cluster was asked"))
    grace = "          terminationGracePeriodSeconds: 15".removeprefix("    ")
    for line in ("hostNetwork: true", "hostPID: true", "nodeName: lab-node"):
        with pytest.raises(CheckFailed, match="refused before it was applied"):
            start((grace, f"      {line}")).start()
    with pytest.raises(CheckFailed, match="1000 pods are too many"):
        start(("replicas: 2", "replicas: 1000")).start()


def test_a_rollout_to_what_is_hostile_is_refused_too(start, ship):
    live = start()
    with pytest.raises(CheckFailed, match="keeps an object permanently"):
        live.roll(ship(("{name: settings}\ndata", "{name: settings, finalizers: [example.com/never]}\ndata")))
    assert live.get("/model").json()["version"] == "1"


def test_it_is_held_tightly(start, api):
    live = start(("allowPrivilegeEscalation: false", "runAsUser: 10001"), ('drop: ["ALL"]', "add: []"))
    assert live.get("/token").json() == {"token": False}
    driver = live._driver
    pod = driver.raw_pods()[0]["spec"]
    held = pod["containers"][0]["securityContext"]
    assert held["allowPrivilegeEscalation"] is False
    assert held["capabilities"]["drop"] == ["ALL"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "256Mi"

    def used():  # the cluster counts now and then
        return api.get(f"/api/v1/namespaces/{driver.namespace}/resourcequotas/course")["status"]["used"]["pods"]

    deadline = time.monotonic() + 60
    while used() != "2" and time.monotonic() < deadline:
        time.sleep(0.5)
    assert used() == "2"
    assert api.get(f"/apis/networking.k8s.io/v1/namespaces/{driver.namespace}/networkpolicies/course")


RIGHTS = [
    ("patch", "deployments.apps", "its own", True),
    ("patch", "deployments.apps", "default", False),
    ("create", "pods", "its own", False),
    ("create", "clusterroles.rbac.authorization.k8s.io", None, False),
    ("create", "rolebindings.rbac.authorization.k8s.io", "its own", False),
    ("delete", "namespaces", "default", False),
    ("get", "secrets", "kube-system", False),
]


def test_who_applies_has_rights_in_that_namespace_alone(api):
    session = sessions.cluster()
    own = session.create_application_namespace()
    found = []
    for verb, resource, namespace, _ in RIGHTS:
        name, _, group = resource.partition(".")
        asked = {"verb": verb, "resource": name, "group": group}
        if namespace:
            asked["namespace"] = own if namespace == "its own" else namespace
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": session.applier, "resourceAttributes": asked},
        }
        review = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        found.append((verb, resource, namespace, review["status"]["allowed"]))
    session.remove_namespace(own)
    assert found == RIGHTS


def gone(api, mark: str, seconds: float = 60) -> bool:
    """Whether the namespaces of a session go within a time."""
    deadline = time.monotonic() + seconds
    while left := sessions.labelled(api, mark):
        if all("deletionTimestamp" in one["metadata"] for one in left):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


KILLED = """
    import os, signal, sys
    from course.checks.kubernetes import sessions
    session = sessions.cluster()
    session.create_application_namespace()
    print(session.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_all_is_removed_when_grading_is_killed(api):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED)], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    mark = done.stdout.strip()
    assert mark
    assert gone(api, mark)


def test_what_a_session_left_without_its_keeper_is_removed_by_the_next(api, monkeypatch):
    mark, name = f"test{os.getpid()}", f"course-test{os.getpid()}"
    labels = {SESSION_LABEL: mark, ROLE_LABEL: KEEPER}
    api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    try:
        sessions.sweep(api)
        assert "deletionTimestamp" not in api.get(f"/api/v1/namespaces/{name}")["metadata"]  # its keeper may still come
        mine = sessions.labelled(api, mark)
        monkeypatch.setattr(sessions, "labelled", lambda *_: mine)  # sessions of other graders are young, too
        monkeypatch.setattr(sessions, "_KEEPER_START_S", 0)
        sessions.sweep(api)
        monkeypatch.undo()
        assert gone(api, mark)
    finally:
        api.delete(f"/api/v1/namespaces/{name}")


def test_without_a_cluster_it_is_not_graded_here(ship, image, monkeypatch, tmp_path):
    monkeypatch.setattr(sessions.current, "session", None)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NotGradedHere, match="no kubeconfig names a cluster"):
        deploy(ship(), images={"late-flights": image}).get("/health")
    with pytest.raises(CheckFailed, match="refused before it was applied"):  # policy comes first
        deploy(ship(("replicas: 2", "replicas: 1000")), images={"late-flights": image}).get("/health")


def test_records_tell_how_a_request_was_lost():
    report = LoadReport("the rollout", finished=True)
    report.records = [
        RequestRecord(0.0, "GET /model", 200, "complete", 0.01, b'{"version": "1"}'),
        RequestRecord(0.1, "GET /model", 0, "refused", 0.01),
        RequestRecord(0.2, "GET /model", 503, "complete", 0.01, b"<html>"),
        RequestRecord(0.3, "GET /model", 404, "complete", 0.01, b"{"),
    ]
    assert (report.asked, report.failed, report.versions()) == (4, 2, [(0.0, "1")])
    with pytest.raises(CheckFailed) as caught:
        report.expect_no_loss()
    assert caught.value.actual == "GET /model: the answer was 503; the connection was refused"
    with pytest.raises(CheckFailed, match="though the new pods do not work"):
        report.expect_stalled()
