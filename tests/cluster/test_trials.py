"""Trials on a cluster isolate one thing from another: what the API server takes, what is inside, who runs beside."""

from __future__ import annotations

import pytest

from course.checks.core.expectations import CheckFailed
from course.checks.kubernetes import trials
from course.checks.kubernetes.stand_ins import stand_in

PLACE = ('{name: VERSION, value: "1"}', "{name: TMPDIR, value: /dev/shm}")  # where the stand-in may write
pytestmark = pytest.mark.cluster


def test_the_api_server_judges_objects_and_pods(ship):
    good = ship()
    assert trials.accepted(good)
    assert trials.pods_accepted(good)
    with pytest.raises(CheckFailed, match="does not match template"):
        trials.accepted(ship(("matchLabels: {app: late-flights}", "matchLabels: {app: flights}")))
    with pytest.raises(CheckFailed, match=r"must specify limits\.memory"):
        trials.pods_accepted(ship(("limits: {memory: 96Mi}", "limits: {cpu: 1}")))


def test_a_pod_is_looked_into_whatever_else_is_wrong(ship):
    app = ship(PLACE, ("path: /ready", "path: /nowhere"), ("port: 80, targetPort: http", "port: 80, targetPort: 9"))
    seen = trials.observed(app, app.one("Deployment"), "late-flights", lambda: stand_in("1"))
    assert seen is not None
    assert seen.inside is not None
    assert (seen.inside["user"], seen.inside["writable"], seen.problem) == (10001, [], None)
    assert "targetPort" in str(seen.unreached)


def test_what_was_found_is_left_out_so_that_the_rest_runs(ship):
    app = ship(
        ("replicas: 2", "replica: 2"),
        ("path: /ready", "path: /nowhere"),
        ("selector: {app: late-flights}", "selector: {app: flights}"),
        ("name: settings}}", "name: missing}}"),
    )
    assert app.findings("valid", "probes", "selectors", "references")
    mended = trials.without_faults(app)
    assert not mended.findings("valid", "selectors", "ports")
    live = trials_deploy(mended)
    assert live.get("/model").status == 200
    live.close()


def trials_deploy(app):
    from course.checks.kubernetes.clusters import deploy

    return deploy(app, images={"late-flights": stand_in("1")}, start=60)


def test_several_run_side_by_side_and_each_has_its_own_fault(ship):
    good = ship(PLACE, ("replicas: 2", "replicas: 1"))
    name = "other"
    text = (("name: late-flights", f"name: {name}"), ("app: late-flights", f"app: {name}"))
    other = ship(*text, ("REGISTRY/late-flights:v1".replace("REGISTRY", registry()), f"{registry()}/nobody:v1"))
    states = trials.side_by_side(
        {"late-flights": good, name: other}, {"late-flights": stand_in("1")}, seconds=60, steady=1
    )
    assert states["late-flights"] is None
    assert "nobody" in str(states[name])


def registry() -> str:
    from course.checks.docker import registries

    return registries.address()
