"""Are the parts of load.py right: the schedule, the summary of a run, and the knee?"""

from typing import Any

from course.checks import Module, Question, as_dict, as_list, as_number, expect, fail, fixture, module

question = Question("The parts of load.py", points=6)


@fixture
def load() -> Module:
    """The shipped module, called in a process of its own."""
    return module("load.py")


def row(number: int, latency: float, kind: str = "ok", lag: float = 0.0, replica: str = "a") -> dict[str, Any]:
    """One request of a run at 10 per second."""
    due = number / 10
    return {"intended": due, "started": due + lag, "latency": latency, "kind": kind, "replica": replica}


def step(rate: int, p99: float | None, kept: bool = True, sent: int = 100, ok: int = 100) -> dict[str, Any]:
    """The summary of a run."""
    return {"rate": rate, "sent": sent, "ok": ok, "errors": {}, "p50": p99, "p95": p99, "p99": p99, "kept": kept}


@question.check(points=1)
def the_schedule_is_even(load: Module) -> None:
    """schedule(rate, seconds) returns evenly spaced times that begin at 0"""
    expect(as_list(load.schedule(4, 2)), "schedule(4, 2)").is_close([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75], abs=1e-9)


@question.check(points=1)
def percentiles_are_of_good_answers(load: Module) -> None:
    """the percentiles of 100 latencies are right, and errors do not change them"""
    rows = [row(number, (number * 37 % 100 + 1) / 1000) for number in range(100)]
    rows += [row(100, 9.0, "timeout"), row(101, 0.0, "503"), row(102, 0.0, "503")]
    found = as_dict(load.summarise(rows, 10))
    for key, value in (("p50", 0.050), ("p95", 0.095), ("p99", 0.099)):
        expect(as_number(found.get(key), key), key).is_close(value, abs=0.0011)
    expect(found.get("errors"), "errors").equals({"timeout": 1, "503": 2})


@question.check(points=1)
def the_knee_is_found(load: Module) -> None:
    """knee(steps, target) is the highest rate that meets the target"""
    steps = [step(10, 0.05), step(20, 0.06), step(40, 0.3), step(80, 2.0)]
    expect(load.knee(steps, 0.1), "knee(steps, 0.1)").equals(20)


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="what are the percentiles when no request succeeded?")
def a_run_without_success_is_summarised(load: Module) -> None:
    """a run without one good answer has no percentiles, and its errors"""
    found = as_dict(load.summarise([row(0, 1.0, "timeout"), row(1, 0.1, "refused")], 10))
    expect(found.get("p99"), "p99").equals(None)
    expect([found.get("sent"), found.get("ok")], "sent and ok").equals([2, 0])


@question.check(points=1, hidden=True, hint="compare `started` with `intended`")
def a_rate_that_was_not_kept_is_told(load: Module) -> None:
    """`kept` is true when requests began in time, and false when they began later and later"""
    on_time = as_dict(load.summarise([row(number, 0.01, lag=0.001) for number in range(50)], 10))
    behind = as_dict(load.summarise([row(number, 0.01, lag=number / 20) for number in range(50)], 10))
    expect([on_time.get("kept"), behind.get("kept")], "kept").equals([True, False])


@question.check(
    points=1, hidden=True, hint="which of target, errors and `kept` must a step meet? What of the steps after?"
)
def a_step_that_only_looks_good_is_no_knee(load: Module) -> None:
    """a step with errors, without the rate, or above one that failed is not the knee"""
    bad = {
        "errors": [step(10, 0.05), step(20, 0.05, ok=80)],
        "rate not kept": [step(10, 0.05), step(20, 0.05, kept=False)],
        "nothing succeeded": [step(10, 0.05), step(20, None, ok=0)],
        "good again after a failure": [step(10, 0.05), step(20, 0.9), step(40, 0.05)],
    }
    for what, steps in bad.items():
        if (found := load.knee(steps, 0.1)) != 10:
            fail(f"{what}: the knee", expected="10", actual=found)
    expect(load.knee([step(10, 3.0)], 0.1), "the knee where no step meets the target").equals(None)


### END HIDDEN TESTS
