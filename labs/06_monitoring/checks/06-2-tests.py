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
