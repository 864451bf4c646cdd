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


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="of which generation does the status speak?")
def old_news_is_no_news(gate: Module) -> None:
    """what the status says of an earlier manifest is not believed, good or bad"""
    for progressing in (DONE, LATE):
        expect_verdict(gate, "progressing", wanted=3, there=3, updated=3, available=3, progressing=progressing, seen=6)
        expect_verdict(gate, "progressing", wanted=3, there=4, updated=1, available=3, progressing=progressing, seen=6)


@question.check(
    points=1,
    hidden=True,
    hint="old pods that are still there, new ones that are not available yet, a number or a condition that is left out",
)
def details_count(gate: Module) -> None:
    """old pods, pods that are not available, and what is left out are seen"""
    expect_verdict(gate, "progressing", wanted=3, there=4, updated=3, available=4, progressing=GOING)
    expect_verdict(gate, "progressing", wanted=3, there=3, updated=3, available=2, progressing=GOING)
    expect_verdict(
        gate, "progressing", wanted=2, there=2, updated=2, available=0, progressing=GOING, available_condition="False"
    )
    expect_verdict(gate, "progressing", wanted=2, there=0, updated=0, available=0, progressing=None)
    expect_verdict(
        gate, "progressing", "3 wanted, 1 available", wanted=3, there=3, updated=3, available=1, progressing=DONE
    )
    expect_verdict(gate, "complete", wanted=0, there=0, updated=0, available=0, progressing=DONE)
    fresh = {"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {}}
    expect(gate.verdict(fresh)).equals("progressing")


@question.check(
    points=1,
    hidden=True,
    hint='is "10" more than "9"? After an undo, which revision is the one before? And if there is only one?',
)
def the_way_back_is_not_a_trap(gate: Module) -> None:
    """revisions are numbers, broken images do not come back, and no way back is an error"""
    many = [replicaset(n, f"late-flights:{n}.0.0") for n in (8, 9, 10, 11)]
    random.Random(2).shuffle(many)
    expect(gate.way_back(many, [])).equals("late-flights:10.0.0")
    undone = [
        replicaset(1, "late-flights:1.0.0"),
        replicaset(3, "late-flights:3.0.0"),
        replicaset(4, "late-flights:2.0.0"),
    ]
    expect(gate.way_back(undone, ["late-flights:3.0.0"])).equals("late-flights:1.0.0")
    for none in ([replicaset(1, "late-flights:1.0.0")], undone[1:]):
        reply = gate.way_back.reply(none, ["late-flights:3.0.0"])
        reply.must_raise("LookupError", "way_back()", because="there is no way back")


### END HIDDEN TESTS
