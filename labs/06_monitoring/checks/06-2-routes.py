"""Who hears of an alert: does Alertmanager send each one to the right people, and to nobody else?"""

from collections.abc import Mapping

from course.checks import Question, fail, fixture
from course.checks.prometheus.routes import Routes

question = Question("Who is woken", points=3)


@fixture(shared=True)
def routes() -> Routes:
    """The shipped configuration."""
    return Routes("alertmanager.yml")


def must_reach(routes: Routes, receiver: str, labels: Mapping[str, str]) -> None:
    """Fail unless an alert reaches this receiver, and no other."""
    found = routes.receivers(labels)
    if found != [receiver]:
        shown = " ".join(f"{name}={value}" for name, value in labels.items()) or "no labels"
        hint = "the first route that matches takes an alert, unless it says `continue: true`"
        fail(f"an alert with {shown} reaches other people", expected=receiver, actual=", ".join(found), hint=hint)


@question.check(points=1)
def a_page_reaches_who_is_on_call(routes: Routes) -> None:
    """amtool accepts the file, and a page reaches who is on call"""
    routes.check()
    must_reach(routes, "on-call", {"alertname": "BudgetBurnsFast", "severity": "page", "env": "production"})
    must_reach(routes, "on-call", {"alertname": "ServiceGone", "severity": "page"})


@question.check(points=1)
def tickets_and_the_rest(routes: Routes) -> None:
    """a ticket becomes a ticket, and everything else goes to the archive"""
    must_reach(routes, "tickets", {"alertname": "BudgetBurnsSlowly", "severity": "ticket"})
    must_reach(routes, "archive", {"alertname": "DiskFillsUp", "severity": "info"})
    must_reach(routes, "archive", {"alertname": "Unlabelled"})
