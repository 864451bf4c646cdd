"""Does the function name everything that a pickle would import, without opening it?"""

import collections
import io
import json
import math
import pickle
from fractions import Fraction

import joblib
import numpy as np

from course.checks import Module, Question, Unmet, expect, fail, fixture, module
from course.checks.model import pickles

question = Question("What does it ask for?", points=16)


@fixture
def inspection() -> Module:
    """The shipped module, called in a process of its own."""
    return module("inspection.py")


def asked(inspection: Module, data: bytes, what: str) -> list[str]:
    """What imports() says of a pickle that it can read; a list of texts, each once."""
    reply = inspection.imports.reply(data)
    if reply.error is not None:
        raise reply.failure("imports()", "inspection.py")
    if not isinstance(reply.value, (list, tuple, set)) or not all(isinstance(name, str) for name in reply.value):
        fail("imports() returns something else than a list of texts", actual=reply.value)
    if len(set(reply.value)) != len(reply.value):
        fail(f"imports() names something twice, of {what}", actual=reply.value)
    return sorted(reply.value)


def must_raise(inspection: Module, data: bytes, what: str) -> None:
    """imports() must not pretend to have read this."""
    reply = inspection.imports.reply(data)
    if reply.error is None:
        fail(f"{what} was read as if it were one whole pickle", expected="ValueError", actual=repr(reply.value))
    if not reply.raised(*pickles.READING_FAILS):
        fail(f"{what}: imports() raises another error", expected="ValueError", actual=f"{reply.error}: {reply.message}")


def reads_honest_ones(inspection: Module) -> None:
    """Whoever refuses everything, or finds nothing in anything, has not told one pickle from another.

    Today's form or the older one is enough: other checks mind which of them is read.
    """
    replies = [inspection.imports.reply(pickle.dumps([Fraction], protocol=protocol)) for protocol in (4, 2)]
    if not any(reply.error is None and reply.value for reply in replies):
        first = replies[0]
        got = repr(first.value) if first.error is None else f"{first.error}: {first.message}"
        raise Unmet("imports() finds the one name in pickle.dumps([Fraction])", "it does not", actual=got)


def names_of(inspection: Module, protocol: int) -> None:
    """What is pickled in a protocol is named; and a call, which does not run."""
    data = pickle.dumps([Fraction, math.sqrt, collections.OrderedDict, Fraction], protocol=protocol)
    wanted = ["collections.OrderedDict", "fractions.Fraction", "math.sqrt"]
    if (named := asked(inspection, data, f"a pickle of protocol {protocol}")) != wanted:
        fail(
            f"imports() names something else for a pickle of protocol {protocol}",
            expected=", ".join(wanted),
            actual=named,
        )
    title = f"os.system, protocol {protocol}"
    data, call = pickles.protocols("ran-a")[title]
    if (named := asked(inspection, data, title)) != [call]:
        fail(f"imports() names something else for a call of {title}", expected=call, actual=named)
    if pickles.ran(inspection, "ran-a"):
        fail(f"{title}: the pickle was opened, and what it holds ran", hint="walk through steps(data); open nothing")


@question.check(points=3)
def names_what_is_imported(inspection: Module) -> None:
    """it names what today's pickles import (protocols 4 and 5), and runs nothing"""
    names_of(inspection, 4)
    names_of(inspection, 5)


@question.check(points=2)
def names_what_older_ones_import(inspection: Module) -> None:
    """it names what older pickles import (protocols 0 to 3), and runs nothing"""
    for protocol in range(4):
        names_of(inspection, protocol)


@question.check(points=1)
def data_asks_for_nothing(inspection: Module) -> None:
    """plain data ask for nothing"""
    reads_honest_ones(inspection)
    for protocol in range(6):
        data = pickle.dumps({"os": "system", "n": [1, 2.5, None], "t": ("builtins", "eval")}, protocol=protocol)
        expect(asked(inspection, data, "plain data"), "what plain data ask for").equals([])


@question.check(points=2)
def damage_is_not_called_harmless(inspection: Module) -> None:
    """what is empty or cut off raises a ValueError"""
    reads_honest_ones(inspection)
    whole = pickle.dumps([Fraction(1, 3), "JFK"])
    must_raise(inspection, b"", "nothing at all")
    for length in (1, 12, len(whole) // 2, len(whole) - 1):
        must_raise(inspection, whole[:length], f"a pickle cut off after {length} of {len(whole)} bytes")


### BEGIN HIDDEN TESTS


@question.check(
    points=2,
    hidden=True,
    hint="a name may be written once and later come from the memo: look at step.stack, not at the texts read last",
)
def names_come_from_the_memo_too(inspection: Module) -> None:
    """names that are written once and used again are found"""
    data = pickle.dumps([collections.OrderedDict, collections.Counter, json.dumps, "fractions", collections.deque])
    wanted = ["collections.Counter", "collections.OrderedDict", "collections.deque", "json.dumps"]
    expect(asked(inspection, data, "several names of one module")).equals(wanted)
    for title in ("names from the memo", "names from the memo, by long numbers"):
        data, name = pickles.disguised("ran-b")[title]
        expect(name in asked(inspection, data, title)).equals(True)


@question.check(
    points=3,
    hidden=True,
    hint="INST imports, too; and what lies on the stack is not always what was written last",
)
def disguises_are_seen_through(inspection: Module) -> None:
    """names that somebody tried to hide are found"""
    for title, (data, wanted) in pickles.disguised("ran-c").items():
        expect(wanted in asked(inspection, data, title), title).equals(True)
        expect(pickles.ran(inspection, "ran-c")).equals(False)


@question.check(
    points=2,
    hidden=True,
    hint="a reader of pickles stops at STOP; what stands behind it was not looked at",
)
def what_follows_the_end_is_not_overlooked(inspection: Module) -> None:
    """a file that goes on after its end, is compressed, or is no pickle raises a ValueError"""
    reads_honest_ones(inspection)
    whole = pickle.dumps([1, 2])
    for more, what in {b" \n": "white space", b"\0": "a zero byte", b".": "a second STOP"}.items():
        must_raise(inspection, whole + more, f"a pickle with {what} behind it")
    must_raise(
        inspection, whole + pickles.protocols("ran-d")["os.system, protocol 4"][0], "a second pickle behind the first"
    )
    for how in (0, 3, ("gzip", 3)):
        file = io.BytesIO()
        joblib.dump({"codes": np.array(["AA", "UA"], dtype=object), "weights": np.arange(40.0)}, file, compress=how)
        must_raise(inspection, file.getvalue(), f"a file of joblib, compress={how}")
    for noise in (
        b"hello, this is no pickle at all",
        b"PK\x03\x04" + bytes(40),
        bytes(64),
        b"\x80\x04h\x07.",
        b"\x80\x040.",
    ):
        must_raise(inspection, noise, "what is no pickle")


@question.check(points=1, hidden=True, hint="is what you took from the stack a text? None is not")
def unknown_names_are_not_guessed(inspection: Module) -> None:
    """a name that is only put together while the pickle is opened raises a ValueError"""
    reads_honest_ones(inspection)
    joined = pickles.call(pickles.name("fractions", "Fraction"), pickles.text("1/3"))
    must_raise(
        inspection, pickles.whole(joined + pickles.text("system") + b"\x93"), "a module that is the result of a call"
    )
    must_raise(inspection, pickles.whole(pickles.text("os") + b"N\x93"), "None as a name")
    must_raise(inspection, pickles.whole(pickles.text("os") + b"\x93"), "a STACK_GLOBAL with one text")


### END HIDDEN TESTS
