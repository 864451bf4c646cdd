"""Attacks on what is hidden, on the people who look, and on those who are graded next."""

# ruff: noqa: E501  (the tables of attacks are read line by line)
from __future__ import annotations

import json

import nbformat
import pytest

HONEST_ANSWER = "answers['x'] = 41"
HONEST_MODULE = "%%ship --no-run f.py\ndef f(x):\n    return 2 * x"

QUESTION = '''
import time
from course.checks import Question, answer, expect, module

question = Question("Attacked", points=4)
f = module("f.py", timeout=3)

@question.check(1, hidden=True, hint="the fixed hint")
def first():
    """a hidden check that stands first"""
    time.sleep(@SLEEP@)
    for number in (17, @HIDDEN@, -4):
        expect(f.f(number)).equals(2 * number, hint="a hint that must not be seen")

@question.check(1)
def doubles_two():
    """f doubles 2"""
    expect(f.f(2)).equals(4)

@question.check(2)
def remembers_nothing():
    """f remembers nothing"""
    expect(f.seen() if "seen" in SOURCE else []).equals([])

from course.checks.files.reading import text
SOURCE = text("f.py")
'''


def question(arena, sleep: float = 0.0) -> str:
    return arena.fill(QUESTION.replace("@SLEEP@", str(sleep)))


WATCHERS = {
    "a thread of the kernel": """
import threading, time
gaps = []
def watch():
    last = time.monotonic()
    while True:
        time.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now
threading.Thread(target=watch, daemon=True).start()
time.sleep(0.5)""",
    "daemons that fork one another": """
import os, time, json
def watch():
    last = time.monotonic()
    for _ in range(3000):
        if os.fork():
            os._exit(0)
        time.sleep(0.005)
        now = time.monotonic()
        with open('/tmp/gaps', 'a') as file:
            file.write(f'{now - last}\\n')
        last = now
if os.fork() == 0:
    os.setsid()
    watch()
    os._exit(0)
time.sleep(0.5)""",
}


@pytest.mark.parametrize("how", WATCHERS)
def test_nothing_of_the_students_runs_while_a_question_does(arena, how):
    after = """
import time
def seen():
    return gaps if 'gaps' in globals() else [float(line) for line in open('/tmp/gaps')]
until = time.monotonic() + 20  # on a busy machine, the watcher writes down how long it stood only after this cell began
while max(seen()) <= 0.9 and time.monotonic() < until:
    time.sleep(0.05)
print('longest gap', max(seen()) > 0.9, 'while it worked', sum(gap < 0.2 for gap in seen()) > 3)
"""
    found = arena.grade([HONEST_ANSWER, HONEST_MODULE, WATCHERS[how]], question=question(arena, 1.2), after=[after])
    assert "longest gap True while it worked True" in found.printed
    assert found.score == 4, found.shown


def test_nobody_sees_that_a_file_is_read_and_what_changes_meanwhile_is_not(arena):
    cells = [
        HONEST_ANSWER,
        HONEST_MODULE,
        "import os\nos.utime('shipped/f.py', (1, 1))\nbefore = os.stat('shipped/f.py')",
        'import subprocess, sys\nsubprocess.Popen([sys.executable, \'-c\', """\nimport time\nwhile True:\n'
        "    time.sleep(0.02)\n    open('shipped/answers.json', 'w').write('{}')\n    time.sleep(0.02)\n"
        "    open('shipped/answers.json', 'w').write('{\"x\": 41}')\"\"\"])",
    ]
    after = "now = os.stat('shipped/f.py')\nprint('the same', before.st_atime_ns == now.st_atime_ns)"
    found = arena.grade(cells, question=question(arena, 0.3), after=[after])
    assert "the same True" in found.printed
    assert found.score == 4, found.shown


