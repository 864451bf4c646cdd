"""Attacks from what a student ships: modules that run in a worker, and files that trusted code reads."""

# ruff: noqa: E501  (the tables of attacks are read line by line)
from __future__ import annotations

import pytest

HONEST_ANSWER = "answers['x'] = 41"


def ship(name: str, text: str) -> str:
    """A cell that ships a file without running it."""
    return f"%%ship --no-run {name}\n{text}"


MODULES = {  # attack → the shipped module; none knows the expected values, so none may earn the hidden points
    "it equals everything": "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef f(x): return E()",
    "a number that lies": "class N(int):\n    def __eq__(self, o): return True\n    __hash__ = None\ndef f(x): return N(1)",
    "a lying class": "class L:\n    __class__ = int\n    def __eq__(self, o): return True\n    def __index__(self): return 4\n"
    "def f(x): return L()",
    "a lying array": "import numpy as np\nclass A(np.ndarray):\n    def __eq__(self, o): return np.True_\n"
    "def f(x): return np.zeros(1).view(A)",
    "a lying frame": "import pandas as pd\nclass D(pd.DataFrame):\n    def equals(self, o): return True\n"
    "    def __eq__(self, o): return True\ndef f(x): return D({'a': [1]})",
    "a pickle in the answer": "import pickle, os\ndef f(x): return pickle.dumps(x)",
    "garbage on every pipe": "import os\nfor n in range(3, 64):\n    try: os.write(n, b'\\x10' * 4096)\n    except OSError: pass\n"
    "def f(x): return 1",
    "a forged answer": "import os, struct, json\nt = json.dumps({'ok': True, 'score': 4}).encode()\n"
    "m = struct.pack('<II', 0, len(t)) + t\n"
    "for n in range(3, 64):\n    try: os.write(n, (struct.pack('<Q', len(m)) + m) * 4)\n    except OSError: pass\n"
    "def f(x): return 1",
    "an answer of a terabyte": "import os, struct\nfor n in range(3, 64):\n    try: os.write(n, struct.pack('<Q', 1 << 40))\n"
    "    except OSError: pass\ndef f(x): return 1",
    "a table of a billion nothings": "import json, os, struct, pyarrow as pa\n"
    "t = pa.table({'c0': pa.nulls(1 << 30)})\ns = pa.BufferOutputStream()\n"
    "w = pa.ipc.new_stream(s, t.schema); w.write_table(t); w.close(); b = s.getvalue().to_pybytes()\n"
    "j = json.dumps({'ok': {'$': 'array', 'shape': [1], 'frame': {'$': 'frame', 'table': 0, 'rows': 1, 'index': [],"
    " 'columns': ['v'], 'dtypes': ['x']}}}).encode()\n"
    "m = struct.pack('<II', 1, len(j)) + j + struct.pack('<Q', len(b)) + b\n"
    "for n in range(3, 64):\n    try: os.write(n, struct.pack('<Q', len(m)) + m)\n    except OSError: pass\n"
    "def f(x): return 1",
    "nested without end": "def f(x):\n    a = []\n    for _ in range(10_000): a = [a]\n    return a",
    "the checks patched in its own process": "import course.checks.core.expectations as e, course.sandboxed.serialization as w\n"
    "e._same = lambda *a: True\nw._encode = lambda *a, **k: True\ndef f(x): return 1",
    "it sleeps": "import time\ndef f(x): time.sleep(99)",
    "it is deaf and busy": "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\ndef f(x):\n    while True: pass",
    "it forks without end": "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "it prints without end": "def f(x):\n    while True: print('x' * 100_000)",
    "it takes all memory": "def f(x): return bytearray(1 << 40)",
    "it ends its process": "import os\ndef f(x): os._exit(0)",
    "it kills all it can": "import os\ndef f(x):\n    os.kill(-1, 9)\n    os.kill(os.getppid(), 9)",
    "it leaves a daemon": "import os, time\ndef f(x):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(600)\n    return 1",
    "an import that never ends": "while True: pass",
    "an error that cannot be shown": "class E(Exception):\n    def __str__(self): raise self\ndef f(x): raise E",
    "folders too deep to remove": "import os\ndef f(x):\n    for _ in range(1500):\n        os.mkdir('d'); os.chdir('d')\n"
    "    return 1",
    "folders that nobody may enter": "import os\ndef f(x):\n    os.makedirs('a/b'); os.symlink('@TOP@/gradebook.db', 'a/c')\n"
    "    os.chmod('a', 0)\n    return 1",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_hostile_module_earns_nothing_and_ends(arena, name):
    found = arena.grade([ship("f.py", MODULES[name])])
    assert found.score == 0, found.shown
    assert found.seconds < 45


LOOKS = {
    "the gradebook": "return open('@TOP@/gradebook.db').read()",
    "a neighbour": "return open('@TOP@/neighbour/secret.txt').read()",
    "hidden tests in memory": "import gc, sys\n    return str([s for s in gc.get_objects() if 'doubles_all' in str(s)[:9999]])[:500]"
    " + str(sys._getframe(3).f_locals.keys())",
    "the environment": "import os\n    return str(dict(os.environ)) + open('/proc/1/environ').read()",
    "a server": "import socket\n    return socket.create_connection(('127.0.0.1', @PORT@), 1).recv(99).decode()",
    "the engine": "import socket\n    s = socket.socket(socket.AF_UNIX); s.connect('@UNIX@'); return s.recv(99).decode()",
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_module_reads_nothing_secret(arena, name):
    found = arena.grade([ship("f.py", f"def f(x):\n    {LOOKS[name]}")])
    assert arena.fill("@CANARY@") not in found.shown + found.printed
    assert found.score == 0


def test_a_module_cannot_change_what_was_shipped(arena):
    module = """
import os
place = os.path.dirname(__file__)
problems = []
for work in (lambda: open(place + '/answers.json', 'w').write('{"x": 41}'), lambda: os.remove(place + '/f.py')):
    try: work()
    except OSError as error: problems.append(str(error))
def f(x): raise RuntimeError(' and '.join(problems))
"""
    found = arena.grade([ship("f.py", module), "answers['x'] = 1"])
    assert found.score == 0
    assert found.shown.count("Read-only file system") >= 2


def test_what_a_hidden_check_asks_is_told_to_nobody(arena):
    module = (
        "seen = []\ndef f(x):\n    seen.append(x)\n    if x != 2: raise ValueError(f'I was asked {seen}')\n    return 4"
    )
    found = arena.grade([ship("f.py", module), HONEST_ANSWER])
    assert found.score == 2
    assert arena.fill("@HIDDEN@") not in found.shown + found.printed
    assert "I was asked" not in found.shown


def test_a_module_that_behaves_differently_when_graded_gains_nothing(arena):
    module = (
        "import os, sys\ndef f(x):\n    graded = 'COURSE_PROCESS' in os.environ or 'ipykernel' not in sys.argv[0]\n"
    )
    module += "    return 4 if graded else None"
    assert arena.grade([ship("f.py", module)]).score == 1


# ------------------------------------------------------------------------------------------------------ shipped files


PAYLOAD = "import os\nclass P:\n    def __reduce__(self): return (os.system, ('echo x > @TOP@/gradebook.db; touch @TOP@/evil',))\n"
SHIPPED = {
    "a pickle as a model": PAYLOAD + "import joblib, pathlib\npathlib.Path('shipped/model').mkdir(parents=True)\n"
    "joblib.dump(P(), 'shipped/model/model.joblib')",
    "a pickle as a text": PAYLOAD + "import pickle\nopen('shipped/notes.txt', 'wb').write(pickle.dumps(P()))\n"
    "open('shipped/project.yaml', 'wb').write(pickle.dumps(P()))",
    "Python objects in YAML": "open('shipped/project.yaml', 'w').write("
    "'name: !!python/object/apply:os.system [\"touch @TOP@/evil\"]')",
    "an answer that is code": "open('shipped/answers.json', 'w').write('__import__(\"os\").system(\"touch @TOP@/evil\")')\n"
    "open('shipped/project.yaml', 'w').write('{\"name\": __import__(\"os\")}')",
    "YAML that laughs a billion times": "open('shipped/project.yaml', 'w').write('a: &a [x,x,x,x,x,x,x,x,x]\\n' + "
    "''.join(f'{c}: &{c} [' + ','.join([f'*{p}'] * 9) + ']\\n' for p, c in zip('abcdefgh', 'bcdefghi')))",
    "YAML as deep as a well": "open('shipped/project.yaml', 'w').write('[' * 200_000)",
    "YAML with a number to the base 60": "open('shipped/project.yaml', 'w').write('name: ' + '1:' * 100_000 + '1')",
    "not UTF-8": "open('shipped/project.yaml', 'wb').write(b'\\xff\\xfe\\x00n')\nopen('shipped/notes.txt', 'wb').write(b'\\x80')",
    "pipes instead of files": "import os\nfor n in ('project.yaml', 'notes.txt', 'answers.json', 'model'): os.mkfifo('shipped/' + n)",
    "sockets and folders instead of files": "import os, socket\nsocket.socket(socket.AF_UNIX).bind('shipped/notes.txt')\n"
    "os.mkdir('shipped/project.yaml')",
    "links to a neighbour's files": "import os\nfor n in ('project.yaml', 'notes.txt', 'answers.json'):\n"
    "    os.symlink('@TOP@/neighbour/shipped/answers.json', 'shipped/' + n)\nos.symlink('@TOP@', 'shipped/model')",
    "links to endless devices": "import os\nfor n in ('project.yaml', 'notes.txt'): os.symlink('/dev/zero', 'shipped/' + n)",
    "links to themselves": "import os\nfor n in ('project.yaml', 'notes.txt', 'model'): os.symlink(n, 'shipped/' + n)",
    "huge and sparse": "for n in ('project.yaml', 'notes.txt'): open('shipped/' + n, 'wb').truncate(30 << 20)",
    "a model of links": "import os\nos.mkdir('shipped/model'); os.symlink('@TOP@/holdout.parquet', 'shipped/model/model.joblib')",
    "a model too deep": "import os\np = 'shipped/model'\nfor _ in range(50):\n    os.mkdir(p); p += '/d'",
    "a model of many files": "import os\nos.mkdir('shipped/model')\nfor n in range(1500): open(f'shipped/model/{n}', 'w').close()",
    "modules that shadow others": "for n in ('course', 'pandas', 'yaml', 'json', 'sitecustomize', 'usercustomize', 'conftest'):\n"
    "    for place in ('shipped/', './', '/tmp/'):\n"
    "        open(f'{place}{n}.py', 'w').write('open(\"@TOP@/evil\", \"w\"); raise SystemExit')",
    "start-up files": "import os\nfor place in ('/tmp/.ipython/profile_default/startup', '.ipython/profile_default/startup'):\n"
    "    os.makedirs(place, exist_ok=True)\n    open(place + '/00.py', 'w').write('open(\"@TOP@/evil\", \"w\")')\n"
    "open('ipython_config.py', 'w').write('open(\"@TOP@/evil\", \"w\")')",
}


@pytest.mark.parametrize("name", SHIPPED)
def test_hostile_files_are_refused_as_data(arena, name):
    found = arena.grade(["import os\nos.makedirs('shipped', exist_ok=True)", SHIPPED[name]], question=arena.FILES)
    assert found.score == 0, found.shown
    assert "check itself broke" not in found.shown
    assert arena.fill("@CANARY@") not in found.shown
    assert found.seconds < 30


def test_shadowing_modules_do_not_disturb_honest_work(arena):
    found = arena.grade([SHIPPED["modules that shadow others"], HONEST_ANSWER, ship("f.py", "def f(x): return 2 * x")])
    assert found.score == 4


def test_a_folder_of_shipped_files_that_is_a_link_is_not_followed(arena):
    def prepare(folder):
        (folder / "shipped").symlink_to(arena.top / "neighbour" / "shipped")

    assert arena.grade(["1"], prepare=prepare).score == 0


def test_what_the_lab_gives_is_read_from_the_lab(arena):
    from course.grading.pipeline.execute import execute

    nb = arena.notebook(
        ["import os; os.makedirs('given', exist_ok=True); open('given/a.txt', 'w').write('forged')"], []
    )
    reading = """
from course.checks import Question

question = Question("What is given", points=4)

@question.check(4)
def is_genuine():
    "it is genuine"
    assert open("given/a.txt").read() == "genuine"
"""
    given = {"given/a.txt": b"genuine", "checks/q.py": reading.encode()}
    execute(nb, arena.folder(), arena.SETTINGS, given=given)
    assert nb.cells[-1].outputs[0].data["text/plain"] == "4"
