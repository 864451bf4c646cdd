"""The doctor, on machines that are broken on purpose: each fault here is real, made with the means of the system."""

from __future__ import annotations

import http.server
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from course.student import doctor


def examine(name: str, **more) -> doctor.Diagnosis:
    return doctor.examine(doctor.CHECKS[name], **more)


def program(folder: Path, name: str, script: str) -> None:
    """A program of that name, in a folder for the PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def unwell(finding: doctor.Diagnosis, *said: str) -> None:
    assert not finding.passed, finding
    assert finding.fix, "a failure without a fix"
    for words in said:
        assert words in f"{finding.detail} | {finding.fix}"


@pytest.mark.parametrize(
    "name", ["python", "packages", "notebook", "model", "parquet", "figure", "git", "make", "data", "disk", "memory"]
)
def test_a_machine_that_can_run_these_tests_passes_what_is_required(name):
    finding = examine(name, timeout=100)
    assert finding.passed, finding
    assert finding.required
    assert finding.fix is None
    assert finding.detail


@pytest.mark.parametrize("name", ["git", "make", "kubectl"])
def test_a_program_that_is_missing_is_named_with_a_way_to_install_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    unwell(examine("cluster" if name == "kubectl" else name), f"there is no {name} on the PATH")


@pytest.mark.parametrize(("manager", "says"), [("apt-get", "sudo apt install git"), ("dnf", "sudo dnf install git")])
def test_the_fix_is_the_package_manager_that_is_here(manager, says, tmp_path, monkeypatch):
    if sys.platform == "darwin":
        pytest.skip("macOS has one answer")
    program(tmp_path, manager, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    unwell(examine("git"), says)


def test_a_git_that_cannot_commit_fails_with_what_git_said(tmp_path, monkeypatch):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    program(hooks, "pre-commit", "echo no commits on Saturdays >&2; exit 1")
    (tmp_path / "config").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    unwell(examine("git"), "no commits on Saturdays", "git config --show-origin")


def test_nobody_has_told_git_who_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.chdir(tmp_path)  # outside the clone, whose own settings count too
    monkeypatch.setenv("PYTHONPATH", str(doctor.CLONE))
    finding = examine("identity")
    unwell(finding, "git config --global user.name")
    assert not finding.required


def test_a_check_that_hangs_is_stopped_with_all_that_it_started(tmp_path, monkeypatch):
    program(tmp_path, "git", f"echo $$ >{tmp_path}/pid; exec sleep 600")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    finding = examine("git", timeout=5)
    unwell(finding, "it did not end within 5 seconds")
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 10  # it was killed, and takes its turn to end
    while (runs := state.exists() and ") Z " not in state.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs


def test_a_library_that_crashes_fails_its_own_check_and_no_other(tmp_path, monkeypatch):
    (tmp_path / "joblib.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = list(doctor.examine_all([doctor.CHECKS["model"], doctor.CHECKS["make"]]))
    unwell(findings[0], "SIGILL", "make env")
    assert findings[1].passed


def test_a_library_that_does_not_import_fails_with_its_message(tmp_path, monkeypatch):
    (tmp_path / "joblib.py").write_text(
        "print('noise')\nraise ImportError('libgomp.so.1: cannot open shared object')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    unwell(examine("model"), "libgomp.so.1")


def test_what_a_library_prints_does_not_reach_the_answer(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "print('greetings from sitecustomize')\nimport os; os.write(1, b'raw\\n')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert examine("python").passed


@pytest.mark.parametrize(
    ("command", "says"),
    [("false", "Kernel died"), ("nosuchprogram", "nosuchprogram")],
)
def test_a_broken_kernel_is_found(command, says, tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": [command, "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    unwell(examine("notebook", timeout=100), says)


def test_a_kernel_of_another_python_is_found(tmp_path, monkeypatch):
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", other], check=True)
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    argv = [
        "env",
        f"PYTHONPATH={packages}",
        f"{other}/bin/python",
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    unwell(examine("notebook", timeout=100), f"another Python, in {other}", "jupyter kernelspec")


def test_a_package_in_another_version_is_found_against_the_lock(tmp_path, monkeypatch):
    lock = "# a comment\nclick==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1.0\nnever==1 ; python_version < '3'\n"
    (tmp_path / "requirements.lock").write_text(lock)
    monkeypatch.setattr(doctor, "CLONE", tmp_path)
    answer = doctor._answer("packages")
    assert "click is " in answer["detail"]
    assert "not 0.0.1; no-such-package is missing" in answer["detail"]
    assert "never" not in answer["detail"]
    assert "make env" in answer["fix"]


def test_a_clone_without_its_lock_says_how_to_get_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CLONE", tmp_path)
    assert "git checkout requirements.lock" in doctor._answer("packages")["fix"]


def test_a_disk_that_is_full_is_found(tmp_path):
    small = f"mount -t tmpfs -o size=64k none {tmp_path}"
    small += f" && TMPDIR={tmp_path} {sys.executable} -m course.student.doctor disk"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", small], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    assert answer["detail"].startswith(f"{tmp_path} has 0.0 GiB free")
    assert answer["fix"]


def test_a_folder_that_refuses_files_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CLONE", Path("/proc/self"))
    answer = doctor._answer("disk")
    assert "/proc/self" in answer["detail"]
    assert answer["fix"]


def test_a_limit_on_memory_is_found():
    limited = f"ulimit -v 1500000; exec {sys.executable} -m course.student.doctor memory"
    done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["detail"] == "1.4 GiB in all, and the course needs 2"


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_limit_of_a_container_counts(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1073741824\n")
    assert min(doctor._memory_limits(tmp_path)) == doctor.GIB
    (tmp_path / name).write_text("max\n")
    assert min(doctor._memory_limits(tmp_path)) > doctor.GIB


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_named(address, monkeypatch):
    with socket.create_server((address, 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(doctor, "_ports", lambda _: {taken: "the test"})
        answer = doctor._answer("ports")
    assert f"taken: {taken} (the test)" in answer["detail"]
    assert doctor._answer("ports") == {"detail": str(taken), "fix": None}


def test_the_ports_are_those_that_the_labs_name(tmp_path):
    (lab := tmp_path / "labs" / "06_monitoring").mkdir(parents=True)
    text = (doctor.CLONE / "solutions" / "01_python_model" / "lab.yaml").read_text()
    (lab / "lab.yaml").write_text(f"{text}ports:\n  9090: the monitor\n")
    assert doctor._ports(tmp_path) == {8888: "JupyterLab", 9090: "the monitor, lab 06"}
    assert doctor._ports(doctor.CLONE)[5001] == "the registry, lab 04"


def test_an_engine_that_does_not_answer_is_optional_and_has_a_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    finding = examine("container")
    unwell(finding, "no container engine answers")
    assert not finding.required


def test_the_engine_is_the_one_that_the_docker_command_would_ask(tmp_path, monkeypatch):
    program(tmp_path, "docker", "echo unix:///home/me/.colima/docker.sock")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert doctor._engine() == "unix:///home/me/.colima/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine:2375")
    assert doctor._engine() == "tcp://engine:2375"


@pytest.mark.engine
def test_a_container_runs_where_the_image_is_and_nothing_is_pulled_where_it_is_not(monkeypatch):
    monkeypatch.setattr(doctor, "BASE_IMAGE", "course-doctor-no-such-image:none")
    answer = doctor._answer("container")
    assert "is not here yet" in answer["detail"]
    assert "docker pull course-doctor-no-such-image:none" in answer["fix"]
    monkeypatch.undo()
    finding = examine("container")
    here = subprocess.run(["docker", "image", "inspect", doctor.BASE_IMAGE], capture_output=True).returncode == 0
    assert finding.passed == here, finding


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """An API server that knows nodes and nothing else; gives a function to set their states."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl on the PATH")
    states: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            items = [{"status": {"conditions": [{"type": "Ready", "status": state}]}} for state in states]
            body = json.dumps({"items": items}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "contexts": [context],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config | {"users": [{"name": "u", "user": {}}]}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield states.extend
    server.shutdown()
    server.server_close()


def test_a_cluster_answers_with_its_ready_nodes(nodes):
    nodes(["True", "False"])
    finding = examine("cluster")
    assert finding.passed
    assert finding.detail == "1 of 2 nodes ready"


def test_a_cluster_without_a_ready_node_is_not_ready(nodes):
    nodes(["False"])
    unwell(examine("cluster"), "none of its 1 nodes is ready", "kubectl describe nodes")


def test_make_works_when_make_started_the_doctor(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "n")
    monkeypatch.setenv("MAKELEVEL", "1")
    assert examine("make").passed


FINE = doctor.Diagnosis("make", "make makes", True, "pass", "GNU Make", None, 0.1)
ILL = doctor.Diagnosis("git", "git commits", True, "fail", "no git", "install it", 0.1)
WITHOUT = doctor.Diagnosis("cluster", "a cluster answers", False, "fail", "none", "kind create cluster", 0.1)


@pytest.mark.parametrize(
    ("findings", "code", "says"),
    [
        ([FINE], 0, "Ready: every check passes."),
        ([FINE, WITHOUT], 0, "Ready: every required check passes; 1 optional one does not."),
        ([ILL, WITHOUT], 1, "Not ready: 1 required check fails."),
        ([ILL, ILL], 1, "Not ready: 2 required checks fail."),
    ],
)
def test_only_a_required_check_decides_the_exit_code(findings, code, says, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine_all", lambda: iter(findings))
    assert doctor.main() == code
    assert says in capsys.readouterr().out
    assert doctor.main(json=True) == code
    assert json.loads(capsys.readouterr().out)["ok"] == (code == 0)


def test_the_json_has_the_documented_fields():
    report = json.loads(doctor.to_json([FINE, ILL]))
    assert list(report) == ["format", "ok", "python", "platform", "checks"]
    assert report["format"] == "course-doctor/1"
    assert list(report["checks"][0]) == ["name", "title", "required", "outcome", "detail", "fix", "seconds"]
    documented = doctor.__doc__
    assert all(field in documented for field in [*report, *report["checks"][0]])


def test_a_failure_shows_its_fix_and_an_optional_one_says_that_it_is():
    assert doctor.to_text(ILL) == "✗ git commits: no git\n    fix: install it"
    assert doctor.to_text(WITHOUT) == "– a cluster answers: none\n    optional; to have it: kind create cluster"
    assert doctor.to_text(FINE) == "✓ make makes: GNU Make"


def test_a_terminal_without_utf_8_gets_plain_signs():
    bytes_shown = io.BytesIO()
    terminal = io.TextIOWrapper(bytes_shown, encoding="ascii")
    doctor._say("✗ git: Zoë has none", terminal)
    assert bytes_shown.getvalue() == b"FAIL git: Zo? has none\n"


def test_every_check_is_registered_once_with_a_title_and_a_fix():
    assert len({check.title for check in doctor.CHECKS.values()}) == len(doctor.CHECKS)
    assert all(check.fix and check.title and check.run.__name__ == name for name, check in doctor.CHECKS.items())
    optional = {name for name, check in doctor.CHECKS.items() if not check.required}
    assert optional == {"extras", "ports", "identity", "container", "cluster", "prometheus", "nginx"}
