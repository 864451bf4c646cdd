"""Does nginx, with the shipped template, give each passenger a version, and show the shadow to nobody?"""

from collections import Counter
from collections.abc import Mapping, Sequence

from scipy.stats import binomtest, chi2_contingency

from course.checks import Question, fail, fixture
from course.checks.http.messages import Request, post
from course.checks.http.services import Heard, Peer
from course.checks.nginx.proxies import Proxy, named, proxy

question = Question("A few first", points=8)
TEMPLATE = "nginx.conf.template"
BACKENDS = ("stable", "canary", "shadow")
UNLIKELY = 1e-6  # what chance gives less often than this is not chance
PASSENGERS = [f"P-{100_000 + number}" for number in range(600)]
PATIENCE_S = 0.5  # what the shadow may cost a caller, by the exercise
NOISE_S = 0.7  # what a busy machine may add to each of several answers


def start(percent: int, experiment: str = "warnings-v2") -> Proxy:
    """nginx with the shipped template, before three backends."""
    values = {"CANARY_PERCENT": str(percent), "STABLE_PERCENT": str(100 - percent), "EXPERIMENT": experiment}
    return proxy(TEMPLATE, values=values, peers=BACKENDS)


@fixture
def fifth() -> Proxy:
    """nginx that gives the canary a fifth of the passengers."""
    return start(20)


def ask(passenger: str | None, **more: str) -> Request:
    """A question about a flight, asked by a passenger or by nobody."""
    headers = {} if passenger is None else {"X-Passenger": passenger}
    return post("/predict", json={"flight": "UA1545"}, headers={**headers, **more})


def versions(nginx: Proxy, passengers: Sequence[str | None]) -> list[str]:
    """Which backend answered each passenger."""
    answers = nginx.many([ask(passenger) for passenger in passengers], clients=8)
    for passenger, answer in zip(passengers, answers, strict=True):
        answer.expect_status(200)
        if answer.text not in ("stable", "canary"):
            fail(f"the answer to the passenger {passenger!r}", expected="that of stable or canary", actual=answer.text)
    return [answer.text for answer in answers]


def must_have(percent: int, given: Sequence[str], which: str) -> None:
    """Fail where the canary's share is not what was planned."""
    count = Counter(given)["canary"]
    if binomtest(count, len(given), percent / 100).pvalue < UNLIKELY:
        fail(f"{which}: passengers who get the canary", expected=f"{percent} %", actual=f"{count} of {len(given)}")


def calls(nginx: Proxy, backend: str, at_least: int) -> list[Heard]:
    """What a backend was asked, once it was asked so often or some seconds have passed."""
    heard = nginx.heard(backend, 3.0)
    for _ in range(20):
        if len(heard) >= at_least or not (more := nginx.heard(backend, 0.3)):
            break
        heard += more
    return heard


def forget(nginx: Proxy) -> None:
    """Forget what the backends heard until now, such as the request that waited for the start."""
    nginx.start()
    for backend in BACKENDS:
        nginx.heard(backend, 0.3 if backend == "shadow" else 0.0)


@question.check(points=1)
def requests_pass_unchanged(fifth: Proxy) -> None:
    """a request reaches a version with its path, body and passenger, and the version's answer comes back as it is"""
    forget(fifth)
    body = {"flight": "UA1545", "origin": "EWR"}
    answer = fifth.post("/predict?explain=yes&n=1", json=body, headers={"X-Passenger": "P-7"}).expect_status(200)
    name = answer.text if answer.text in ("stable", "canary") else "stable"
    heard = calls(fifth, name, 1)
    if not heard:
        fail("the version was not asked, though the caller got an answer", actual=answer.text)
    expected = "POST /predict?explain=yes&n=1 HTTP/"
    if not heard[0].line.startswith(expected):
        fail("the request line that reached the version", expected=f"{expected}…", actual=heard[0].line)
    if heard[0].headers.get("x-passenger") != "P-7" or b'"EWR"' not in heard[0].body:
        fail("the passenger or the body did not reach the version", actual=heard[0].body.decode(errors="replace")[:100])
    for backend in ("stable", "canary"):
        fifth.behave(backend, named("no such flight", status="404 Not Found"))
    try:
        answer = fifth.ask(ask("P-7")).expect_status(404)
        if answer.text != "no such flight":
            fail("the body of an error of the version", expected="no such flight", actual=answer.text)
    finally:
        for backend in ("stable", "canary"):
            fifth.behave(backend, named(backend))


@question.check(points=1)
def a_fifth_gets_the_canary(fifth: Proxy) -> None:
    """with CANARY_PERCENT 20, a fifth of 600 passengers gets the canary, and each one again the same version"""
    given = versions(fifth, PASSENGERS)
    must_have(20, given, "CANARY_PERCENT is 20")
    again = versions(fifth, PASSENGERS[99::-1])[::-1]
    moved = [name for name, one, other in zip(PASSENGERS, given, again, strict=False) if one != other]
    if moved:
        fail(f"{len(moved)} of 100 passengers get another version when they ask again", actual=", ".join(moved[:3]))


