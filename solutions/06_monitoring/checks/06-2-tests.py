"""Do the tests of the rules pass on right rules, and fail on wrong ones?"""

from course.checks import Question, fail, fixture
from course.checks.prometheus.programs import last_words
from course.checks.prometheus.rule_tests import RuleTests
from course.checks.prometheus.rules import AlertRules

question = Question("Tests of the alerts", points=5, deadline_s=240)
ALERTS = ("BudgetBurnsFast", "BudgetBurnsSlowly", "ServiceGone")


@fixture(shared=True)
def tests() -> RuleTests:
    """The shipped tests."""
    return RuleTests("rules_test.yml")


@question.check(points=1)
def they_pass_on_your_rules(tests: RuleTests) -> None:
    """they pass on your own rules"""
    done = tests.run(AlertRules("rules.yml").text(annotations=True))
    if not done.ok:
        fail("the tests fail on your rules.yml", actual=last_words(done))


@question.check(points=1, needs=they_pass_on_your_rules)
def they_miss_each_alert(tests: RuleTests) -> None:
    """they fail when an alert is taken out of your rules"""
    rules = AlertRules("rules.yml")
    for name in ALERTS:
        rules.alert(name)
        if tests.run(rules.text(annotations=True, without=name)).ok:
            fail(
                f"the tests pass on your rules without {name}",
                hint=f"a test in which {name} must fire: exp_alerts holds it, at an eval_time when all is not well",
            )


### BEGIN HIDDEN TESTS
ERRORS, SERVICE = 'status=~"5.."', 'job="late-flights",route="/predict"'


def ratio(window: str, errors: str = ERRORS, where: str = SERVICE, by: str = "") -> str:
    """The share of requests that failed."""
    failed, asked = (f"sum{by}(rate(http_requests_total{{{one}}}[{window}]))" for one in (f"{where},{errors}", where))
    return f"{failed} / {asked}"


def burns(rate: float, *windows: str, joined: str = "and", **more: str) -> str:
    """The budget of 0.5 % burns at some rate, over all of these windows."""
    return f" {joined} ".join(f"({ratio(window, **more)} > {rate * 0.005})" for window in windows)


def average(rate: float, *windows: str) -> str:
    """The same, of the shares of each pod."""
    return " and ".join(f"(avg({ratio(window, by=' by (instance)')}) > {rate * 0.005})" for window in windows)


def sum_first(rate: float, *windows: str) -> str:
    """The same, where the counters of all pods are added up before the rate is taken."""
    failed, asked = (f"sum(http_requests_total{{{one}}})" for one in (f"{SERVICE},{ERRORS}", SERVICE))
    return " and ".join(f"(rate({failed}[{w}:1m]) / rate({asked}[{w}:1m]) > {rate * 0.005})" for w in windows)


def rules(
    fast: str = burns(14.4, "1h", "5m"),
    slow: str = burns(6, "6h", "30m"),
    gone: str = 'absent(up{job="late-flights"} == 1)',
    wait: str = "2m",
    slow_severity: str = "ticket",
) -> str:
    """The course's own rules, with one of them perhaps replaced."""
    return f"""
groups:
- name: late-flights
  rules:
  - alert: BudgetBurnsFast
    expr: '{fast}'
    labels: {{severity: page}}
  - alert: BudgetBurnsSlowly
    expr: '{slow}'
    labels: {{severity: {slow_severity}}}
  - alert: ServiceGone
    expr: '{gone}'
    for: {wait}
    labels: {{severity: page}}
"""


MUTANTS = {
    "the fast alert needs ten times the burn": rules(fast=burns(144, "1h", "5m")),
    "the fast alert needs a tenth of the burn": rules(fast=burns(1.44, "1h", "5m")),
    "the fast alert needs one of its windows only": rules(fast=burns(14.4, "1h", "5m", joined="or")),
    "the fast alert has no short window": rules(fast=burns(14.4, "1h")),
    "the fast alert has no long window": rules(fast=burns(14.4, "5m")),
    "the slow alert needs ten times the burn": rules(slow=burns(60, "6h", "30m")),
    "the slow alert has no long window": rules(slow=burns(6, "30m")),
    "the slow alert wakes people": rules(slow_severity="page"),
    "mistakes of callers count": rules(fast=burns(14.4, "1h", "5m", errors='status=~"[45].."')),
    "all routes count": rules(fast=burns(14.4, "1h", "5m", where='job="late-flights"')),
    "all services count": rules(fast=burns(14.4, "1h", "5m", where='route="/predict"')),
    "each pod counts alike": rules(fast=average(14.4, "1h", "5m")),
    "each pod makes an alert of its own": rules(fast=burns(14.4, "1h", "5m", by=" by (instance)")),
    "counters are added up before the rate is taken": rules(fast=sum_first(14.4, "1h", "5m")),
    "one pod that does not answer is a service that is gone": rules(gone='up{job="late-flights"} == 0'),
    "a target that is not known is not missed": rules(gone='sum(up{job="late-flights"}) == 0'),
    "a service is gone at once": rules(wait="0s"),
    "a service that is gone is nobody's alert": rules(gone='absent(up{job="late-flights"} == 1) and vector(1) > 2'),
}


@fixture(shared=True)
def killed(tests: RuleTests) -> list[str]:
    """The wrong rules on which the tests fail; they must pass on right ones first."""
    done = tests.run_on(rules(), ALERTS)
    if not done.ok:
        fail("the tests fail on rules that are right", actual=last_words(done))
    return [what for what, text in MUTANTS.items() if not tests.run_on(text, ALERTS).ok]


def must_kill(killed: list[str], least: int) -> None:
    """Fail unless the tests notice so many of the wrong rules."""
    if len(killed) < least:
        missed = next(what for what in MUTANTS if what not in killed)
        fail(
            f"the tests notice {len(killed)} of {len(MUTANTS)} wrong rules; not that {missed}",
            expected=f"at least {least}",
        )


@question.check(
    points=1,
    hidden=True,
    hint="they must pass on any right rules: leave five minutes after each change of state",
)
def they_notice_some(killed: list[str]) -> None:
    """they pass on right rules of the course, and notice 6 of 18 wrong ones"""
    must_kill(killed, 6)


@question.check(
    points=1, hidden=True, hint="a spike, an outage that is over, a slow burn: who must be silent, and when?"
)
def they_notice_many(killed: list[str]) -> None:
    """they notice 9 of 18 wrong rules"""
    must_kill(killed, 9)


@question.check(points=1, hidden=True, hint="two pods, callers' mistakes, probes, another job, one pod that is gone")
def they_notice_most(killed: list[str]) -> None:
    """they notice 12 of 18 wrong rules"""
    must_kill(killed, 12)


### END HIDDEN TESTS
