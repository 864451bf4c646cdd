"""Metrics, alert rules, their tests and routes are judged as Prometheus judges them, rule by rule and within bounds."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.prometheus import exposition, histories, programs, rules
from course.checks.prometheus.durations import seconds_of
from course.checks.prometheus.histories import History, traffic, up
from course.checks.prometheus.routes import Routes
from course.checks.prometheus.rule_tests import RuleTests
from course.checks.prometheus.rules import AlertRules

RULES = """
    groups:
    - name: late-flights
      rules:
      - alert: Gone
        expr: absent(up{job="late-flights"} == 1)
        for: 2m
        labels: {severity: page}
        annotations: {summary: "nobody answers"}
      - {record: "asked:rate5m", expr: 'sum(rate(http_requests_total[5m]))'}
"""
TESTS = """
    rule_files: [/etc/passwd]
    tests:
    - input_series: [{series: 'up{job="late-flights"}', values: 1x10 0x10}]
      alert_rule_test:
      - {eval_time: 9m, alertname: Gone}
      - {eval_time: 20m, alertname: Gone, exp_alerts: [{exp_labels: {severity: page}}]}
"""
ROUTES = """
    route:
      receiver: archive
      routes: [{matchers: ['severity="page"'], receiver: on-call}]
    receivers: [{name: archive}, {name: on-call}]
"""


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """Ship a file: ship("rules.yml", text)."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(textwrap.dedent(text))
        return name

    return write


@pytest.fixture
def no_programs(monkeypatch):
    monkeypatch.setattr(programs, "find", lambda name: None)


# -- durations and metrics ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400.0), ("500ms", 0.5), ("0", 0.0), ("1m5", None), ("-1m", None), ("", None), (None, None), (5, None)],
)
def test_a_duration_is_read_as_prometheus_reads_it(text, seconds):
    assert seconds_of(text) == seconds


METRICS = """
# TYPE asked_total counter
asked_total{route="/a",status="200"} 3
asked_total{route="/b",status="500"} 4
"""


def test_metrics_are_added_up_by_label():
    metrics = exposition.parse(METRICS)
    assert metrics.total("asked_total") == 7
    assert metrics.total("asked_total", route="/b") == 4
    assert metrics.total("asked_total", route="/c") == 0
    assert len(metrics.must_have("asked_total", "route", "status")) == 2


def test_another_name_and_other_labels_are_named():
    metrics = exposition.parse(METRICS)
    with pytest.raises(CheckFailed, match="no http_requests_total") as missing:
        metrics.must_have("http_requests_total")
    assert missing.value.actual == "asked_total"
    with pytest.raises(CheckFailed, match="other labels") as other:
        metrics.must_have("asked_total", "route")
    assert "status" in other.value.actual


@pytest.mark.parametrize("text", ["<html>", '{"a": 1}', "asked_total{route=", "a b c d"])
def test_what_is_no_text_of_metrics_is_a_failed_check(text):
    with pytest.raises(CheckFailed, match="text format"):
        exposition.parse(text)


# -- rules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("alerts: []", "must begin with `groups:`"),
        ("groups: [{name: a}]", "a list of rules"),
        ("groups: [{name: a, rules: []}]", "holds no rule"),
        ("groups: [{name: a, rules: [{}]}, {name: a, rules: [{}]}]", "a name of its own"),
        ("groups: [{name: a, rules: [" + "{alert: a, expr: b}, " * 100 + "]}]", "more than 60 rules"),
    ],
)
def test_a_file_without_rules_is_refused_with_the_reason(ship, no_programs, text, reason):
    with pytest.raises(Unmet, match=reason):
        _ = AlertRules(ship("rules.yml", text)).rules


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("x" * 3000, "characters"),
        ('a{b="' + "c" * 400 + '"}', "a text in its expression"),
        (" or ".join(['a{b=~"c"}'] * 30), "regular expressions"),
        ("(" * 60 + "1" + ")" * 60, "brackets"),
        ("rate(a[90d])", "30 days"),
        ("max_over_time(a[10d:1s])", "subqueries"),
        ("max_over_time(max_over_time(a[1h:1s])[1h:1s])", "subqueries"),
    ],
)
def test_an_expression_that_would_cost_much_is_not_evaluated(expression, reason):
    assert reason in rules.too_costly(expression)


def test_usual_expressions_are_not_too_costly():
    assert rules.too_costly('sum(rate(a{b=~"5.."}[6h])) / sum(rate(a[6h])) > 14.4 * 0.005') is None
    assert rules.too_costly("rate(sum(a)[1h:1m])") is None


def test_without_promtool_a_parser_judges_the_form(ship, no_programs):
    pytest.importorskip("promql_parser")
    text = "groups: [{name: a, rules: [{alert: A, expr: up == 0}, {alert: B, expr: 'sum(up'}]}]"
    right, wrong = AlertRules(ship("rules.yml", text)).rules
    assert right.wrong == ""
    assert "could not parse" in wrong.wrong


def test_without_promtool_what_it_would_judge_is_not_graded_here(ship, no_programs):
    with pytest.raises(NotGradedHere, match="promtool is not installed"):
        histories.fires("groups: []", History("nothing", {}), {1: {"A"}})
    with pytest.raises(NotGradedHere, match="amtool"):
        Routes(ship("alertmanager.yml", ROUTES)).receivers({"severity": "page"})