@question.check(points=1)
def the_shadow_gets_a_copy(fifth: Proxy) -> None:
    """the shadow gets a copy of each request, with its path, body and passenger"""
    forget(fifth)
    for number in range(8):
        body = {"flight": f"UA{number}"}
        fifth.post(f"/predict?n={number}", json=body, headers={"X-Passenger": f"P-{number}"})
    heard = calls(fifth, "shadow", 8)
    if len(heard) != 8:
        fail("requests that reached the shadow", expected="8, one for each of the callers'", actual=len(heard))
    for number, request in enumerate(sorted(heard, key=lambda one: one.line)):
        path, _, _ = request.line.removeprefix("POST ").rpartition(" ")
        if path != f"/predict?n={number}":
            hint = "$request_uri is the path with which the caller came, with what follows the question mark"
            fail(
                "the request line that reached the shadow",
                expected=f"POST /predict?n={number}",
                actual=request.line,
                hint=hint,
            )
        if f'"UA{number}"'.encode() not in request.body or request.headers.get("x-passenger") != f"P-{number}":
            fail("the copy has another body or passenger", actual=request.body.decode(errors="replace")[:100])


### BEGIN HIDDEN TESTS
NAMES = {
    "5": [f"passenger.{number:04d}@example.com" for number in range(700)],
    "50": [str(2 * number) for number in range(500)],
}


@question.check(points=1, hidden=True, hint="whatever the percentage and the passengers' names are, the share holds")
def other_shares_hold() -> None:
    """other percentages hold, whatever passengers are called"""
    for percent, names in NAMES.items():
        nginx = start(int(percent))
        must_have(int(percent), versions(nginx, names), f"CANARY_PERCENT is {percent}")
        nginx.close()


@question.check(points=1, hidden=True, hint="restart nginx: does a passenger keep the version? And one without a name?")
def it_is_sticky() -> None:
    """a passenger keeps the version when nginx starts again, and who has no name gets stable"""
    nginx = start(50)
    given = versions(nginx, PASSENGERS[:120])
    nginx.restart()
    again = versions(nginx, PASSENGERS[:120])
    if given != again:
        fail("passengers who get another version after a restart of nginx", expected=0, actual=differing(given, again))
    if len(set(given)) == 1:
        fail("120 passengers all get the same version", expected="about half and half", actual=given[0])
    headers: list[Mapping[str, str]] = [{}, {"X-Request-Id": "1"}, {"X-Request-Id": "2"}, {"User-Agent": "other"}]
    for more in headers * 4:
        answer = nginx.ask(post("/predict", json={}, headers=more)).expect_status(200)
        if answer.text != "stable":
            fail("a request without X-Passenger", expected="stable", actual=answer.text)


def differing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many places differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


@question.check(points=1, hidden=True, hint="the name of the experiment takes part in the hash")
def experiments_are_independent() -> None:
    """who gets the canary of one experiment tells nothing about another"""
    rows = []
    for experiment in ("warnings-v2", "prices-v7"):
        nginx = start(50, experiment)
        rows.append(versions(nginx, PASSENGERS[:400]))
        nginx.close()
    pairs = Counter(zip(*rows, strict=True))
    table = [[pairs[one, other] for other in ("stable", "canary")] for one in ("stable", "canary")]
    if any(len(set(row)) == 1 for row in rows):
        fail("an experiment gives everybody the same version", actual=table)
    if chi2_contingency(table).pvalue < UNLIKELY:
        fail("the experiments 'warnings-v2' and 'prices-v7' choose the same passengers", actual=table)


@question.check(points=1, hidden=True, needs=the_shadow_gets_a_copy, hint="stop the shadow, or let it answer 500")
def a_dead_shadow_is_not_seen() -> None:
    """a shadow that answers 500, or is gone, is never seen by callers"""
    nginx = start(20)
    forget(nginx)
    for what in (named("the shadow is broken", status="500 Internal Server Error"), Peer("refuse")):
        nginx.behave("shadow", what)
        versions(nginx, PASSENGERS[:40])
        answers = nginx.converse([ask(name, Connection="keep-alive") for name in PASSENGERS[:6]])
        for answer in answers:
            answer.expect_status(200)


@question.check(
    points=1,
    hidden=True,
    needs=the_shadow_gets_a_copy,
    hint="ask three times over one connection while the shadow hangs: the second answer waits for something",
)
def a_slow_shadow_is_not_seen() -> None:
    """a shadow that hangs costs callers at most half a second, on any request of a connection"""
    nginx = start(20)
    forget(nginx)
    nginx.behave("shadow", Peer("hang"))
    nginx.timeout = 3.0
    answers = nginx.converse([ask(name, Connection="keep-alive") for name in PASSENGERS[:4]])
    for answer in answers:
        answer.expect_status(200)
    fastest = min(answer.seconds for answer in answers[1:])
    if fastest > PATIENCE_S + NOISE_S:
        fail(
            "while the shadow hangs, every later answer on a connection is late",
            expected=f"within {PATIENCE_S:g} s",
            actual=f"{fastest:.1f} s or more",
        )


### END HIDDEN TESTS
