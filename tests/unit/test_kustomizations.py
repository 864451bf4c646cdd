"""Kustomizations are built with care: what they name stays within the shipped files, and what they make is judged."""

from __future__ import annotations

import os
import shutil
import sysconfig
import textwrap
from pathlib import Path

import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.kubernetes import kustomizations
from course.checks.kubernetes.manifests import kustomized

BASE = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: late-flights}
    spec:
      replicas: 1
      selector: {matchLabels: {app: late-flights}}
      template:
        metadata: {labels: {app: late-flights}}
        spec:
          containers:
            - {name: api, image: late-flights, ports: [{name: http, containerPort: 8000}]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: late-flights}
    spec:
      selector: {app: late-flights}
      ports: [{port: 80, targetPort: http}]
"""
OVERLAY = """
    resources: [../../base]
    namespace: production
    nameSuffix: -production
    replicas: [{name: late-flights, count: 3}]
    images: [{name: late-flights, newName: localhost:5001/late-flights, newTag: v2}]
    patches:
      - path: resources.yaml
      - target: {kind: Deployment, name: late-flights}
        patch: |-
          - {op: add, path: /spec/minReadySeconds, value: 3}
    configMapGenerator:
      - {name: settings, literals: [LOG_LEVEL=warning]}
"""
PATCH = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: late-flights}
    spec:
      template:
        spec:
          containers:
            - {name: api, resources: {limits: {memory: 256Mi}}}
"""


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ship a base and an overlay, with files replaced."""
    shipped = tmp_path / "shipped"
    monkeypatch.setenv("COURSE_SHIPPED", str(shipped))

    def ship(**more: str) -> None:
        files = {
            "base/kustomization.yaml": "resources: [app.yaml]",
            "base/app.yaml": BASE,
            "overlays/production/kustomization.yaml": OVERLAY,
            "overlays/production/resources.yaml": PATCH,
            **{name.replace("__", "/").replace("_dot_", "."): text for name, text in more.items()},
        }
        for name, text in files.items():
            (shipped / name).parent.mkdir(parents=True, exist_ok=True)
            (shipped / name).write_text(textwrap.dedent(text).lstrip("\n"))

    return ship


@pytest.fixture
def kubectl() -> str:
    """The program; without it, what needs it is skipped."""
    found = shutil.which("kubectl", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip("there is no kubectl")
    return found


def overlay(**changes: str) -> dict[str, str]:
    """The overlay with another kustomization."""
    return {"overlays__production__kustomization_dot_yaml": changes["text"]}


def test_an_overlay_is_built_and_judged(ship, kubectl):
    ship()
    app = kustomized("overlays/production")
    one = app.one("Deployment")
    assert one.name == "late-flights-production"
    assert one.get("spec.replicas") == 3
    assert one.get("spec.minReadySeconds") == 3
    assert one.containers[0].get("image") == "localhost:5001/late-flights:v2"
    assert one.containers[0].get("resources.limits.memory") == "256Mi"
    assert app.one("ConfigMap").name.startswith("settings-production-")
    for rule in ("allowed", "valid", "selectors", "ports", "pinned image"):
        app.expect(rule)
    with pytest.raises(CheckFailed, match=r"overlays/production \(built\) line \d+"):
        app.expect("non-root")
    assert kustomized("base").one("Deployment").get("spec.replicas") == 1


def test_older_fields_that_kustomize_still_accepts_are_built(ship, kubectl):
    text = """
        bases: [../../base]
        commonLabels: {tier: web}
        patchesStrategicMerge: [resources.yaml]
    """
    ship(**overlay(text=text))
    one = kustomized("overlays/production").one("Deployment")
    assert one.pod_labels == {"app": "late-flights", "tier": "web"}
    assert one.containers[0].get("resources.limits.memory") == "256Mi"


def test_fields_of_the_current_kustomize_are_built(ship, kubectl):
    text = """
        resources: [../../base]
        labels: [{pairs: {tier: web}, includeSelectors: true}]
        patches: [{path: resources.yaml, target: {kind: Deployment, name: late-flights}}]
        configMapGenerator: [{name: settings, envs: [settings.env]}]
        replacements:
          - source: {kind: ConfigMap, name: settings, fieldPath: data.LOG_LEVEL}
            targets: [{select: {kind: Service}, fieldPaths: [metadata.labels.level], options: {create: true}}]
    """
    ship(**overlay(text=text), overlays__production__settings_dot_env="LOG_LEVEL=info\n")
    app = kustomized("overlays/production")
    assert app.one("Deployment").pod_labels == {"app": "late-flights", "tier": "web"}
    assert app.one("ConfigMap").mapping("data") == {"LOG_LEVEL": "info"}
    assert app.one("Service").get("metadata.labels.level") == "info"


@pytest.mark.parametrize(
    ("version", "is_graded"), [((1, 20), False), ((1, 21), False), ((1, 22), True), ((1, 40), True), (None, True)]
)
def test_a_kubectl_that_does_not_know_labels_builds_nothing(ship, kubectl, monkeypatch, version, is_graded):
    ship()
    monkeypatch.setattr(kustomizations, "_version", lambda _: version)
    if is_graded:
        assert kustomized("overlays/production").resources
    else:
        with pytest.raises(NotGradedHere, match=r"kubectl 1\.2\d is too old .* install kubectl 1\.22 or newer"):
            kustomized("overlays/production").resources


def test_what_kustomize_says_is_told(ship, kubectl):
    ship(**overlay(text="resources: [missing.yaml]"))
    with pytest.raises(Unmet, match="Kustomize refuses it") as caught:
        kustomized("overlays/production").resources
    assert "missing.yaml" in caught.value.actual


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resources: ['https://example.com/all.yaml']", "names an address"),
        ("resources: ['git@example.com:a/b']", "names an address"),
        ("resources: ['github.com/a/b//base']", "names an address"),
        ("bases: ['ssh://example.com/a']", "names an address"),
        ("components: ['https://example.com/a?ref=v1']", "names an address"),
        ("resources: [../../../../secrets]", "leads out of the shipped files"),
        ("resources: [/etc/kubernetes]", "is a path from the root"),
        ("patchesStrategicMerge: [../../../x.yaml]", "leads out of the shipped files"),
        ("patches: [{path: ../../../../etc/passwd}]", "leads out of the shipped files"),
        ("helmCharts: [{name: a, repo: 'https://example.com'}]", "runs programs or fetches"),
        ("generators: [a.yaml]", "runs programs or fetches"),
        ("transformers: [a.yaml]", "runs programs or fetches"),
    ],
)
def test_what_leads_elsewhere_is_refused_before_it_is_built(ship, monkeypatch, text, reason):
    monkeypatch.setattr(kustomizations.processes, "run", lambda *_, **__: pytest.fail("it was built"))
    ship(**overlay(text=text))
    with pytest.raises(CheckFailed, match=reason):
        kustomized("overlays/production").resources


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resources: app.yaml", "must be a list of paths"),
        ("- a", "holds no names with values"),
        ("resources: [*a]", "undefined alias"),
        ("resources: [../nothing]", "there is no folder overlays/nothing"),
    ],
)
def test_what_cannot_be_read_is_said(ship, text, reason):
    ship(**overlay(text=text))
    with pytest.raises(Unmet, match=reason):
        kustomized("overlays/production").resources


def test_a_folder_that_uses_itself_ends(ship, kubectl):
    ship(**overlay(text="resources: [../production]"))
    with pytest.raises(Unmet, match="Kustomize"):
        kustomized("overlays/production").resources


def test_links_are_refused(ship, tmp_path):
    ship()
    (tmp_path / "shipped/base/more.yaml").symlink_to("/etc/hostname")
    with pytest.raises(CheckFailed, match="is a link"):
        kustomized("overlays/production").resources


def test_without_kubectl_it_is_not_graded_here(ship, monkeypatch):
    ship()
    monkeypatch.setattr(kustomizations.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotGradedHere, match="there is no kubectl"):
        kustomized("overlays/production").resources
