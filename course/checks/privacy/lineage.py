"""Whether OpenLineage events say what was really read and written: `agrees(ran)`."""

from __future__ import annotations

from typing import Any

from course.checks.core.expectations import fail
from course.checks.privacy.trials import Ran

TYPES = ("START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER")


def of_step(ran: Ran, name: str) -> list[dict[str, Any]]:
    """The events of one step, in order."""
    return [event for event in ran.events if _inner(event, "job").get("name") == name]


def agrees(ran: Ran, *, ends: str = "COMPLETE", only: str | None = None) -> None:
    """Fail unless each step that ran has one START and one end, with the files that it really read and wrote.

    Args:
        ran: the pipeline.
        ends: how the last step that ran must end; those before it are COMPLETE.
        only: look at this step only.
    """
    runs: list[str] = []
    for number, step in enumerate(ran.opened):
        name = str(step.get("name"))
        end = ends if number == len(ran.opened) - 1 else "COMPLETE"
        if only not in (None, name):
            continue
        events = of_step(ran, name)
        kinds = [str(event.get("eventType")) for event in events]
        if not events:
            names = sorted({str(_inner(event, "job").get("name"))[:50] for event in ran.events})
            fail(f"no event has the job {name}", actual=", ".join(names)[:200] or "no events at all")
        if [kind for kind in kinds if kind not in ("RUNNING", "OTHER")] != ["START", end]:
            fail(f"the step {name} has other events", expected=f"START, {end}", actual=", ".join(kinds)[:200])
        ids = {str(_inner(event, "run").get("runId")) for event in events}
        if len(ids) != 1:
            fail(f"the events of the step {name} have {len(ids)} run ids, and belong to one run")
        runs += ids
        for kind, key in (("inputs", "reads"), ("outputs", "writes")):
            right, there = set(map(str, step.get(key, []))), datasets(events, kind)
            if right != there:
                fail(
                    f"the {kind} of {name} are not the files that it {'read' if kind == 'inputs' else 'wrote'}",
                    expected=", ".join(sorted(right)) or "none",
                    actual=", ".join(sorted(there))[:300] or "none",
                )
    if len(set(runs)) < len(runs):
        fail("two steps share a run id", hint="each run of each job has a UUID of its own")


def datasets(events: list[dict[str, Any]], kind: str) -> set[str]:
    """The names of the inputs or outputs in some events."""
    found = set()
    for event in events:
        for one in event.get(kind) or []:
            name = one.get("name") if isinstance(one, dict) else None
            if isinstance(name, str):
                found.add(name.removeprefix("./"))
    return found


def _inner(event: dict[str, Any], key: str) -> dict[str, Any]:
    value = event.get(key)
    return value if isinstance(value, dict) else {}
