"""Is writing a score twice the same as writing it once?"""

import json
from typing import Any

from course.checks import Question, expect, fail
from course.checks.stream import Stage, stage

question = Question("Effects", points=4)
SCRIPT = """
import json
from effects import write
for rows in json.loads('''ROWS'''):
    write("scores.db", rows)
"""


def row(flight: str, revision: int, score: float, model: str = "v1") -> dict[str, Any]:
    """What write() takes of one flight."""
    return {"flight": flight, "model": model, "revision": revision, "score": score}


def write(place: Stage, *calls: list[dict[str, Any]]) -> None:
    """Call write() with each of some lists of rows, in a process of their own."""
    code = place.run(SCRIPT.replace("ROWS", json.dumps(calls)))
    if code:
        fail("write() raises an exception", actual=place.output() or f"exit status {code}")


def must_be(place: Stage, *expected: dict[str, Any]) -> None:
    """Fail unless the table holds these rows and no others, in any order."""
    wanted = sorted((one["flight"], one["model"], one["revision"], one["score"]) for one in expected)
    expect(sorted(place.rows(), key=str), "the rows of scores").equals(sorted(wanted, key=str))


@question.check(points=1)
def rows_are_written() -> None:
    """rows are written to a database that was not there before"""
    with stage() as place:
        write(place, [row("UA-1", 1, 0.25), row("UA-2", 1, 0.5)])
        must_be(place, row("UA-1", 1, 0.25), row("UA-2", 1, 0.5))


@question.check(points=1)
def twice_is_once() -> None:
    """the same rows again, also within one call, change nothing"""
    with stage() as place:
        once = row("UA-1", 1, 0.25)
        write(place, [once], [once], [once, once])
        must_be(place, once)


### BEGIN HIDDEN TESTS
@question.check(points=1, hidden=True, hint="ON CONFLICT … DO UPDATE SET … WHERE: when does the new row win?")
def the_later_revision_wins() -> None:
    """a later revision replaces an earlier one, never the other way; another model has a row of its own"""
    with stage() as place:
        write(place, [row("UA-1", 1, 0.2)], [row("UA-1", 3, 0.6)], [row("UA-1", 2, 0.4)], [row("UA-1", 2, 0.1, "v2")])
        must_be(place, row("UA-1", 3, 0.6), row("UA-1", 2, 0.1, "v2"))


@question.check(points=1, hidden=True, hint="who finds the database locked waits: sqlite3.connect(…, timeout=…)")
def two_may_write_at_once() -> None:
    """two processes that write at once lose nothing"""
    script = """
import multiprocessing, sys
from effects import write
def work(name):
    for number in range(60):
        write("scores.db", [{"flight": f"{name}-{number}", "model": "v1", "revision": 1, "score": 0.5},
                            {"flight": "both", "model": "v1", "revision": number, "score": number / 100}])
if __name__ == "__main__":
    both = [multiprocessing.Process(target=work, args=[name]) for name in ("UA", "DL")]
    for one in both: one.start()
    for one in both: one.join()
    sys.exit(any(one.exitcode for one in both))
"""
    with stage() as place:
        if place.run(script):
            fail("write() raises an exception when another process writes", actual=place.output())
        names = [(f"{name}-{number}", "v1", 1, 0.5) for name in ("UA", "DL") for number in range(60)]
        expect(sorted(place.rows()), "the rows").equals(sorted([*names, ("both", "v1", 59, 0.59)]))


### END HIDDEN TESTS
