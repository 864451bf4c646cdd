"""What a container is given as environment: from where, and who wins."""

from __future__ import annotations

from course.checks.kubernetes.environments import environment
from course.checks.kubernetes.manifests import Manifests
from course.checks.kubernetes.resource_files import read

TEXT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {A: "1", B: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {C: bWFkZS11cA==, D: "no base64 at all"}
stringData: {E: plain}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: late}
spec:
  template:
    spec:
      containers:
        - name: api
          envFrom:
            - configMapRef: {name: settings}
            - {secretRef: {name: keys}, prefix: K_}
            - configMapRef: {name: missing}
          env:
            - {name: B, value: "3"}
            - {name: F, valueFrom: {secretKeyRef: {name: keys, key: C}}}
            - {name: G, valueFrom: {configMapKeyRef: {name: settings, key: missing}}}
            - {name: H, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
"""


def test_every_source_is_read_and_env_wins():
    app = Manifests("text", lambda: list(read(TEXT, "text.yaml")))
    assert environment(app, app.one("Deployment").containers[0]) == {
        "A": ("ConfigMap", "1"),
        "B": ("the Deployment itself", "3"),
        "K_C": ("Secret", "made-up"),
        "K_D": ("Secret", None),
        "K_E": ("Secret", "plain"),
        "F": ("Secret", "made-up"),
    }
