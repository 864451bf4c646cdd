"""Does each flight have its score, whatever becomes of messages, workers and the broker?"""

import contextlib
import json
import secrets
import signal
import time
from collections.abc import Iterator
from typing import Any

from course.checks import Question, expect, fail
from course.checks.stream import Stage, stage

question = Question("The worker", points=10, deadline_s=240)
HELP: dict[str, str] = {}  # when grading: modules of ours, for a worker whose own do not work at all
MARK = secrets.token_hex(3)
CODES = ("too-large", "not-json", "wrong-schema", "wrong-fields")


def message(number: int, revision: int = 1) -> dict[str, Any]:
    """A good message."""
    return {
        "schema": 1,
        "flight": f"UA-{number}-{MARK}",
        "revision": revision,
        "carrier": "UA",
        "origin": "EWR",
        "dest": "ORD",
        "distance": 700 + number,
        "planned_departure": f"2013-11-28T{6 + number % 12:02d}:{revision % 60:02d}:00-05:00",
        "planned_arrival": "2013-11-28T20:10:00-06:00",
    }


def flights(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The flights of some messages."""
    return [{key: value for key, value in one.items() if key != "schema"} for one in messages]


TRIALS = {
    "messages.py": f"""
from messages import parse
assert parse({json.dumps(message(1)).encode()!r})["revision"] == 1
try:
    parse(b"not json")
except ValueError:
    pass
else:
    raise SystemExit("parse() takes everything")
""",
    "effects.py": """
from effects import write
write("trial.db", [{"flight": "UA-1", "model": "v1", "revision": 1, "score": 0.5}])
""",
}


@contextlib.contextmanager
def scene(seconds: float = 0.0) -> Iterator[Stage]:
    """A broker and the shipped files."""
    with stage(seconds=seconds) as made:
        for name, module in HELP.items():
            if made.run(TRIALS[name], "trial"):
                made.fill({name: module})
        yield made


def must_be_dead(made: Stage, reasons: dict[int, str]) -> None:
    """Fail unless these messages, and no others, are dead letters, each with the code of its reason."""
    found = {one["number"]: one for one in made.dead()}
    for number, code in reasons.items():
        if number not in found:
            hint = "queue.dead(body, reason, delivery.number), before delivery.ack()"
            fail(f"no dead letter for message {number} ({code})", actual=sorted(map(str, found)), hint=hint)
        if not found[number]["reason"].startswith(code):
            fail("a dead letter has another reason", expected=code, actual=found[number]["reason"][:200])
    if extra := [found[number] for number in found if number not in reasons]:
        fail(
            "a message is a dead letter that could be used", actual=f"{extra[0]['number']}: {extra[0]['reason'][:200]}"
        )


@question.check(points=1)
def flights_are_scored() -> None:
    """each flight has one row with its score, and its message is acknowledged"""
    sent = [message(number) for number in range(12)]
    with scene() as made:
        made.publish(*sent)
        made.start()
        made.finish()
        made.must_have(flights(*sent))


@question.check(points=1)
def duplicates_and_corrections() -> None:
    """a message that arrives twice has one effect, and a correction wins, in whatever order they arrive"""
    sent = [message(1), message(2, 3), message(1), message(2, 3), message(2, 2), message(3, 1), message(3, 2)]
    with scene() as made:
        made.publish(*sent)
        made.start()
        made.finish()
        made.must_have(flights(message(1), message(2, 3), message(3, 2)))


@question.check(points=1)
def poison_is_kept() -> None:
    """poison is kept with its reason, and the flights before and after it are scored"""
    with scene() as made:
        poison: list[Any] = [10_000_000, b"\xff{", {**message(4), "schema": 2}, {**message(5), "gate": "C7"}]
        numbers = made.publish(message(1), *poison, message(2))
        made.start()
        made.finish()
        made.must_have(flights(message(1), message(2)))
        must_be_dead(made, dict(zip(numbers[1:5], CODES, strict=True)))


### BEGIN HIDDEN TESTS
HELP |= {
    "messages.py": """
import json
KINDS = {"flight": str, "carrier": str, "origin": str, "dest": str, "planned_departure": str, "planned_arrival": str,
         "revision": int, "distance": int}
def parse(body):
    if len(body) > 65536:
        raise ValueError("too-large: it is")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("not-json: it is not") from None
    if not isinstance(message, dict) or message.pop("schema", None) != 1:
        raise ValueError("wrong-schema: not 1")
    if set(message) != set(KINDS) or any(type(message[key]) is not kind for key, kind in KINDS.items()):
        raise ValueError("wrong-fields: other fields")
    return message
""",
    "effects.py": """
import contextlib, sqlite3
def write(database, rows):
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS scores"
                           " (flight TEXT, model TEXT, revision INTEGER, score REAL, PRIMARY KEY (flight, model))")
        connection.executemany("INSERT INTO scores VALUES (:flight, :model, :revision, :score)"
                               " ON CONFLICT (flight, model)"
                               " DO UPDATE SET revision = excluded.revision, score = excluded.score"
                               " WHERE excluded.revision > scores.revision", rows)
