"""The broker of a notebook, and a worker's end of its stream."""

from __future__ import annotations

import os
import shutil
import uuid

import pytest

from course import broker

pytest.importorskip("nats", reason="make extra LAB=07")


@pytest.fixture
def running():
    """A broker that runs."""
    if broker.program() is None:
        pytest.skip("nats-server is not installed: make extra LAB=07")
    made = broker.start()
    yield made
    made.close()


@pytest.fixture
def owner(running):
    """The end of whoever writes flights."""
    made = broker.connect(running.owner)
    yield made
    made.close()


@pytest.fixture
def queue(running):
    """A worker's end."""
    made = broker.connect(running.url, in_flight=2, ack_wait=1.0)
    yield made
    made.close()


def test_a_message_comes_again_until_it_is_acknowledged(owner, queue):
    owner.publish(b"one")
    (first,) = queue.fetch(5, wait=5)
    (second,) = queue.fetch(5, wait=10)
    assert (first.body, first.number, first.tries) == (b"one", 1, 1)
    assert (second.number, second.tries) == (1, 2)
    second.ack()
    assert queue.fetch(5, wait=1.5) == []


def test_what_is_given_back_comes_again_at_once(owner, queue):
    owner.publish(b"one")
    queue.fetch(1, wait=5)[0].retry()
    (again,) = queue.fetch(1, wait=10)
    assert again.tries == 2


def test_no_more_is_handed_out_than_may_be_in_flight(owner, queue):
    for number in range(5):
        owner.publish(str(number).encode())
    assert len(queue.fetch(5, wait=0.5)) == 2


def test_a_worker_may_put_messages_aside_and_write_no_flights(queue):
    queue.dead(b"poison", "not-json:\nno", 7)
    with pytest.raises(broker.BrokerError, match="does not answer"):
        queue.publish(b"one")


def test_a_broker_that_is_away_is_an_error_that_can_be_caught(running, queue):
    queue.fetch(1, wait=0.1)
    running.close()
    with pytest.raises(broker.BrokerError):
        queue.dead(b"poison", "not-json", 1)


@pytest.mark.skipif(shutil.which("rabbitmq-server") is None, reason="rabbitmq-server is not installed")
def test_the_same_calls_work_on_rabbitmq(monkeypatch):
    pytest.importorskip("pika")
    mark = uuid.uuid4().hex
    monkeypatch.setattr(broker, "FLIGHTS", f"flights-{mark}")
    monkeypatch.setattr(broker, "DEAD", f"dead-{mark}")
    try:
        queue = broker.connect(os.environ.get("RABBITMQ", "amqp://guest:guest@127.0.0.1:5672"), in_flight=2)
    except broker.BrokerError:
        pytest.skip("no RabbitMQ answers")
    try:
        queue.publish(b"one")
        (first,) = queue.fetch(1, wait=5)
        first.retry()
        (again,) = queue.fetch(1, wait=5)
        assert (first.tries, again.tries, again.body) == (1, 2, b"one")
        queue.dead(again.body, "not-json", again.number)
        again.ack()
        assert queue.fetch(1, wait=0.5) == []
    finally:
        for name in (broker.FLIGHTS, broker.DEAD):
            queue._channel.queue_delete(name)
        queue.close()
