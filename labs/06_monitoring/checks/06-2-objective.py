"""The objective: do it, its budget and its burn rates follow from what the company can bear?"""

from course import flights
from course.checks import Question, answer, as_number, fail

question = Question("An objective", points=3)
CALLS_A_DAY = 5  # flights whose passengers customer service can call by hand


def asked_in_november() -> int:
    """How many flights the service was asked about in November: each once."""
    return len(flights.planned("2013-11-01", "2013-12-01"))


@question.check(points=1)
def the_objective_is_what_the_company_can_bear() -> None:
    """the objective: no more failures than customer service can mend by hand"""
    objective = as_number(answer("objective"), "answers['objective']")
    bearable = 1 - 30 * CALLS_A_DAY / asked_in_november()
    if abs(objective - 0.995) > 1e-9:
        fail(
            "answers['objective'] is not the share of requests that must succeed",
            expected=f"at least {bearable:.5f}, rounded up to a tenth of a per cent, as a fraction of 1",
            got=objective,
            hint="five flights a day over the flights of a day; 0.99 would be twice as many as can be called",
        )


@question.check(points=1)
def the_budget_is_a_number_of_requests() -> None:
    """the error budget of November, in requests"""
    budget = as_number(answer("budget"), "answers['budget']")
    bearable = 0.005 * asked_in_november()
    if abs(budget - bearable) > 1:
        fail(
            "answers['budget'] is not how many of November's requests may fail",
            expected=f"the {asked_in_november():,} requests of November times the share that may fail",
            got=budget,
        )


@question.check(points=1)
def the_burn_rates_spend_what_they_should() -> None:
    """two burn rates: what spends 2 % of the month's budget in an hour, and 5 % in six hours"""
    for name, share, hours in (("fast", 0.02, 1), ("slow", 0.05, 6)):
        rate = as_number(answer(f"burn_{name}"), f"answers['burn_{name}']")
        if abs(rate - share * 720 / hours) > 0.01:
            fail(
                f"answers['burn_{name}'] does not spend {share:.0%} of a month's budget in {hours} h",
                expected=f"a burn rate at which {hours} h of 720 spend {share:.0%}",
                got=rate,
                hint="a burn rate of 1 spends the whole budget in exactly 30 days, which are 720 hours",
            )
