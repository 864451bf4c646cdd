"""Does the function tell a finished rollout from one that goes on or has stalled, and find the way back?"""

import random
from typing import Any

from course.checks import Module, Question, expect, fixture, module

question = Question("Is it done, and where is the way back?", points=6)
DONE = ("True", "NewReplicaSetAvailable")
GOING = ("True", "ReplicaSetUpdated")
LATE = ("False", "ProgressDeadlineExceeded")


@fixture
def gate() -> Module:
    """The shipped module, called in a process of its own."""
    return module("gate.py")


def deployment(
    wanted: int,
    there: int,
    updated: int,
    available: int,
    progressing: tuple[str, str] | None,
    seen: int = 7,
    generation: int = 7,
    available_condition: str = "True",
) -> dict[str, Any]:
    """A Deployment as the cluster tells of it: numbers that are 0 are left out."""
    numbers = {"replicas": there, "updatedReplicas": updated, "availableReplicas": available}
    conditions = [{"type": "Available", "status": available_condition, "reason": "MinimumReplicasAvailable"}]
    if progressing:
        conditions.append({"type": "Progressing", "status": progressing[0], "reason": progressing[1]})
    status = {"observedGeneration": seen, "conditions": conditions, **{key: n for key, n in numbers.items() if n}}
    return {
        "metadata": {"name": "late-flights", "generation": generation},
        "spec": {"replicas": wanted},
        "status": status,
    }


def replicaset(revision: int, image: str) -> dict[str, Any]:
    """The ReplicaSet of one revision."""
    template = {"spec": {"containers": [{"name": "api", "image": image}, {"name": "logs", "image": "logs:7"}]}}
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    return {"metadata": {"annotations": annotations}, "spec": {"replicas": 0, "template": template}}


def expect_verdict(gate: Module, right: str, what: str = "", **state: Any) -> None:
    """The verdict on a state is as expected."""
    expect(gate.verdict(deployment(**state)), f"the verdict ({what})").equals(right)


@question.check(points=1)
def complete_is_told_from_progressing(gate: Module) -> None:
    """complete and progressing are distinguished"""
    expect_verdict(
        gate, "complete", "all 3 pods are new and ready", wanted=3, there=3, updated=3, available=3, progressing=DONE
    )
    expect_verdict(
        gate, "progressing", "1 of 3 pods is new", wanted=3, there=4, updated=1, available=3, progressing=GOING
    )


@question.check(points=1)
def stalled_is_told_from_progressing(gate: Module) -> None:
    """stalled and progressing are distinguished"""
    expect_verdict(
        gate, "progressing", "2 of 3 pods are new", wanted=3, there=4, updated=2, available=3, progressing=GOING
    )
    expect_verdict(
        gate, "stalled", "a new pod never became ready", wanted=3, there=4, updated=1, available=3, progressing=LATE
    )


@question.check(points=1)
def the_way_back_is_the_revision_before(gate: Module) -> None:
    """the way back leads to the revision before the current one"""
    made = [
        replicaset(1, "late-flights:1.0.0"),
        replicaset(2, "late-flights:2.0.0"),
        replicaset(3, "late-flights:3.0.0"),
    ]
    expect(gate.way_back(made, []), "way_back() from revision 3").equals("late-flights:2.0.0")
    expect(gate.way_back(made[::-1], []), "way_back(), with the revisions in another order").equals(
        "late-flights:2.0.0"
    )
