"""Does the function say why a pod does not start, from its status and events?"""

from collections.abc import Sequence
from typing import Any

from course.checks import Module, Question, fail, fixture, module

question = Question("Why a pod does not start", points=8)


@fixture
def program() -> Module:
    """The shipped module, called in a process of its own."""
    return module("diagnose.py")


def state(kind: str, **details: Any) -> dict[str, Any]:
    return {kind: details}


def container(
    now: dict[str, Any],
    before: dict[str, Any] | None = None,
    *,
    name: str = "web",
    ready: bool = False,
    restarts: int = 0,
) -> dict[str, Any]:
    """The status of one container, as the API shows it."""
    return {"name": name, "image": "localhost:5001/late-flights:1.0.0", "ready": ready, "restartCount": restarts} | {
        "state": now,
        "lastState": before or {},
    }


def pod(
    *statuses: dict[str, Any],
    phase: str = "Running",
    scheduled: bool = True,
    preparing: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """A pod, as the API shows it."""
    node = {"type": "PodScheduled", "status": str(scheduled)}
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "False"}, node], **more}
    if statuses:
        status["containerStatuses"] = list(statuses)
    if preparing:
        status["initContainerStatuses"] = list(preparing)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-6c9f7d5b8-x2x4z"}, "status": status}


def event(reason: str, message: str) -> dict[str, Any]:
    return {"type": "Warning", "reason": reason, "message": message, "count": 2, "lastTimestamp": None}


RUNS = state("running", startedAt="2026-03-02T08:15:00Z")
CREATED = state("waiting", reason="ContainerCreating")
LOOPS = state("waiting", reason="CrashLoopBackOff", message="back-off 20s restarting failed container")
KILLED = state("terminated", reason="OOMKilled", exitCode=137)
FAILED = state("terminated", reason="Error", exitCode=3)
STOPPED = state("terminated", reason="Completed", exitCode=0)
REFUSED = event("Unhealthy", 'Startup probe failed: Get "http://10.2.0.7:8000/health": connect: connection refused')
NOT_READY = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
NOT_ALIVE = event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404")
RESTARTED = event("Killing", "Container web failed liveness probe, will be restarted")
NO_IMAGE = state("waiting", reason="ImagePullBackOff", message='Back-off pulling image "late:1"')
NO_MAP = state("waiting", reason="CreateContainerConfigError", message='configmap "x" not found')


def says(program: Module, word: str, *cases: tuple[dict[str, Any], list[dict[str, Any]], str]) -> None:
    """Fail unless the student's function gives the word for each case."""
    for patient, events, what in cases:
        said = program.diagnose(patient, events)
        if said != word:
            fail(f"diagnose() gives the wrong word for a pod: {what}", expected=word, actual=said)


@question.check(points=1)
def pods_that_do_not_get_to_a_container(program: Module) -> None:
    """no room on a node, no image, no configuration"""
    says(
        program,
        "scheduling",
        (pod(phase="Pending", scheduled=False), [event("FailedScheduling", "0/1 nodes")], "no node takes it"),
    )
    says(
        program,
        "image",
        (pod(container(NO_IMAGE), phase="Pending"), [event("Failed", "ErrImagePull")], "the image is not found"),
    )
    says(program, "configuration", (pod(container(NO_MAP), phase="Pending"), [], "a ConfigMap is missing"))


@question.check(points=1)
def pods_that_end(program: Module) -> None:
    """too little memory, a crash, a liveness probe that fails"""
    says(program, "memory", (pod(container(KILLED, restarts=1)), [REFUSED], "the container was killed for its memory"))
    says(program, "crash", (pod(container(FAILED)), [], "the container ended with exit code 3"))
    looping = pod(container(LOOPS, STOPPED, restarts=3))
    says(program, "probe", (looping, [NOT_ALIVE, RESTARTED], "the liveness probe failed, and it was started again"))


@question.check(points=1)
def pods_that_run(program: Module) -> None:
    """starting, not ready, ready"""
    says(program, "starting", (pod(container(CREATED), phase="Pending"), [], "the container is being created"))
    says(program, "readiness", (pod(container(RUNS)), [NOT_READY], "the readiness probe fails"))
    says(program, "ready", (pod(container(RUNS, ready=True)), [], "everything is ready"))
