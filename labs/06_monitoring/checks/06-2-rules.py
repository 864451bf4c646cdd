"""Do the alerts fire when somebody must get up, and are they silent when nobody need?"""

from collections.abc import Iterator

from course.checks import Question, fail, fixture
from course.checks.prometheus import histories
from course.checks.prometheus.histories import History, must, restarted, traffic, up
from course.checks.prometheus.rules import AlertRules

question = Question("Alerts", points=7)
FAST, SLOW, GONE = ALERTS = ("BudgetBurnsFast", "BudgetBurnsSlowly", "ServiceGone")
SEVERITIES = {FAST: "page", SLOW: "ticket", GONE: "page"}


@fixture(shared=True)
def rules() -> AlertRules:
    """The shipped rules."""
    return AlertRules("rules.yml")


def calm(minutes: int, share: float = 0.003) -> dict[str, str]:
    """Two pods that answer, and fail rarely enough."""
    return traffic((minutes, share)) | up((minutes, 1))


@question.check(points=1)
def every_rule_can_be_evaluated(rules: AlertRules) -> None:
    """every rule can be evaluated, and each alert has its severity and a summary"""
    for rule in rules.rules:
        if rule.wrong:
            fail(
                f"{rule.shown}: {rule.wrong}",
                hint="promtool check rules says where; the other rules are judged without it",
            )
    for name, severity in SEVERITIES.items():
        for rule in rules.alert(name):
            labels, annotations = rule.entry.get("labels") or {}, rule.entry.get("annotations") or {}
            if labels.get("severity") != severity:
                fail(f"the severity of {name} is another one", expected=severity, got=labels.get("severity"))
            if not isinstance(annotations, dict) or not str(annotations.get("summary") or "").strip():
                fail(
                    f"{name} has no summary among its annotations", hint="what does the person who is woken read first?"
                )


@question.check(points=1)
def a_bad_hour_wakes_somebody(rules: AlertRules) -> None:
    """20 % of requests fail: the fast alert fires within 35 minutes, and not before the failures begin"""
    rules.alert(FAST)
    bad = History("20 % of the requests fail from minute 60 on", traffic((60, 0.003), (60, 0.2)) | up((120, 1)))
    must(rules.text(), bad, fire={95: FAST, 115: FAST}, silent={30: ALERTS, 58: ALERTS})


@question.check(points=1)
def a_service_that_is_gone_wakes_somebody(rules: AlertRules) -> None:
    """no pod answers: ServiceGone fires; one of two does not: it is silent"""
    rules.alert(GONE)
    down = History("no pod answers from minute 60 on", traffic((60, 0.0)) | up((60, 1), (30, 0)))
    must(rules.text(), down, fire={65: GONE, 80: GONE}, silent={58: ALERTS})
    one = History("one of two pods does not answer", calm(90) | up((90, 0), pods="a"))
    must(rules.text(), one, silent={30: [GONE], 80: [GONE]})