""",
}


@question.check(
    points=2,
    hidden=True,
    hint="the row first, the acknowledgement after it: what is lost if the process ends in between?",
)
def a_kill_loses_nothing() -> None:
    """a worker that is killed in the middle of a batch loses nothing"""
    sent = [message(number) for number in range(20)]
    with scene() as made:
        made.publish(*sent)
        made.start(ack_wait=1.0, STUCK=sent[6]["flight"])
        made.until(lambda: made.left() is not None and len(made.rows()) >= 6, 8.0)
        time.sleep(0.7)  # now it is in the middle of the seventh
        made.kill()
        done = 20 - left if (left := made.left()) is not None else 0
        if done > (written := len(made.rows())):
            fail("messages were acknowledged whose rows were not written", expected=written, actual=done)
        made.start("next", ack_wait=1.0)
        made.finish()
        made.must_have(flights(*sent))


@question.check(points=1, hidden=True, hint="the bound belongs to the consumer: in_flight, or max_ack_pending")
def in_flight_is_bounded() -> None:
    """the broker never hands out more than IN_FLIGHT messages that are not acknowledged"""
    sent = [message(number) for number in range(36)]
    with scene(0.05) as made:
        made.publish(*sent)
        made.start(in_flight=5)
        most = 0

        def look() -> bool:
            nonlocal most
            most = max(most, made.unacknowledged())
            return made.left() == 0

        made.until(look)
        expect(most, "messages that are handed out and not acknowledged").is_at_most(5)
        made.finish()
        made.must_have(flights(*sent))


@question.check(points=1, hidden=True, hint="SIGTERM sets a flag; what was begun is finished, what was not goes back")
def it_ends_gracefully() -> None:
    """after SIGTERM it finishes what it began, ends with status 0 within five seconds, and nothing is lost"""
    sent = [message(number) for number in range(16)]
    with scene(0.15) as made:
        made.publish(*sent)
        made.start(ack_wait=3.0)
        made.until(lambda: len(made.rows()) >= 3)
        made.signal(number=signal.SIGTERM)
        expect(made.wait(seconds=5.0), "the exit status (None: it still runs)").equals(0)
        if not 0 < (written := len(made.rows())) < 16:
            fail("it ended only when all was done, or did nothing", expected="some of 16 rows", actual=written)
        expect(16 - (made.left() or 0), "acknowledged messages, with as many rows").equals(written)
        made.start("next", ack_wait=3.0)
        made.finish()
        made.must_have(flights(*sent))


@question.check(points=1, hidden=True, hint="an error of the connection is no reason to end: wait a moment, and go on")
def the_broker_may_restart() -> None:
    """a restart of the broker in the middle of the work loses nothing"""
    sent = [message(number) for number in range(24)]
    with scene(0.05) as made:
        made.publish(*sent[:16])
        made.start(ack_wait=2.0)
        made.until(lambda: len(made.rows()) >= 4)
        made.restart(0.7)
        made.publish(*sent[16:])
        made.finish(30)
        made.must_have(flights(*sent))


@question.check(points=1, hidden=True, hint="what does the worker do when score() raises? and the fifth time?")
def failures_are_tried_again() -> None:
    """a score that fails twice is tried again; one that always fails is a dead letter, and the others go on"""
    sent = [message(number) for number in range(10)]
    with scene() as made:
        numbers = made.publish(*sent)
        made.start(ack_wait=2.0, SHAKY=sent[2]["flight"], BROKEN=sent[4]["flight"])
        made.finish(40)
        made.must_have(flights(*(one for one in sent if one != sent[4])))
        must_be_dead(made, {numbers[4]: "failed"})


@question.check(
    points=1, hidden=True, hint="a batch takes longer than ACK_WAIT: delivery.working(), or smaller batches"
)
def slow_work_is_no_failure() -> None:
    """where a batch takes longer than ACK_WAIT, two workers still score each flight, and nothing is a dead letter"""
    sent = [message(number) for number in range(14)]
    with scene(0.4) as made:
        made.publish(*sent)
        for name in ("first", "second"):
            made.start(name, ack_wait=1.0)
        made.finish(30)
        made.must_have(flights(*sent))
        must_be_dead(made, {})


### END HIDDEN TESTS