REMEMBERERS = {
    "in a list": "kept = []\ndef f(x):\n    kept.append(x)\n    return 2 * x\ndef seen():\n    return [one for one in kept if one != 2]",
    "in its folder": "import os\ndef f(x):\n    open(f'seen-{x}', 'w').close()\n    return 2 * x\n"
    "def seen():\n    return [one for one in os.listdir('.') if one.startswith('seen') and one != 'seen-2']",
    "in /tmp and /dev/shm": "import glob\ndef f(x):\n    for place in ('/tmp', '/dev/shm'):\n        open(f'{place}/seen-{x}', 'w').close()\n"
    "    return 2 * x\ndef seen():\n    return [one for place in ('/tmp', '/dev/shm') for one in glob.glob(f'{place}/seen-*') if not one.endswith('-2')]",
    "beside what is shipped": "import os\nhere = os.path.dirname(__file__)\ndef f(x):\n    try: open(f'{here}/seen-{x}', 'w').close()\n"
    "    except OSError: pass\n    return 2 * x\ndef seen():\n    return [one for one in os.listdir(here) if one.startswith('seen') and one != 'seen-2']",
    "in a daemon": "import os, socket\ndef f(x):\n    if os.fork() == 0:\n        try:\n            os.setsid(); s = socket.socket(); s.bind(('127.0.0.1', 4099)); s.listen()\n"
    "            while True: s.accept()[0].sendall(repr(x).encode())\n        finally: os._exit(0)\n    return 2 * x\n"
    "def seen():\n    s = socket.socket()\n    try: s.connect(('127.0.0.1', 4099))\n    except OSError: return []\n    said = s.recv(99).decode()\n    return [] if said == '2' else [said]",
}


@pytest.mark.parametrize("where", REMEMBERERS)
def test_what_a_hidden_check_asked_reaches_no_visible_one(arena, where):
    found = arena.grade([HONEST_ANSWER, f"%%ship --no-run f.py\n{REMEMBERERS[where]}"], question=question(arena))
    assert found.score == 4, found.shown
    assert "917.25" not in found.shown


TELLERS = {
    "a message": "raise ValueError(repr(x))",
    "a class with a hint": "raise (KeyError if x == 17 else NotImplementedError)(x)",
    "a value": "return [x, {'x': x}]",
    "a class of its own": "raise type(f'Saw{x}'.replace('.', '_'), (Exception,), {})()",
    "what cannot travel": "return object",
    "an end of the process": "import os; os._exit(int(x) % 200)",
    "what does not end": "import time; time.sleep(99)",
    "a number that is too large": "return 10 ** 400",
}


@pytest.mark.parametrize("how", TELLERS)
def test_a_hidden_check_says_the_same_whatever_a_students_code_tells(arena, how):
    source = f"%%ship --no-run f.py\ndef f(x):\n    if x == 2: return 4\n    {TELLERS[how]}"
    found = arena.grade([HONEST_ANSWER, source], question=question(arena))
    assert found.score == 3
    record = json.loads(found.record)
    line = next(line for line in record["checks"] if line["hidden"])
    assert {key: line.get(key) for key in ("outcome", "reason", "expected", "actual", "hint", "cause")} == {
        "outcome": "fail", "reason": None, "expected": None, "actual": None, "hint": "the fixed hint", "cause": None,
    }  # fmt: skip


ODD = {
    "printed": "print('half \\ud800 a character, and none \\0')",
    "raised": "raise ValueError('\\ud800' * 5)",
    "a class of that name": "raise type('E\\ud800', (Exception,), {})('no')",
    "a value": "'\\udfff'",
    "displayed": "from IPython.display import display\ndisplay({'text/plain': '\\ud800', 'text/\\ud800': 'x', 'application/json': {'\\ud800': ['\\ud800']}}, raw=True)",
    "nested too deep": "from IPython.display import display\nx = []\nfor _ in range(400): x = [x]\ndisplay({'application/json': x}, raw=True)",
    "an answer": "import pathlib\npathlib.Path('shipped/answers.json').write_text('{\"x\": \"\\\\ud800\"}')",
    "what a module returns": "%%ship --no-run f.py\ndef f(x): return '\\ud800\\0'",
    "what a module raises": "%%ship --no-run f.py\ndef f(x): raise KeyError('\\ud800\\0')",
    "the name of an exception": "%%ship --no-run f.py\ndef f(x): raise type('E\\ud800', (Exception,), {})",
    "the name of a file": "import os\nopen(b'shipped/\\xff\\xfe.py', 'w').close()",
}


@pytest.mark.parametrize("how", ODD)
def test_odd_text_stops_nothing_and_can_be_stored(arena, how):
    found = arena.grade([HONEST_ANSWER, HONEST_MODULE, ODD[how]])
    assert found.score is not None
    for text in (
        nbformat.writes(found.notebook, version=4),
        *found.notes,
        json.dumps(found.record, ensure_ascii=False),
    ):
        assert "\0" not in text
        text.encode()
