"""Charts: shipped templates in the chart of the course, rendered by the course, or by Helm where it is installed."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.kubernetes.charts import chart

GIVEN = Path(__file__).parents[2] / "solutions/05_k8s/given/scale/chart"
TEMPLATE = """\
{{- if .Values.autoscaler.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: {{ include "full" . }}}
spec: {minReplicas: {{ .Values.autoscaler.least }}}
{{- end }}
"""
HELM = """\
#!/bin/sh
[ "$1 $3" = "template chart" ] || exit 1
echo "kind: ConfigMap"
echo "metadata: {name: $2-of-helm}"
"""


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / "shipped/chart/templates"
    folder.mkdir(parents=True)
    (folder / "autoscaler.yaml").write_text(TEMPLATE)
    (folder / "_helpers.tpl").write_text('{{ define "full" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}')
    return folder


def test_one_template_is_rendered_with_helpers_that_were_shipped(shipped):
    values = {"autoscaler": {"enabled": True, "least": 4}}
    made = chart(GIVEN).rendered("autumn", values, only="templates/autoscaler.yaml")
    assert [(one.name, one.get("spec.minReplicas")) for one in made.resources] == [("autumn-late-flights", 4)]


def test_nothing_may_come_out(shipped):
    made = chart(GIVEN).rendered("autumn", {"autoscaler": {"enabled": False}}, only="templates/autoscaler.yaml")
    assert made.resources == ()


def test_a_whole_chart_is_rendered_with_its_own_values(shipped):
    made = chart(GIVEN).rendered("trial", {"replicas": 5, "autoscaler": {"enabled": False}})
    assert sorted(one.shown for one in made.resources) == [
        "ConfigMap trial-settings",
        "Deployment trial-late-flights",
        "Service trial-late-flights",
    ]
    assert made.one("Deployment").replicas == 5
    assert made.one("Deployment").containers[0].get("resources.requests.cpu") == "100m"


def test_what_is_wrong_names_the_template_and_the_action(shipped):
    (shipped / "autoscaler.yaml").write_text("{{ .Values.autoscaler.least | nonsense }}")
    with pytest.raises(CheckFailed, match="nonsense }}: nonsense is not a function"):
        chart(GIVEN).rendered("autumn", {"autoscaler": {"least": 2}}, only="templates/autoscaler.yaml")


def test_a_template_that_was_not_shipped_is_said(shipped):
    (shipped / "autoscaler.yaml").unlink()
    with pytest.raises(Unmet, match="was not shipped"):
        chart(GIVEN).rendered("autumn", {}, only="templates/autoscaler.yaml")


def test_helm_renders_where_it_is_installed(shipped, tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "helm").write_text(textwrap.dedent(HELM))
    (programs / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    made = chart(GIVEN).rendered("autumn", {"autoscaler": {"enabled": True}})
    assert [one.name for one in made.resources] == ["autumn-of-helm"]
