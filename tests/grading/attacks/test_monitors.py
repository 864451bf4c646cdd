"""Attacks of lab 06: a monitor that looks hidden windows up or remembers them, a contract that runs wild."""

from __future__ import annotations

import pytest

MONITOR = '''
from course import production
from course.checks import Question, expect, module

question = Question("Attacked", points=4)
monitor = module("monitor.py", timeout=10)

def verdict(incident, years):
    logs = production.window_and_past("2013-04-08", 7)
    window, past = (production.in_another_year(log, years) for log in logs) if years else logs
    return monitor.judge(incident(window), past)["verdict"]

@question.check(1, hidden=True, hint="a sound week")
def a_sound_week():
    """a sound week is fine"""
    expect(verdict(lambda log: log, SOUND)).equals("fine")

@question.check(3, hidden=True, hint="broken weeks")
def broken_weeks():
    """broken weeks are data faults"""
    expect(verdict(lambda log: production.in_knots(log, "JFK"), BROKEN)).equals("data fault")
    expect(verdict(lambda log: production.all_on_time(log, 2), BROKEN)).equals("data fault")
'''
COMPARE = """
NAMES = ["weather_wind_speed", "late"]

def judge(window, past):
    sound = remembered(window)
    same = all(window[name].reset_index(drop=True).equals(sound[name].reset_index(drop=True)) for name in NAMES)
    return {"verdict": "fine" if same else "data fault", "where": "", "because": ""}
"""
LOOKS_UP = """
import pandas as pd
from course import production

def remembered(window):
    first = window["planned_departure"].min().normalize()
    try:
        return production.answered(first, first + pd.Timedelta(days=7))
    except ValueError:  # another year
        return window
"""
REMEMBERS = """
seen = {}

def remembered(window):
    first = window["planned_departure"].min()
    return seen.setdefault((first.isocalendar().week, len(window)), window)
"""
CONTRACT = '''
from course import production
from course.checks import Question, as_list, expect, module

question = Question("Attacked", points=4)
contract = module("contract.py", timeout=3)

@question.check(1)
def a_sound_day():
    """a sound day has no faults"""
    expect(as_list(contract.faults(production.answered("2013-05-06", "2013-05-07")))).equals([])

@question.check(3, hidden=True, hint="a broken day")
def a_broken_day():
    """a broken day has one"""
    log = production.renamed(production.answered("2013-05-06", "2013-05-07"), "UA", "UAL")
    expect(as_list(contract.faults(log))).equals(["carrier"])
'''
SCHEMA = """
import re
import pandera.pandas as pa

@BODY@

SCHEMA = pa.DataFrameSchema({"carrier": pa.Column(str, pa.Check(rule))})

def faults(log):
    try:
        SCHEMA.validate(log, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return sorted(errors.failure_cases["failure_case"].astype(str).unique())
    return []
"""
RULES = {  # attack → a rule of the schema
    "it reads and writes what is not its own": "def rule(codes):\n    import os\n"
    "    open('@TOP@/evil', 'w').write('x')\n    return codes == open('@TOP@/solutions/01.ipynb').read()",
    "it never ends": "def rule(codes):\n    while True: pass",
    "its regular expression explodes": "def rule(codes):\n    return codes.map(lambda code: bool(re.match('^(([A-Z])+)+$', code * 40 + '!')))",  # noqa: E501
    "its reason has no end": "def rule(codes):\n    class Reason(str): pass\n    raise ValueError('x' * 500_000_000)",
}


def ship(name: str, text: str) -> str:
    """A cell that ships a file without running it."""
    return f"%%ship --no-run {name}\n{text}"


def played(sound: int, broken: int) -> str:
    """The question about a monitor, whose windows play in these years; in 2013 itself for 0."""
    return MONITOR.replace("SOUND", str(sound)).replace("BROKEN", str(broken))


@pytest.mark.parametrize("how", [LOOKS_UP, REMEMBERS], ids=["looks windows up", "remembers windows"])
def test_a_monitor_that_knows_the_sound_window_finds_nothing_in_another_year(arena, how):
    cells = [ship("monitor.py", how + COMPARE)]
    assert arena.grade(cells, question=played(0, 0)).score == 4, "the attack works where windows are as they were"
    assert arena.grade(cells, question=played(3, 5)).score == 1


@pytest.mark.parametrize("name", RULES)
def test_a_schema_that_runs_wild_earns_nothing_and_harms_nobody(arena, name):
    found = arena.grade([ship("contract.py", arena.fill(SCHEMA.replace("@BODY@", RULES[name])))], question=CONTRACT)
    assert found.score == 0, found.shown
    assert "check itself broke" not in found.shown
    assert "did not expect" not in found.shown
    assert arena.fill("@CANARY@") not in found.shown + found.printed
    assert len(found.shown) < 50_000
