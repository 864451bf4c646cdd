"""Does load.py measure what servers of known behaviour really do?"""

from course.checks import Question, as_dict, as_number, expect, fail, fixture
from course.checks.load.generators import (
    Calibration,
    Run,
    calibrate,
    measured,
    must_agree,
    percentile,
    served,
)
from course.known_servers import Behaviour

question = Question("An open loop", points=9, deadline_s=240)
STEADY = Behaviour(replicas={"a": 0.08})
FAULTY = Behaviour(faults={"503": 5, "reset": 7, "hang": 11})


def must_have_sent(run: Run, count: int) -> None:
    """Fail where the server saw other requests than the report claims."""
    sent = sum(as_number(step.get("sent"), "sent of the report") for step in run.steps)
    if not len(run.log) == sent == count:
        fail("the requests", expected=f"{count} sent", actual=f"{sent:g} reported; the server took {len(run.log)}")


@question.check(points=2)
def a_delay_is_measured() -> None:
    """a server that takes 80 ms per request is measured as such, and every request is sent"""
    overhead = calibrate(STEADY, 20, 1)
    run = measured(STEADY, [20], 1.5)
    must_have_sent(run, 30)
    for key, share in (("p50", 0.5), ("p99", 0.99)):
        must_agree(run.steps[0], key, percentile(served(run.log), share), overhead.overhead(share))


@question.check(points=1)
def errors_are_told_apart() -> None:
    """503s, broken connections and timeouts are counted apart"""
    run = measured(FAULTY, [20], 1.5, timeout=2)
    names = {"503": "503", "reset": "reset", "hang": "timeout"}
    sent = [taken.kind for taken in run.log]
    truth = {names[kind]: sent.count(kind) for kind in names if kind in sent}
    expect(run.steps[0].get("errors"), "errors of the report").equals(truth)


### BEGIN HIDDEN TESTS
STALLS = Behaviour(stall=(0.5, 1.5))
RATE, SECONDS = 25, 2.4


@fixture
def calm() -> Calibration:
    """What the course's own client saw of the stall."""
    return calibrate(STALLS, RATE, SECONDS)


@fixture
def stalled() -> Run:
    """What load.py reported of the stall."""
    return measured(STALLS, [RATE], SECONDS, timeout=5)


def during(run: Run | Calibration) -> int:
    """How many requests came while nothing was answered."""
    begun = run.log[0].came
    return sum(0.5 <= taken.came - begun < 1.9 for taken in run.log)


@question.check(points=2, hidden=True, hint="does the next request wait for an answer, or for a free thread?")
def a_stall_does_not_stop_it(calm: Calibration, stalled: Run) -> None:
    """requests go on being sent while the server stalls"""
    must_have_sent(stalled, int(RATE * SECONDS))
    if during(stalled) < 0.7 * during(calm):
        fail("requests sent during a stall", expected=f"about {during(calm)}", actual=during(stalled))


@question.check(points=2, hidden=True, hint="a latency begins when the request should have been sent")
def a_stall_is_measured(calm: Calibration, stalled: Run) -> None:
    """the latencies show the whole stall"""
    (step,) = stalled.steps
    for key, share in (("p50", 0.5), ("p99", 0.99)):
        truth = percentile(calm.latencies, share)
        if not 0.6 * truth - 0.1 <= as_number(step.get(key), key) <= 1.6 * truth + 0.3:
            fail(f"{key} with a stall of 1.5 s", expected=f"about {truth:.2f} s", actual=step.get(key))


@question.check(points=1, hidden=True, hint="the header X-Replica names who answered; is it in the rows?")
def a_slow_replica_is_seen() -> None:
    """a slow replica, and one that gets too little, are seen in `replicas`"""
    uneven = Behaviour(replicas={"red": 0.02, "blue": 0.4}, turns=("red", "red", "blue"))
    run = measured(uneven, [20], 1.5)
    found = as_dict(run.steps[0].get("replicas"), "replicas of the report")
    counts = {name: as_number(as_dict(found.get(name), name).get("requests"), "requests") for name in uneven.replicas}
    expect(counts, "requests per replica").equals({"red": 20, "blue": 10})
    medians = [as_number(found[name].get("p50"), "p50 of a replica") for name in ("red", "blue")]
    expect(medians[1], "p50 of the slow replica").is_at_least(0.36)
    expect(medians[0], "p50 of the fast replica").is_at_most(medians[1] - 0.05)


@question.check(points=1, hidden=True, hint="the knee is below the rate at which the server falls behind")
def saturation_is_seen() -> None:
    """a server that takes 40 requests per second shows its knee"""
    run = measured(Behaviour(replicas={"a": 0.025}, at_once=1), [10, 120], 1, timeout=5, target=0.6)
    last = as_number(run.steps[1].get("p99"), "p99")
    expect(last, "p99 at 120 requests per second").is_at_least(1.5)  # 120 take 3 s, and are sent within 1
    calm = as_number(run.steps[0].get("p99"), "p99") <= 0.6 and run.steps[0].get("kept") is True
    expect(run.knee, "the knee").equals(10 if calm else None)


### END HIDDEN TESTS
