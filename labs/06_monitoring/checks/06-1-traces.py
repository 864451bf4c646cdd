"""Do the answers name the step that made a warning late, and tell the two faults of the evening apart?"""

import functools
from collections import defaultdict
from collections.abc import Mapping

from course import traces
from course.base.otlp import Span
from course.checks import Question, answer, as_list, as_number, as_text, fail

question = Question("Which step was it?", points=5)
LATE_MS = 2_000


@functools.cache
def evening() -> dict[str, list[Span]]:
    """The spans of the evening, by trace."""
    found = defaultdict(list)
    for span in traces.evening()[0]:
        found[span.trace_id].append(span)
    return dict(found)


def slowest(spans: list[Span]) -> Span:
    """The span with the most time of its own."""
    below: dict[str, float] = defaultdict(float)
    for span in spans:
        below[span.parent_id] += span.milliseconds
    return max(spans, key=lambda span: span.milliseconds - below[span.span_id])


def passengers() -> str:
    """The trace of the passenger who complained."""
    log = traces.evening()[1]
    return str(log.loc[log["request_id"] == traces.COMPLAINT, "trace_id"].iloc[0])


@question.check(points=1)
def the_trace_is_found() -> None:
    """late_trace is the trace of the passenger's request"""
    found = as_text(answer("late_trace"), "late_trace").strip().lower()
    if found == traces.COMPLAINT:
        fail("late_trace is the request id", actual=found, hint="the log has both: request_id and trace_id")
    if found != passengers():
        hint = f"the log has one line with the request_id {traces.COMPLAINT}"
        fail("late_trace is not the trace of that request", expected="32 hexadecimal digits", actual=found, hint=hint)


@question.check(points=1)
def the_step_is_found() -> None:
    """late_step names the service and the span with the most time of its own"""
    found = [as_text(one, "an entry of late_step").strip() for one in as_list(answer("late_step"), "late_step")]
    right = slowest(evening()[passengers()])
    if found in (["warnings", "POST /predict"], ["warnings", "weather"], ["weather", "GET /forecast"]):
        hint = "its own time is its duration minus that of its children"
        fail("this span waited for another one", expected="[service, name]", actual=found, hint=hint)
    if found == [right.name, right.service]:
        fail("late_step has the two in the other order", expected="[service, name]", actual=found)
    if found != [right.service, right.name]:
        fail("late_step is another span than the one with the most time of its own", actual=found)


@question.check(points=1)
def the_airport_is_found() -> None:
    """late_airport is where that step waited"""
    right = str(slowest(evening()[passengers()]).attributes["airport"])
    found = as_text(answer("late_airport"), "late_airport").strip()
    if found.upper() != right:
        hint = "the attribute airport of the span that late_step names"
        fail("late_airport is another airport", expected="EWR, JFK or LGA", actual=found, hint=hint)


@question.check(points=2)
def the_two_faults_are_told_apart() -> None:
    """late_shares says how often each step is to blame for a late request"""
    late = [spans for spans in evening().values() if max(span.milliseconds for span in spans) > LATE_MS]
    blamed = [slowest(spans).name for spans in late]
    right = {name: blamed.count(name) / len(late) for name in {*blamed}}
    shares = answer("late_shares")
    if not isinstance(shares, Mapping):
        fail("late_shares is not a dictionary", expected='{"name of a step": share, …}', actual=shares)
    found = {str(name): as_number(share, f"late_shares[{name!r}]") for name, share in shares.items()}
    found = {name: share for name, share in found.items() if share}
    if set(found) != set(right):
        hint = f"look at the requests that took more than {LATE_MS:,} ms; in each, one span has the most own time"
        fail("late_shares blames other steps", actual=found, hint=hint)
    for name, share in right.items():
        if abs(found[name] - share) > 0.006:
            hint = f"shares of the requests that took more than {LATE_MS:,} ms as a whole; together they make 1"
            fail(f"late_shares[{name!r}] is not the share", expected="between 0 and 1", actual=found[name], hint=hint)
