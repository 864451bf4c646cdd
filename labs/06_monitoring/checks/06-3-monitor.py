"""Does the monitor give the right verdict for windows that it has not seen, and the place to look?"""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from course import production
from course.checks import CheckFailed, Module, Question, Unmet, as_dict, as_text, fail, fixture, module, text

question = Question("The monitor", points=14, deadline_s=600)
VERDICTS = ("fine", "data fault", "inputs changed", "model off")
CALL_S = 20
Window: TypeAlias = pd.DataFrame
Incident: TypeAlias = Callable[[Window], Window]


@dataclass(frozen=True)
class Judgement:
    """What the monitor returned for one window."""

    verdict: str
    where: str
    because: object
    reply: object


@fixture
def monitor() -> Module:
    """The shipped module, called in a process of its own."""
    return module("monitor.py", timeout=CALL_S)


@functools.cache
def windows(start: str) -> tuple[Window, Window]:
    """A window and its past, made once."""
    return production.window_and_past(start)


def judged(monitor: Module, window: Window, past: Window) -> Judgement:
    """What the monitor makes of a window; the check fails where that is no judgement."""
    reply = as_dict(monitor.judge(window, past), "what judge() returns", hint="a dictionary with verdict and where")
    verdict = as_text(reply.get("verdict"), "the verdict", hint=f"one of {', '.join(map(repr, VERDICTS))}")
    plain = " ".join(verdict.lower().replace("_", " ").replace("-", " ").split())
    if plain not in VERDICTS:
        fail("judge() returns a verdict of its own", expected=" or ".join(map(repr, VERDICTS)), got=verdict)
    return Judgement(plain, str(reply.get("where", "")).strip(), reply.get("because"), reply)


def must_be(judgement: Judgement, verdict: str, what: str) -> None:
    """Fail unless this is the verdict."""
    if judgement.verdict != verdict:
        fail(what, expected=verdict, got=judgement.reply)


@question.check(points=1)
def a_quiet_month_is_fine(monitor: Module) -> None:
    """a quiet month is fine"""
    must_be(judged(monitor, *windows("2013-05-06")), "fine", "the 28 days from 6 May 2013 are sound")


@question.check(points=1)
def a_renamed_carrier_is_a_data_fault(monitor: Module) -> None:
    """a carrier under a code that no airline has"""
    window, past = windows("2013-05-06")
    renamed = production.renamed(window, "UA", "UAL")
    must_be(judged(monitor, renamed, past), "data fault", "in the 28 days from 6 May 2013, UA is called UAL")


@question.check(points=1)
def september_is_the_model(monitor: Module) -> None:
    """September, in which the model expects twice as many late flights as there are"""
    what = "in the 28 days from 2 September 2013 the data are sound, and every second warning is one too many"
    must_be(judged(monitor, *windows("2013-09-02")), "model off", what)
