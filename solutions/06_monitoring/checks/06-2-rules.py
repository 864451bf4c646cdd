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


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    hint="errors of all pods over requests of all pods to /predict, each as a rate over 1 h and over 5 m",
)
def every_fast_burn_wakes_somebody(rules: AlertRules) -> None:
    """an outage, many probes that succeed, and counters that start again"""
    rules.alert(FAST)
    text = rules.text()
    outage = History("every request fails from minute 60 on", traffic((60, 0.0), (60, 1.0), error="500") | up((120, 1)))
    must(text, outage, fire={70: FAST, 110: FAST})
    if not histories.counts_one(text, outage, 110, FAST):
        fail(f"{FAST} fires more than once for one service with two pods", hint="sum() over all pods")
    probes = traffic((120, 0.0), route="/health", per_minute=3000)
    diluted = History(
        "20 % of predictions fail, and ten times as many probes succeed", probes | traffic((60, 0.0), (60, 0.2))
    )
    must(text, History(diluted.says, {**diluted.series, **up((120, 1))}), fire={110: FAST})
    again = traffic((30, 0.2))
    for _ in range(3):
        again = restarted(again, traffic((29, 0.2)))
    must(
        text,
        History("20 % fail, and every pod is started again every half hour", again | up((118, 1))),
        fire={55: FAST, 110: FAST},
    )


@question.check(points=1, hidden=True, hint="six times the budget, over 6 h and over 30 m")
def a_slow_burn_makes_a_ticket(rules: AlertRules) -> None:
    """5 % of requests fail for hours: a ticket, and nobody is woken"""
    rules.alert(SLOW)
    slow = History("5 % of the requests fail from hour 2 on", traffic((120, 0.003), (225, 0.05)) | up((345, 1)))
    must(rules.text(), slow, fire={340: SLOW}, silent={110: ALERTS, 180: ALERTS, 340: [FAST]})
    less = History("2 % of the requests fail", traffic((120, 0.02)) | up((120, 1)))
    must(rules.text(), less, silent={60: ALERTS, 115: ALERTS})


@question.check(
    points=1, hidden=True, hint="both windows must burn: the long one ignores a spike, the short one ends an alarm"
)
def what_is_over_wakes_nobody(rules: AlertRules) -> None:
    """a spike of three minutes, and an outage that has ended"""
    for name in (FAST, SLOW):
        rules.alert(name)
    text = rules.text()
    spike = History("60 % fail for three minutes", traffic((120, 0.0), (3, 0.6), (27, 0.0)) | up((150, 1)))
    must(text, spike, silent={122: ALERTS, 124: ALERTS, 128: ALERTS, 145: ALERTS})
    over = History("40 % fail for half an hour, then none", traffic((60, 0.0), (30, 0.4), (60, 0.0)) | up((150, 1)))
    must(text, over, fire={88: FAST}, silent={102: [FAST], 140: ALERTS})


@question.check(
    points=1,
    hidden=True,
    hint="job and route in every selector; rate() before sum(); only 5xx; absent() for what is not known",
)
def nothing_else_wakes_anybody(rules: AlertRules) -> None:
    """night, callers' mistakes, a neighbour, a weak pod, a restart, a rollout: silence; a missing target: an alert"""
    for name in ALERTS:
        rules.alert(name)
    text = rules.text()
    for history in quiet():
        must(text, history, silent={60: ALERTS, 121: ALERTS, 123: ALERTS, 130: ALERTS, 170: ALERTS})
    unknown = History("no target is known from minute 60 on", traffic((60, 0.0)) | up((60, 1), (30, None)))
    must(text, unknown, fire={75: GONE}, silent={58: ALERTS})


def quiet() -> Iterator[History]:
    """Three hours each, in which nobody need get up."""
    alive = up((180, 1))
    still = {name: f"{values} {values.split('+')[0]}+0x119" for name, values in traffic((60, 0.0)).items()}
    asleep = {
        name: values.replace(" 0+0x119", " 17700+0x119") if 'status="200"' in name else values
        for name, values in still.items()
    }
    yield History("nobody asks from minute 60 on", asleep | alive)
    new = {name: values for name, values in traffic((180, 0.0)).items() if 'status="200"' in name}
    yield History("no request ever failed, so there is no series of failures", new | alive)
    yield History("half of the callers send nonsense", traffic((180, 0.5), error="422") | alive)
    other = traffic((180, 1.0), job="bookings") | up((180, 0), job="bookings")
    yield History("another service is down", calm(180) | other)
    weak = traffic((180, 0.0), per_minute=594, pods="a") | traffic((180, 1.0), per_minute=6, pods="b")
    yield History("a pod with 1 % of the requests fails all of them", weak | alive)
    again = restarted(traffic((120, 0.003), start=(1000, 10), pods="a"), traffic((60, 0.003), pods="a"))
    yield History(
        "a pod starts again, beside one that has failed often, long ago",
        again | traffic((181, 0.003), start=(10_000, 50_000), pods="b") | alive,
    )
    fresh = {name: f"_x120 {values}" for name, values in traffic((60, 0.003), pods="cd").items()}
    gone = {name: f"{values} _x60" for name, values in traffic((120, 0.003)).items()}
    moved = up((120, 1), (60, None)) | up((118, None), (62, 1), pods="cd")
    yield History("a rollout: two new pods take the place of two old ones", gone | fresh | moved)
    yield History("no pod can be scraped for one minute", traffic((180, 0.003)) | up((121, 1), (1, 0), (58, 1)))


### END HIDDEN TESTS
