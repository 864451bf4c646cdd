"""Attacks of tests that are judged: a test that tells right from broken code without looking at what the code does.

Each signal below is something that a test can look at. A leak is a signal that differs between versions, or between
the first and a later run of the same version. So all are read in several runs, and must be the same in each.
"""

# ruff: noqa: E501  (the table of signals is read line by line)
from __future__ import annotations

import textwrap

import pytest

from course.checks import Mutation, Question, tests, variant
from course.checks.core import processes
from course.checks.python import suites
from course.grading.sandbox import launcher, policy, zygote

MARK = "canary" + "-of-the-version"  # the student's file may name the parts
CODE = f'MARK = None\n_secret = "{MARK}"\n\n\ndef double(number):\n    """Twice the number."""\n    return number * 2  # {MARK}\n'
OTHER = CODE.replace("number * 2", "number + number")
BROKEN = CODE.replace("number * 2", "number * 3")

SIGNALS = {  # what a test looks at → code whose last expression is the signal
    "flags of Python": "sys.flags, sys.argv, sys._xoptions, sys.warnoptions",
    "options of pytest": "{k: v for k, v in vars(request.config.option).items() if k not in ('file_or_dir', 'rootdir', 'basetemp', 'confcutdir')}",
    "plugins of pytest": "sorted(str(name) for name, _ in request.config.pluginmanager.list_name_plugin() if not name.isdigit() and '/run-' not in name)",
    "environment": "sorted((k, v) for k, v in os.environ.items() if k not in ('COURSE_PROCESS', 'HOME', 'TMPDIR', 'PYTEST_CURRENT_TEST', 'PYTEST_VERSION'))",
    "limits": "[resource.getrlimit(kind) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)]",
    "process ids": "os.getpid(), os.getppid(), os.getpgrp(), sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[:3]",
    "open files": "sorted(os.listdir('/proc/self/fd'))",
    "files beside the test": "sorted(os.listdir('.'))",
    "files all over": "sorted(str(p) for p in pathlib.Path('/').glob('*') if p.name != 'proc'), os.listdir('/dev/shm'), len(os.listdir(tempfile.gettempdir()))",
    "files with the code in them": "[str(p) for top in ('.', '/tmp', '/dev/shm', os.path.expanduser('~')) for p in pathlib.Path(top).rglob('*.py') if p.name != 'test_it.py' and 'CANARY' in p.read_text(errors='ignore')]",
    "the module's file": "getattr(code_under_test, '__file__', None), getattr(code_under_test, '__cached__', None), code_under_test.__spec__.origin",
    "the source": "attempt(lambda: inspect.getsource(code_under_test)), attempt(lambda: inspect.getsource(double))",
    "the source of the source": "attempt(lambda: code_under_test.__loader__.get_source('code_under_test')), attempt(lambda: code_under_test.__loader__.get_data('code_under_test.py'))",
    "linecache": "sorted(k for k in linecache.cache if 'code_under' in k)",
    "the byte code": "hashlib.sha256(double.__code__.co_code).hexdigest(), [c for c in double.__code__.co_consts if isinstance(c, str)]",
    "closures": "[type(c.cell_contents).__name__ for c in double.__closure__ or ()], sorted(double.__globals__)[:5]",
    "names and documents": "double.__doc__, double.__name__, str(inspect.signature(double)), sorted(n for n in vars(code_under_test) if n not in ('__spec__', '__loader__'))",
    "all objects": "sum('CANARY' in o for o in gc.get_objects() if type(o) in (tuple, list) and len(o) < 50), sum(type(o) is types.CodeType and 'code_under' in o.co_filename for o in gc.get_objects())",
    "frames": "[f.f_code.co_name for f in sys._current_frames().values()]",
    "other processes' memory": "[attempt(lambda p=p: open(f'/proc/{p}/mem', 'rb').read(1)) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()][:4]",
    "other processes' files": "[attempt(lambda p=p: sorted(os.listdir(f'/proc/{p}/fd'))) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()][:4]",
    "other processes' words": "[attempt(lambda p=p: open(f'/proc/{p}/environ').read()) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()][:4]",
    "ptrace": "ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0)",
    "asking for private names": "[attempt(lambda q=q: ask(*q)) for q in (('call', 'code_under_test', '_secret', [], {}), ('call', 'os', 'getcwd', [], {}), ('call', 'code_under_test', '__dict__', [], {}), ('get', 0, '__class__'), ('get', 0, 'x'), ('module', 'sys'), ('module', 'course.sandboxed.code_under_test'), ('answer', b''), ('_module', 'os'))]",
    "a pickle that runs": "attempt(lambda: ask('call', 'code_under_test', 'double', [Evil()], {}))",
    "a pickle of a function": "attempt(lambda: double(os.getcwd)), attempt(lambda: double(code_under_test))",
    "errors of the call": "attempt(lambda: double()), attempt(lambda: double(1, 2))",
    "a counter in a folder": "counted(pathlib.Path(tempfile.gettempdir(), 'counter'))",
    "a counter in the home": "counted(pathlib.Path.home() / 'counter')",
    "a counter in /tmp": "counted(pathlib.Path('/tmp/counter'))",
    "a counter in shared memory": "counted(pathlib.Path('/dev/shm/counter'))",
    "a counter beside pytest": "counted(pathlib.Path(pytest.__file__).with_name('counter'))",
    "a counter of Hypothesis": "counted(pathlib.Path('.hypothesis', 'counter')), counted(pathlib.Path('..', 'counter'))",
    "a daemon with an abstract socket": "daemon()",
    "a port that was used": "port()",
}

