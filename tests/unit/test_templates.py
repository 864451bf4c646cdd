"""Templates of charts: what charts of one service use is rendered as Helm does; the rest is refused, in words."""

from __future__ import annotations

import time

import pytest

from course.checks.kubernetes.templates import MAX_SOURCE, TemplateError, render

CONTEXT = {
    "Values": {
        "name": "late",
        "on": True,
        "off": False,
        "none": None,
        "list": [1, 2],
        "map": {"a": 1, "b": "x"},
        "n": 3,
    },
    "Release": {"Name": "autumn"},
    "Chart": {"Name": "late-flights"},
}
HELPERS = (
    '{{/* names */}}\n{{- define "full" -}}\n{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 9 -}}\n{{- end -}}'
)


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("a {{ .Values.name }} b", "a late b"),
        ("{{.Values.n}}", "3"),
        ("{{ .Values.none }}|{{ .Values.other }}", "|"),
        ("{{ .Values.name | quote }} {{ quote .Values.n }}", '"late" "3"'),
        ("{{ .Values.none | default 7 }} {{ default 7 .Values.n }}", "7 3"),
        ("a\n  {{- if .Values.on }}\n  b\n  {{- end }}\nc", "a\n  b\nc"),
        ("{{ if .Values.off }}a{{ else if .Values.on }}b{{ else }}c{{ end }}", "b"),
        ("{{ if .Values.off }}a{{ else if .Values.none }}b{{ else }}c{{ end }}d", "cd"),
        ("{{ with .Values.map }}{{ .a }}{{ $.Release.Name }}{{ end }}", "1autumn"),
        ("{{ with $m := .Values.map }}{{ $m.b }}{{ end }}", "x"),
        ("{{ range .Values.list }}-{{ . }}{{ end }}", "-1-2"),
        ("{{ range $k, $v := .Values.map }}{{ $k }}={{ $v }};{{ end }}", "a=1;b=x;"),
        ("{{ range .Values.none }}a{{ else }}b{{ end }}", "b"),
        ("{{ $x := .Values.n }}{{ if true }}{{ $x }}{{ end }}", "3"),
        ("x: {{ toYaml .Values.map | nindent 2 }}", "x: \n  a: 1\n  b: x"),
        ('{{ include "full" . }}{{ template "full" . }}', "autumn-laautumn-la"),
        ('{{ printf "%s-%d" .Release.Name (int .Values.n) }}', "autumn-3"),
        ("{{ if and .Values.on (gt .Values.n 2) (not .Values.off) }}yes{{ end }}", "yes"),
        ('{{ if eq .Values.name "late" "early" }}yes{{ end }}', "yes"),
        ('{{ ternary "a" "b" .Values.on }}{{ .Values.on }}', "atrue"),
        ('{{ if .Capabilities.APIVersions.Has "autoscaling/v2" }}2{{ else }}1{{ end }}', "2"),
        ('{{ (index .Values.list 1) | add 1 }}{{ len .Values.list }}{{ join "," .Values.list }}', "321,2"),
        ("{{- /* nothing */ -}} a {{/* nothing */}}", "a "),
        ("`{{ `{{ x }}` }}`", "`{{ x }}`"),
    ],
)
def test_what_charts_use_is_rendered_as_helm_does(source, made):
    assert render(source, CONTEXT, [HELPERS]) == made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ .Values.nme.first }}", "there is no .Values.nme"),
        ("{{ .Values.name.first }}", "which has no parts"),
        ("{{ if .Values.on }}a", "this has no end"),
        ("a {{ end }}", "there is no if"),
        ("a {{ .Values.name", "has no end"),
        ("{{ .Values.name | quot }}", "quot is not a function that is known here"),
        ('{{ include "fulle" . }}', "no template 'fulle' is defined; there are: full"),
        ('{{ required "say a name" .Values.none }}', "say a name"),
        ("{{ $y }}", "there is no variable $y"),
        ("{{ trunc .Values.map .Values.name }}", "trunc cannot be given"),
        ("{{ .Values.name .Values.n }}", "where a function should"),
        ("{{ }}", "nothing stands in it"),
        ('{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}', "without end"),
        ("x" * (MAX_SOURCE + 1), "longer than"),
    ],
)
def test_what_cannot_be_rendered_is_said(source, why):
    with pytest.raises(TemplateError, match=r".*") as error:
        render(source, CONTEXT, [HELPERS])
    assert why in error.value.why


DOUBLE = '{{ $a := "xxxxxxxxxxxxxxxx" }}' + '{{ $a = printf "%s%s" $a $a }}' * 40 + "{{ $a }}"
NEST = "{{ range .Values.list }}" * 30 + "x" + "{{ end }}" * 30


@pytest.mark.parametrize(
    "source",
    [
        DOUBLE,
        NEST,
        "{{ " + "(" * 5000,
        '{{ "a {{ "' * 1500,
        "{{/*" * 3000,
        "{{" + " " * 15000,
        '{{ indent 100000 "x" }}',
        '{{ replace "" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" (toYaml .) }}' * 200,
        "{{ range list" + " 1" * 7000 + " }}{{ toYaml $ }}{{ end }}",
    ],
    ids=range(9),
)
def test_hostile_templates_end_soon(source):
    begun = time.process_time()
    with pytest.raises(TemplateError):
        render(source, CONTEXT)
    assert time.process_time() - begun < 5