@pytest.mark.prometheus
def test_a_rule_that_cannot_be_parsed_leaves_the_others(ship):
    text = RULES + '      - {alert: Broken, expr: "sum(up", labels: {severity: page}}\n'
    found = AlertRules(ship("rules.yml", text))
    assert [rule.wrong for rule in found.rules][:2] == ["", ""]
    assert "unclosed left parenthesis" in found.rules[2].wrong
    assert "Broken" not in found.text()
    assert "nobody answers" not in found.text()
    assert "nobody answers" in found.text(annotations=True)
    assert "Gone" not in found.text(without="Gone")
    with pytest.raises(CheckFailed, match="Broken cannot be evaluated"):
        found.alert("Broken")
    with pytest.raises(CheckFailed) as near:
        found.alert("Gones")
    assert "'Gone'" in near.value.hint


@pytest.mark.prometheus
def test_histories_tell_when_alerts_fire(ship):
    text = AlertRules(ship("rules.yml", RULES)).text()
    down = History("no pod answers", traffic((30, 0.5)) | up((15, 1), (15, 0)))
    assert histories.fires(text, down, {10: ["Gone"], 25: ["Gone"]}) == {10: set(), 25: {"Gone"}}
    assert histories.counts_one(text, down, 25, "Gone")
    histories.must(text, down, fire={25: "Gone"}, silent={10: ["Gone"]})
    with pytest.raises(CheckFailed, match="no pod answers: Gone is silent at minute 10"):
        histories.must(text, down, fire={10: "Gone"})
    with pytest.raises(CheckFailed, match="no pod answers: Gone fires at minute 25"):
        histories.must(text, down, silent={25: ["Gone"]})


def test_a_counter_grows_minute_by_minute():
    (good, bad) = traffic((3, 0.0), (2, 0.5), per_minute=10, pods="a").values()
    assert good == "0+10x3 35+5x1"
    assert bad == "0+0x3 5+5x1"


# -- tests of rules ----------------------------------------------------------------------------------------------------


@pytest.mark.prometheus
def test_tests_of_rules_run_on_the_rules_that_they_are_given(ship):
    tests = RuleTests(ship("rules_test.yml", TESTS))
    own = AlertRules(ship("rules.yml", RULES))
    assert not tests.run(own.text(annotations=True)).ok  # the annotation is expected nowhere
    assert tests.run(own.text()).ok
    assert not tests.run(own.text(without="Gone")).ok
    assert tests.run_on(own.text(annotations=True), ["Gone"]).ok
    assert not tests.run_on(own.text().replace("severity: page", "severity: ticket"), ["Gone"]).ok
    with pytest.raises(CheckFailed, match="asks for none of the alerts"):
        tests.run_on(own.text(), ["Another"])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1x10 0x10", "0+1x99999999", "no sequence of values"),
        ("1x10 0x10", "0+1x999999", "values and ask"),
        ("1x10 0x10", "0+1x0x7FFFFFFF", "no sequence of values"),
        ("20m", "30d", "evaluations"),
        ("20m", "soon", "must be a duration"),
        ("alert_rule_test", "alert_rule_tests", "'alert_rule_tests', which promtool does not know"),
        ("tests:", "tests: []\n    x:", "must have `tests:`"),
    ],
)
def test_tests_that_cost_too_much_or_are_none_are_refused(ship, old, new, reason):
    with pytest.raises(Unmet, match=reason):
        _ = RuleTests(ship("rules_test.yml", TESTS.replace(old, new))).tests


# -- routes ------------------------------------------------------------------------------------------------------------


@pytest.mark.prometheus
def test_routes_tell_who_hears_of_an_alert(ship):
    routes = Routes(ship("alertmanager.yml", ROUTES))
    routes.check()
    assert routes.receivers({"severity": "page"}) == ["on-call"]
    assert routes.receivers({}) == ["archive"]


@pytest.mark.prometheus
def test_a_configuration_that_amtool_refuses_is_shown_with_its_reason(ship):
    routes = Routes(ship("alertmanager.yml", ROUTES.replace("receiver: on-call", "receiver: nobody")))
    for ask in (routes.check, lambda: routes.receivers({})):
        with pytest.raises(CheckFailed) as refused:
            ask()
        assert refused.value.actual == 'undefined receiver "nobody" used in route'


@pytest.mark.parametrize(
    "more",
    [
        "templates: [/etc/*]",
        "global: {http_config: {authorization: {credentials_file: /etc/passwd}}}",
        "global: {smtp_auth_password_file: /etc/passwd}",
    ],
)
def test_a_configuration_that_names_files_is_refused(ship, more):
    with pytest.raises(Unmet, match="it has the key"):
        _ = Routes(ship("alertmanager.yml", textwrap.dedent(ROUTES) + more)).text


def test_programs_are_found_under_either_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find("alertmanager") is None
    place = tmp_path / "prometheus-alertmanager"
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    assert Path(programs.find("alertmanager")) == place
    assert shutil.which("alertmanager") is None


def test_a_program_that_breaks_down_by_itself_is_tried_again(tmp_path, monkeypatch):
    """As Go's programs do, with a dump, where a busy machine gives them no thread; one that only refuses is not."""
    count = tmp_path / "count"
    program = tmp_path / "promtool"
    program.write_text(
        f'#!/bin/sh\necho x >> {count}\n[ "$(wc -l < {count})" = 1 ] || {{ echo fine; exit "$1"; }}\n'
        "echo 'SIGABRT: abort'; echo 'goroutine 0 [idle]:'; echo 'rip    0x75'; exit 2\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(programs, "find", lambda name: str(program))
    assert programs.run("promtool", ["0"], {}).output.strip() == "fine"
    assert count.read_text() == "x\n" * 2
    assert programs.run("promtool", ["1"], {}).returncode == 1
    assert count.read_text() == "x\n" * 3
