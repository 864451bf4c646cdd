"""Does the audit in project.yaml say, of every column, whether it is known when a prediction is made?"""

from course import flights
from course.checks import Question, fail, fixture
from course.checks.files.documents import Audit, Document

question = Question("The audit", points=6)
TABLES = ("flights", "planes", "airports", "airlines")
COLUMNS = [name for name, column in flights.SCHEMA.items() if column.table in TABLES]
OPTIONAL = [name for name, column in flights.SCHEMA.items() if column.table == "weather"]


@fixture
def audit() -> Audit:
    """What project.yaml says about columns; lines about the weather are allowed, too."""
    return Document("project.yaml").audit(COLUMNS + OPTIONAL)


WHEN = {
    True: "is known with the schedule, weeks before departure",
    False: "is known only when the flight leaves, is cancelled or has arrived, or hours before at best",
}


def agrees_with_the_data(audit: Audit, **available: bool) -> None:
    """Pass if the audit says of these columns of flights whether they are available."""
    truth = {f"flights.{name}": value for name, value in available.items()}
    audit.agrees("available", truth=truth, because={column: WHEN[value] for column, value in truth.items()})


@question.check(points=1)
def every_column_is_audited(audit: Audit) -> None:
    """every column has a line, and no line is about a column that does not exist"""
    missing = [name for name in audit.missing if name not in OPTIONAL]
    if missing:
        more = "" if len(missing) <= 5 else f", and {len(missing) - 5} more"
        fail(f"not audited: {', '.join(missing[:5])}{more}", hint="table.* speaks for a whole table")
    if audit.invented:
        fail(f"no such column: {', '.join(audit.invented[:5])}", hint="names are written as table.column")


@question.check(points=1)
def every_line_is_complete(audit: Audit) -> None:
    """every line says useful, available and why"""
    for name in audit.lines:
        audit.says(name, "useful")
        audit.says(name, "available")
        audit.reason(name)


@question.check(
    points=1, hint="has the flight that you want to predict a value there, at the moment of the prediction?"
)
def departure_is_judged_as_the_data_say(audit: Audit) -> None:
    """what is planned and what happens at departure are told apart"""
    agrees_with_the_data(audit, planned_departure=True, sched_dep_time=True, dep_time=False, dep_delay=False)


### BEGIN HIDDEN TESTS
@question.check(points=2, hidden=True, hint="when a flight is to arrive is one thing, when it arrives another")
def arrival_is_judged_as_the_data_say(audit: Audit) -> None:
    """what is planned and what happens on arrival are told apart"""
    agrees_with_the_data(audit, planned_arrival=True, sched_arr_time=True)
    agrees_with_the_data(audit, arr_time=False, arr_delay=False, air_time=False, late=False)


@question.check(points=1, hidden=True, hint="who flies where is in the schedule; whether it will fly is not")
def route_is_judged_as_the_data_say(audit: Audit) -> None:
    """what is known of the route, the airline and whether it flies is judged as the data say"""
    agrees_with_the_data(audit, carrier=True, flight=True, origin=True, dest=True, distance=True, cancelled=False)
    tables = [name for name in COLUMNS if name.startswith(("airports.", "airlines."))]
    audit.agrees("available", truth=dict.fromkeys(tables, True), because=dict.fromkeys(tables, WHEN[True]))


### END HIDDEN TESTS
