"""Whatever a student's process does, it ends in time and nothing of it is left running."""

from __future__ import annotations

import gc
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from course.checks.core import processes
from course.checks.core.processes import Stopped, Worker
from course.sandboxed.serialization import WireError

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def python(code: str) -> list[str]:
    """A command that runs some code."""
    return [sys.executable, "-I", "-c", textwrap.dedent(code)]


def alive(mark: str) -> list[int]:
    """Processes whose command line holds a mark; a zombie has none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def none_left(mark: str) -> bool:
    """Nothing with this mark runs, at the latest in five seconds."""
    deadline = time.monotonic() + 5
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(mark)


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """The folder of shipped files."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("COURSE_SHIPPED", str(folder))
    return folder


@pytest.fixture
def worker(shipped):
    """Make a worker that has loaded a module with this source."""
    made = []

    def make(source: str, timeout: float = 20.0) -> Worker:
        (shipped / "work.py").write_text(textwrap.dedent(source))
        one = Worker(timeout=timeout)
        made.append(one)
        assert "error" not in one.request("load", path="work.py")
        return one

    yield make
    for one in made:
        one.close()


def call(worker: Worker, function: str, *args) -> dict:
    """Call a function of the loaded module."""
    return worker.request("call", function=function, args=list(args), kwargs={})


# ------------------------------------------------------------------------------------------------------------------ run


def test_a_command_ends_with_its_status_and_output(tmp_path):
    done = processes.run(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), cwd=tmp_path, timeout=20
    )
    assert (done.returncode, done.ok, sorted(done.output.split())) == (3, False, ["err", "out"])


def test_standard_error_can_be_left_out(tmp_path):
    done = processes.run(
        python("import sys; print('out'); print('err', file=sys.stderr)"), cwd=tmp_path, timeout=20, stderr=False
    )
    assert done.output == "out\n"


def test_a_program_that_is_not_there_ends_with_status_127(tmp_path):
    assert processes.run(["no-such-program-here"], cwd=tmp_path, timeout=20).returncode == 127


def test_arguments_are_not_read_by_a_shell(tmp_path):
    done = processes.run(["printf", "%s|", "$HOME", "a b", "; echo x", "$(id)"], cwd=tmp_path, timeout=20)
    assert done.output == "$HOME|a b|; echo x|$(id)|"


def test_a_loop_is_stopped_at_its_deadline(tmp_path):
    done = processes.run(python("while True: pass"), cwd=tmp_path, timeout=1)
    assert done.timed_out
    assert not done.ok


def test_children_that_leave_their_session_are_ended_too(tmp_path):
    code = """
    import os, time
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(300)   # mark-escaped-7431
            os._exit(0)
    """
    done = processes.run(python(code), cwd=tmp_path, timeout=20)
    assert done.returncode == 0
    assert none_left("mark-escaped-7431")


def test_endless_output_is_cut_and_only_its_end_is_kept(tmp_path):
    code = "import sys\nfor n in range(1_000_000): sys.stdout.write('x' * 100)\nprint('the end')"
    done = processes.run(python(code), cwd=tmp_path, timeout=60)
    assert len(done.output) <= processes.MAX_OUTPUT_BYTES
    assert done.output.endswith("the end\n")


def test_a_process_cannot_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MAX_FILE_MB", 1)
    done = processes.run(["sh", "-c", "yes > big"], cwd=tmp_path, timeout=30)
    assert not done.timed_out
    assert (tmp_path / "big").stat().st_size <= 2**20


def test_a_process_cannot_take_all_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MEMORY_MB", 512)
    done = processes.run(python("x = bytearray(2**30)"), cwd=tmp_path, timeout=30)
    assert "MemoryError" in done.output


def test_nothing_of_the_environment_leaks_in(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "x")
    done = processes.run(["env"], cwd=tmp_path, timeout=20)
    assert "SECRET_OF_THE_GRADER" not in done.output


# --------------------------------------------------------------------------------------------------------------- worker


