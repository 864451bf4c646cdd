"""Attacks of a worker on the grader's broker: each earns nothing, and the broker lives on."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from course import broker
from course.checks import stream
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed
from course.grading.sandbox import launcher, policy, zygote

pytest.importorskip("nats", reason="make extra LAB=07")

WORKER = """
    import asyncio, os, pathlib, socket, sqlite3
    import nats
    from course import broker

    def write(*rows):
        with sqlite3.connect(os.environ["DATABASE"]) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS scores (flight, model, revision, score)")
            connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?)", rows)

    def swallow():
        queue = broker.connect(os.environ["BROKER"], in_flight=8, ack_wait=5)
        for delivery in queue.fetch(8, wait=5):
            delivery.ack()

    ATTACK
"""
ATTACKS = {  # attack → what the worker does, and the reason that it gets
    "rows of other flights": (
        'write(*[(f"AA-{number}", "graded", 1, 0.5) for number in range(300)]); swallow()',
        "have no row|never sent",
    ),
    "answers from a recorded list": (
        'write(*[(f"UA-{number}", "graded", 1, 0.5) for number in range(3)]); swallow()',
        "has the wrong score",
    ),
    "a table without end": (
        'write(*[("UA-0", "graded", 1, 0.5)] * 50_000); swallow()',
        "more than 5,000 rows",
    ),
    "a view that counts for ever": (
        'sqlite3.connect(os.environ["DATABASE"]).executescript("CREATE VIEW scores AS WITH RECURSIVE c(flight) AS '
        "(SELECT 1 UNION ALL SELECT flight + 1 FROM c) "
        'SELECT sum(flight) flight, 1 model, 1 revision, 1 score FROM c")\n'
        "swallow()",
        "cannot be read|gives no answer",
    ),
    "the broker's files": (
        'found = [place for top in ("/tmp", "..") for place in pathlib.Path(top).rglob("*.blk")]\n'
        "write(*[(str(place), 'graded', 1, 0.5) for place in found]); swallow()",
        "have no row",
    ),
    "a flood of flights": (
        "async def flood():\n"
        '    client = await nats.connect(os.environ["BROKER"], error_cb=lambda _: asyncio.sleep(0))\n'
        "    for _ in range(20_000): await client.publish('flights', b'x' * 1000)\n"
        "    await client.flush()\n"
        "asyncio.run(flood()); swallow()",
        "have no row",
    ),
    "connections without end": (
        "port = int(os.environ['BROKER'].rpartition(':')[2])\n"
        "wires = [socket.create_connection(('127.0.0.1', port)) for _ in range(150)]\n"
        "[wire.sendall(b'x' * 100_000) for wire in wires[:20]]",
        "have no row|asked for no message|the worker ended|no answer",
    ),
}


@pytest.fixture
def attacked(warm, tmp_path, monkeypatch):
    """A function that ships an attack; what checks start is in the sandbox."""
    if policy.why_not() is not None:
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    if broker.program() is None:
        pytest.skip("nats-server is not installed")
    tmp_path.chmod(0o755)
    monkeypatch.setenv(zygote.ENVIRONMENT, warm.path)
    monkeypatch.setattr(processes, "start_process", launcher.start)
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))

    def ship(attack: str) -> None:
        source = textwrap.dedent(WORKER).replace("ATTACK", attack)
        (Path(tmp_path) / "worker.py").write_text(source)

    return ship


def judge(made: stream.Stage, sent: list[dict]) -> None:
    """Wait for the work, and look at the rows, whatever came of waiting."""
    try:
        made.finish(10)
    finally:
        made.must_have(sent)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_broker_earns_nothing(attacked, attack):
    source, reason = ATTACKS[attack]
    attacked(source)
    sent = [{"flight": f"UA-{number}", "revision": 1} for number in range(3)]
    with stream.stage() as made:
        made.publish(*sent)
        made.start()
        with pytest.raises(CheckFailed, match=reason):
            judge(made, sent)
        assert made.publish(*sent) == [4, 5, 6]  # nothing else reached the stream, and the broker lives on
