"""Attacks with alert rules, their tests and configurations of Alertmanager, which promtool and amtool read."""

# ruff: noqa: E501  (the tables of attacks are read line by line)
from __future__ import annotations

from dataclasses import replace

import pytest

from course.grading.sandbox.resource_monitor import Limits

pytestmark = [pytest.mark.prometheus, pytest.mark.extras]

QUESTION = '''
from course.checks import Question, expect, fail
from course.checks.prometheus import histories
from course.checks.prometheus.programs import last_words
from course.checks.prometheus.routes import Routes
from course.checks.prometheus.rule_tests import RuleTests
from course.checks.prometheus.rules import AlertRules

question = Question("Attacked", points=4)
RULES = "groups: [{name: a, rules: [{alert: Gone, expr: absent(up)}]}]"


@question.check(1)
def rules():
    """the alert fires"""
    found = AlertRules("rules.yml")
    found.alert("Gone")
    histories.must(found.text(), histories.History("nothing is there", {"x": "1x5"}), fire={5: "Gone"})


@question.check(1)
def own_tests():
    """the tests pass"""
    done = RuleTests("rules_test.yml").run(AlertRules("rules.yml").text(annotations=True))
    if not done.ok:
        fail("they fail", actual=last_words(done))


@question.check(1)
def tests():
    """the tests notice that the alert is gone"""
    tests = RuleTests("rules_test.yml")
    if not tests.run_on(RULES, ["Gone"]).ok or tests.run_on(RULES.replace("absent(up)", "up"), ["Gone"]).ok:
        fail("they do not notice it")


@question.check(1)
def routes():
    """a page reaches on-call"""
    expect(Routes("alertmanager.yml").receivers({"severity": "page"})).equals(["on-call"])
'''
HONEST = {
    "rules.yml": "groups: [{name: a, rules: [{alert: Gone, expr: absent(up)}]}]",
    "rules_test.yml": """
tests:
- input_series: [{series: x, values: 1x5}]
  alert_rule_test: [{eval_time: 5m, alertname: Gone, exp_alerts: [{exp_labels: {}}]}]
""",
    "alertmanager.yml": "route: {receiver: on-call}\nreceivers: [{name: on-call}]",
}
SECRET = "@TOP@/neighbour/secret.txt"
ATTACKS = {  # attack → the files that take the place of honest ones
    "templates that are a neighbour's file": {"alertmanager.yml": f"{HONEST['alertmanager.yml']}\ntemplates: ['{SECRET}']"},
    "a password in a neighbour's file": {
        "alertmanager.yml": f"global: {{smtp_auth_password_file: '{SECRET}'}}\n{HONEST['alertmanager.yml']}"
    },
    "rules that are a neighbour's file": {
        "rules.yml": "groups: []",
        "rules_test.yml": f"rule_files: ['{SECRET}', '/etc/passwd']\n{HONEST['rules_test.yml']}",
    },
    "a series of a billion values": {"rules_test.yml": HONEST["rules_test.yml"].replace("1x5", "0+1x999999999")},
    "a test of a thousand years": {"rules_test.yml": HONEST["rules_test.yml"].replace("5m", "1000y")},
    "a subquery of a billion steps": {"rules.yml": HONEST["rules.yml"].replace("absent(up)", "'absent(up[30d:1ms])'")},
    "brackets as deep as a well": {
        "rules.yml": HONEST["rules.yml"].replace("absent(up)", "'" + "(" * 9000 + "1" + ")" * 9000 + "'")
    },
    "ten thousand rules": {"rules.yml": "groups: [{name: a, rules: [" + "{alert: Gone, expr: up}," * 9000 + "]}]"},
    "a template that asks without end": {
        "rules.yml": "groups: [{name: a, rules: [{alert: Gone, expr: absent(up), annotations: {summary: '"
        + "{{ range query \"x\" }}" * 9
        + "{{ printf \"%0999999999d\" 1 }}"
        + "{{ end }}" * 9
        + "'}}]}]"
    },
}  # fmt: skip


def cells(files: dict[str, str]) -> list[str]:
    """Cells that ship these files."""
    return [f"%%ship {name}\n{text}" for name, text in files.items()]


@pytest.fixture
def settings(arena):
    """Those of the arena, with what promtool takes to begin with: it reserves a file of 128 MiB."""
    room = Limits(memory_mb=1500, processes=64, scratch_mb=256, disk_mb=512, inodes=2000, file_mb=256, cpu_s=60)
    return replace(arena.SETTINGS, limits=room)


def test_honest_files_earn_everything(arena, settings):
    found = arena.grade(cells(HONEST), question=QUESTION, settings=settings)
    assert found.score == 4, found.shown


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_rules_and_routes_are_bounded(arena, settings, name):
    found = arena.grade(cells(HONEST | ATTACKS[name]), question=QUESTION, settings=settings)
    assert found.score < 4, found.shown
    assert arena.fill("@CANARY@") not in found.shown + found.printed
    assert "check itself broke" not in found.shown
