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


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="while it waits in CrashLoopBackOff, or runs once more, lastState says how it ended",
)
def the_last_end_counts(program: Module) -> None:
    """a container that runs again, or waits to be started again, is not healthy"""
    memory = [pod(container(LOOPS, KILLED, restarts=4)), pod(container(RUNS, KILLED, restarts=1, ready=True))]
    says(program, "memory", *((patient, [], "the last end was for its memory") for patient in memory))
    crashes = [pod(container(LOOPS, FAILED, restarts=2)), pod(container(RUNS, FAILED, restarts=1, ready=True))]
    says(program, "crash", *((patient, [], "the last end was with an error") for patient in crashes))


@question.check(
    points=1,
    hidden=True,
    hint="while it runs once more, its events still say that the liveness probe failed",
)
def a_failed_liveness_probe_counts(program: Module) -> None:
    """a container that runs again after its liveness probe failed is not healthy"""
    probed = pod(container(RUNS, STOPPED, restarts=2, ready=True))
    says(program, "probe", (probed, [REFUSED, NOT_ALIVE], "the liveness probe failed, and it runs again"))


@question.check(
    points=1,
    hidden=True,
    hint="Unhealthy is said of all three probes, and while a container starts it is nothing unusual",
)
def only_the_liveness_probe_restarts(program: Module) -> None:
    """events of readiness and startup probes do not explain an end, and do not make a ready pod unhealthy"""
    says(
        program, "crash", (pod(container(LOOPS, FAILED, restarts=2)), [REFUSED, NOT_READY], "it crashed while starting")
    )
    says(program, "ready", (pod(container(RUNS, ready=True)), [REFUSED, NOT_READY], "probes failed at the start"))


@question.check(
    points=1,
    hidden=True,
    hint="go through all containers, also those that run before the others; a pod may have no status of containers yet",
)
def every_container_counts(program: Module) -> None:
    """pods with several containers, with containers that prepare, and with none yet"""
    good, helper = container(RUNS, ready=True), container(LOOPS, FAILED, name="helper", restarts=2)
    says(
        program,
        "crash",
        (pod(good, helper), [], "the second container crashed"),
        (pod(helper, good), [], "the first crashed"),
    )
    prepared, preparing = container(STOPPED, name="fetch", ready=True), container(NO_IMAGE, name="fetch")
    says(program, "ready", (pod(good, preparing=[prepared]), [], "an init container has done its work"))
    says(
        program,
        "image",
        (pod(container(CREATED), phase="Pending", preparing=[preparing]), [], "an init container has no image"),
    )
    says(program, "starting", (pod(phase="Pending"), [], "no container has a status yet"))
    says(program, "readiness", (pod(good, container(RUNS, name="helper")), [], "one of two containers is not ready"))


@question.check(
    points=1,
    hidden=True,
    hint="several reasons mean the same; and of several, the one that stands higher in the table counts",
)
def the_table_has_an_order(program: Module) -> None:
    """other reasons that mean the same, and several at once"""
    for reason in ("ErrImagePull", "InvalidImageName"):
        says(
            program,
            "image",
            (pod(container(state("waiting", reason=reason)), phase="Pending"), [], f"the reason is {reason}"),
        )
    both = pod(container(NO_MAP), container(NO_IMAGE, name="helper"), phase="Pending")
    says(program, "image", (both, [], "one container lacks its image and another a ConfigMap"))
    ended = pod(container(FAILED), container(LOOPS, KILLED, name="helper"))
    says(program, "memory", (ended, [], "one container crashed and another was killed for its memory"))
    mixed = pod(container(NO_MAP, name="helper"), container(LOOPS, FAILED, restarts=1))
    says(program, "configuration", (mixed, [], "one container crashed and another lacks a ConfigMap"))


### END HIDDEN TESTS