TEST_FILE = """
import ctypes, gc, hashlib, inspect, linecache, os, pathlib, pickle, re, resource, socket, sys, tempfile, time, types
import code_under_test, pytest
from code_under_test import double

class Evil:
    def __reduce__(self): return (os.getcwd, ())

def attempt(work):
    try: return repr(work())
    except BaseException as error: return type(error).__name__ + re.sub("0x[0-9a-f]+", "", str(error))[:80]

def ask(*question):
    finder = code_under_test.__loader__
    return finder._channel.ask(*question)

def counted(place):
    try: number = int(place.read_text()) if place.exists() else 0
    except OSError: return "no"
    try: place.parent.mkdir(exist_ok=True); place.write_text(str(number + 1))
    except OSError: pass
    return number

def daemon():
    place = "\\0left-by-an-attack"
    with socket.socket(socket.AF_UNIX) as client:
        try: client.connect(place); return "it lives"
        except OSError: pass
    if os.fork() == 0:
        os.setsid()
        server = socket.socket(socket.AF_UNIX); server.bind(place); server.listen(9)
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    return "none"

def port():
    with socket.socket() as server:
        try: server.bind(("127.0.0.1", 4711))
        except OSError: return "used"
        server.listen(1)
        client = socket.create_connection(("127.0.0.1", 4711)); peer, _ = server.accept()
        peer.close(); client.close()
    return "new"
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """Workers start in a sandbox, from a zygote that has pytest, as when a lab is graded."""
    if policy.why_not():
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    shipped = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch, zygote.Zygote([suites.RUNNER]) as warm:
        patch.setenv(zygote.ENVIRONMENT, warm.path)
        patch.setenv("COURSE_SHIPPED", str(shipped))
        patch.setattr(processes, "start_process", launcher.start)
        yield shipped


def test_what_a_test_can_look_at_is_the_same_for_every_version(sandbox):
    lines = [TEST_FILE.replace("CANARY", "canary-" + "of-the-version")]
    for number, signal in enumerate(SIGNALS.values()):
        signal = signal.replace("'CANARY'", "'canary-' + 'of-the-version'")
        lines.append(
            f"def test_{number}(request):\n    told = repr(({signal}))\n"
            f"    assert False, str(hashlib.sha256(told.encode()).hexdigest()[:12]) + told[:300]\n"
        )
    (sandbox / "test_it.py").write_text("\n".join(lines))
    suite = tests("test_it.py")
    told: list[dict[str, str]] = []
    for code in (CODE, BROKEN, OTHER, CODE):
        run = suite.run({"code_under_test.py": code}, timeout=20)
        assert run.problem is None
        assert not run.green_names
        told.append({str(failure["name"]): str(failure["message"]) for failure in run.failures})
    for number, name in enumerate(SIGNALS):
        values = [messages[f"test_{number}"].replace("AssertionError: ", "") for messages in told]
        assert len(set(values)) == 1, f"{name} tells versions apart:\n" + "\n".join(values)
        assert MARK not in "".join(values), name
    everything = "\n".join("\n".join(messages.values()) for messages in told)
    assert "it lives" not in everything
    assert everything.count("UnpicklingError") + everything.count("NoData") >= 4


ATTACKS = {
    "the flags of another run": "def test(request):\n    double(1)\n    assert request.config.getoption('maxfail') != 1",
    "the order of runs": "import pathlib\ndef test():\n    double(1)\n    p = pathlib.Path('/tmp/n')\n"
    "    n = len(p.read_text()) if p.exists() else 0\n    p.write_text('x' * (n + 1))\n    assert n < 3",
    "the code that is known": "import hashlib\ndef test():\n    double(1)\n"
    "    assert hashlib.sha256(double.__code__.co_code).hexdigest()[0] in '01234567'",
    "the text beside the test": "import pathlib\ndef test():\n    double(1)\n"
    "    assert '* 3' not in ''.join(p.read_text() for p in pathlib.Path('.').rglob('*.py') if p.name != 'test_it.py')",
    "chance": "import os\ndef test():\n    double(1)\n    assert os.urandom(1)[0] > 4",
    "many guesses at once": "\n".join(
        f"def test_{n}():\n    import hashlib\n    assert hashlib.sha256(f'{n}{{double(3)}}'.encode()).digest()[0] < 128"
        for n in range(40)
    ),
    "the report is forged": "import json, os\ndef test():\n    double(1)\n    for n in (3, 4, 5):\n"
    "        try: os.write(n, json.dumps({'tests': ['a']}).encode() + b'\\n' + json.dumps({'test': 'a', 'outcome': 'passed'}).encode() + b'\\n')\n"
    "        except OSError: pass",
    "the code is killed": "import os, signal\ndef test():\n    double(1)\n    for p in os.listdir('/proc'):\n"
    "        if p.isdigit() and int(p) not in (1, os.getpid()):\n            os.kill(int(p), signal.SIGKILL)",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_tests_that_look_elsewhere_earn_nothing(sandbox, name):
    source = textwrap.dedent(ATTACKS[name])
    (sandbox / "test_it.py").write_text(f"from code_under_test import double\n{source}\n")
    question = Question("Tests of doubling", points=4)
    study = Mutation(question, tests("test_it.py"), {"the code": {"code_under_test.py": CODE}}, points=1)
    study.accepts("another version", {"code_under_test.py": OTHER}, hidden=True)
    broken = [{"code_under_test.py": variant(CODE, ("number * 2", way))} for way in ("number * 3", "number", "0")]
    study.catches("tripling is caught", broken[0], points=1)
    study.catches("the others are caught", broken[1:], points=2, hidden=True)
    result = question.result()
    assert result.score == 0, result.to_text()
    assert not result.needs_person


def test_a_version_is_not_in_the_memory_or_folder_of_the_tests(sandbox):
    source = """
import os, pathlib
from code_under_test import double
def test_it():
    double(1)
    found = 0
    word = ("canary" + "-of-the-version#"[:-1]).encode()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if "rw" in line and "/" not in line and end - start < 1 << 28:
                memory.seek(start)
                try: found += memory.read(end - start).count(word)
                except (OSError, OverflowError, ValueError): pass
    assert False, found
"""
    (sandbox / "test_it.py").write_text(source)
    versions = (CODE, CODE.replace(MARK, "another word"))
    runs = [tests("test_it.py").run({"code_under_test.py": code}, timeout=30) for code in versions]
    assert runs[0].failures == runs[1].failures
    assert len(runs[0].failures) == 1