def test_a_worker_answers_and_keeps_its_state(worker):
    one = worker("count = 0\ndef more():\n    global count\n    count += 1\n    return count")
    assert [call(one, "more")["ok"] for _ in range(3)] == [1, 2, 3]


def test_an_error_of_the_code_is_an_answer(worker):
    one = worker("def broken():\n    return 1 / 0")
    error = call(one, "broken")["error"]
    assert (error["type"], error["file"], error["line"]) == ("ZeroDivisionError", "work.py", 2)


@pytest.mark.parametrize("how", ["raise SystemExit(0)", "raise KeyboardInterrupt", "raise BaseException('x')"])
def test_an_attempt_to_end_politely_is_an_answer(worker, how):
    one = worker(f"def end():\n    {how}\ndef again():\n    return 1")
    assert "error" in call(one, "end")
    assert call(one, "again") == {"ok": 1}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("import os; os._exit(7)", "exit status 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "stopped"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os; os.closerange(3, 4096)", "ended the process|closed its connection"),
    ],
)
def test_a_process_that_is_gone_is_said_to_be_gone(worker, how, says):
    one = worker(f"def end():\n    {how}\n    return 1")
    with pytest.raises(Stopped, match=says):
        call(one, "end")
    assert one.process.poll() is not None


def test_a_call_that_does_not_end_is_stopped_at_its_deadline(worker):
    one = worker("def loop():\n    while True:\n        pass", timeout=4)
    with pytest.raises(Stopped, match="did not finish within 4 seconds"):
        call(one, "loop")
    assert one.process.poll() is not None


def test_a_process_that_no_longer_reads_does_not_block_a_large_request(worker):
    code = """
    import os, signal, threading
    def sleep():
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    """
    one = worker(code, timeout=4)
    call(one, "sleep")
    time.sleep(1)
    with pytest.raises(Stopped, match="did not finish"):
        call(one, "sleep", "x" * 10_000_000)


def test_children_of_a_worker_end_with_it(worker):
    code = """
    import subprocess, sys
    def start():
        code = "import time; time.sleep(300)  # mark-worker-child-5520"
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    """
    one = worker(code)
    call(one, "start")
    deadline = time.monotonic() + 10
    while not alive("mark-worker-child-5520") and time.monotonic() < deadline:
        time.sleep(0.02)  # between fork and exec a process has no command line yet
    assert alive("mark-worker-child-5520")
    one.close()
    assert none_left("mark-worker-child-5520")


def test_a_worker_that_nobody_needs_ends(shipped):
    one = Worker()
    process = one.process
    del one
    gc.collect()
    assert process.poll() is not None


@pytest.mark.parametrize(
    "reply", ["b'\\xff' * 8", "(2).to_bytes(8, 'little') + b'{}'", "(9).to_bytes(8, 'little') + b'not wire!'"]
)
def test_a_forged_answer_is_refused_and_ends_the_process(worker, reply):
    code = f"""
    import os
    def forge():
        for number in range(3, 256):
            try:
                os.write(number, {reply})
            except OSError:
                pass
    """
    one = worker(code)
    with pytest.raises(WireError):
        call(one, "forge")
    assert one.process.poll() is not None


def test_a_value_that_cannot_be_sent_leaves_the_worker_alone(worker):
    one = worker("def same(value):\n    return value")
    with pytest.raises(WireError):
        call(one, "same", object())
    assert call(one, "same", 5) == {"ok": 5}


def test_printing_a_hundred_megabytes_does_not_stop_an_answer(worker):
    one = worker("def talk():\n    for _ in range(1000):\n        print('x' * 100_000)\n    return 1", timeout=40)
    assert call(one, "talk") == {"ok": 1}
    assert len(one.output()) <= processes.MAX_OUTPUT_BYTES


def test_using_too_much_memory_is_an_answer_and_not_the_end_of_the_machine(worker, monkeypatch):
    monkeypatch.setattr(processes, "MEMORY_MB", 2048)
    one = worker("def eat():\n    return len(bytearray(3 * 2**30))")
    assert call(one, "eat")["error"]["type"] == "MemoryError"
