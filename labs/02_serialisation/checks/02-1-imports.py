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
