"""Are messages read with care: what can be used is returned, and what cannot is refused with the right reason?"""

import json
from typing import Any

from course.checks import Module, Question, expect, fail, fixture, module

question = Question("Messages", points=4)
GOOD: dict[str, Any] = {
    "schema": 1,
    "flight": "UA-1545-2013-11-28-EWR",
    "revision": 2,
    "carrier": "UA",
    "origin": "EWR",
    "dest": "ORD",
    "distance": 719,
    "planned_departure": "2013-11-28T18:30:00-05:00",
    "planned_arrival": "2013-11-28T20:10:00-06:00",
}


@fixture
def messages() -> Module:
    """The shipped module, called in a process of its own."""
    return module("messages.py")


def body(**changed: Any) -> bytes:
    """A good message with other values; None removes a key."""
    message = {**GOOD, **changed}
    return json.dumps({key: value for key, value in message.items() if value is not None}).encode()


def must_refuse(messages: Module, data: bytes, codes: str, what: str) -> None:
    """Fail unless parse() raises a ValueError whose text begins with one of some codes."""
    reply = messages.parse.reply(data)
    reply.must_raise("ValueError", f"parse() of {what}")
    text = str(reply.message)
    if not text.startswith(tuple(codes.split())):
        hint = 'raise ValueError("not-json: …"): the text begins with the code'
        fail(f"parse() of {what} refuses with another reason", expected=codes, actual=text[:200], hint=hint)


@question.check(points=1)
def good_messages_are_returned(messages: Module) -> None:
    """a good message is returned as a flight, without the key schema"""
    flight = {key: value for key, value in GOOD.items() if key != "schema"}
    expect(messages.parse(body()), "parse() of a good message").equals(flight)


@question.check(points=1)
def each_reason_has_its_code(messages: Module) -> None:
    """each of four bad messages is refused with the code of its reason"""
    must_refuse(messages, b'{"flight": ', "not-json", "half a message")
    must_refuse(messages, body(schema=2), "wrong-schema", "a message of schema 2")
    must_refuse(messages, body(gate="C7"), "wrong-fields", "a message with an unknown field")
    must_refuse(messages, b"x" * 70_000, "too-large", "70,000 bytes")


### BEGIN HIDDEN TESTS
@question.check(
    points=1, hidden=True, hint="bytes that are no text, and lists in lists in lists: what does json raise?"
)
def strange_bytes_are_no_json(messages: Module) -> None:
    """bytes that are no text, nothing at all, and 60,000 open brackets are refused, too"""
    for data, what in ((b"\xff\xfe\x00", "bytes that are no text"), (b"", "an empty message")):
        must_refuse(messages, data, "not-json", what)
    must_refuse(messages, b"[" * 60_000, "not-json", "60,000 open brackets")
    must_refuse(messages, json.dumps({**GOOD, "dest": "x" * 70_000}).encode(), "too-large", "a long message in JSON")


@question.check(
    points=1, hidden=True, hint="a list, a missing field, text for a number, true, a number of thirty digits"
)
def fields_have_their_types(messages: Module) -> None:
    """fields are all there, and have their types and bounds"""
    must_refuse(messages, json.dumps([GOOD]).encode(), "wrong-fields wrong-schema", "a list")
    must_refuse(messages, body(dest=None), "wrong-fields", "a message without dest")
    must_refuse(messages, body(carrier=7), "wrong-fields", "a message with carrier 7")
    for value in ("2", True, 2.5, -1, 10**30):
        must_refuse(messages, body(revision=value), "wrong-fields", f"a message with revision {value!r}")
    must_refuse(messages, body(schema=None), "wrong-schema wrong-fields", "a message without schema")
    expect(messages.parse(body(distance=0, revision=1_000_000))["revision"], "revision").equals(1_000_000)


### END HIDDEN TESTS
