"""Grading in a container, where this machine has no sandbox: against a real engine where one answers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from course.grading.pipeline import container, outcomes

LAB = "01_tiny"
REPOSITORY = Path(__file__).resolve().parents[2]
BASE = "python:3.11-slim"


def test_where_there_is_a_sandbox_or_it_is_not_wanted_no_container_is_used(monkeypatch):
    for name in (container.FORCE, container.INSIDE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(container, "engine", lambda: "docker")
    monkeypatch.setattr(container, "_is_sandbox_here", lambda: True)
    assert not container.wanted()
    monkeypatch.setattr(container, "_is_sandbox_here", lambda: False)
    assert container.wanted()
    assert not container.wanted(unsafe=True)
    assert not container.wanted(cluster=True)
    monkeypatch.setenv(container.INSIDE, "1")
    assert not container.wanted()


def test_without_sandbox_and_engine_nothing_is_graded(class_root, run_course, monkeypatch):
    from course.grading.sandbox import policy

    monkeypatch.setattr(container, "engine", lambda: None)
    monkeypatch.setattr(policy, "why_not", lambda: "this is a test")
    result = run_course(class_root, "grade", LAB, "--workers", "1")
    assert result.exit_code == 1
    assert "student code would run without a sandbox" in result.output
    assert outcomes.Store(class_root, LAB).all() == []


def test_a_gradebook_on_a_server_brings_a_network_and_no_password_on_the_command_line():
    assert container._gradebook("sqlite:////x/gradebook.db") == ({}, ["--network", "none"])
    env, options = container._gradebook("postgresql+psycopg://me:secret@localhost/course")
    assert "secret" in env[container.GRADEBOOK]
    assert "secret" not in " ".join(options)


def test_an_ordinary_user_needs_no_capability(tmp_path):
    (tmp_path / "classroom").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "classroom", 1234, 1234)
    words = list(container._rights(tmp_path))
    assert words[:2] == ["--cap-drop", "ALL"]
    assert "--cap-add" not in words
    assert "no-new-privileges" in words
    assert "--privileged" not in words


# -- with an engine ----------------------------------------------------------------------------------------------------


@pytest.fixture
def in_container(monkeypatch):
    """This machine's own interpreter and packages in the plain image stand for the image of the recipe."""
    if subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"the image {BASE} is not here")
    with tempfile.TemporaryDirectory(prefix="ct-", dir="/tmp") as home:
        base = Path(sys.base_prefix)
        mounts = [str(REPOSITORY / "course"), sys.prefix, str(base)]
        if base.is_relative_to("/root"):  # closed to others in the image
            inner = Path(home, *base.relative_to("/root").parts)
            inner.mkdir(parents=True)
            Path(home).chmod(0o755)
            mounts.insert(0, f"{home}=/root")
        monkeypatch.setenv(container.FORCE, "container")
        monkeypatch.setenv(container.IMAGE, BASE)
        monkeypatch.setenv(container.PYTHON, sys.executable)
        monkeypatch.setenv(container.MOUNTS, os.pathsep.join(mounts))
        yield


def start(root, *options):
    command = [sys.executable, "-m", "course.cli", "--root", str(root), "grade", LAB, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def containers(root):
    """The containers of a course's folder, running or not."""
    command = ["docker", "ps", "--all", "--filter", f"label={container.LABEL}={root}", "--format", "{{.Names}}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


SPY = """import os, socket
answers["sum"] = 42
try:
    socket.create_connection(("1.1.1.1", 53), timeout=1)
    reached = True
except OSError:
    reached = False
print("SEEN", os.path.isdir("/course"), reached, os.path.isdir("/proc/self"), os.getuid() == 0)"""


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("owner", [0, 1000])
def test_a_class_is_graded_in_a_container_with_the_sandbox_on(class_root, in_container, owner):
    """As root, who needs capabilities in the container, and as an ordinary user, who needs none."""
    if os.geteuid() != 0:
        pytest.skip("only root can play both users")
    for path in [class_root.parent, *class_root.parents]:
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(path.stat().st_mode | 0o055)
    from course.labs import notebooks, running

    place = class_root / "classroom" / "submitted" / "ada" / LAB / "01_answer.ipynb"
    notebooks.write(running.with_answers(notebooks.read(place), {"01-1-sum-answer": SPY}), place)
    subprocess.run(["chown", "-R", f"{owner}:{owner}", str(class_root)], check=True)
    process = start(class_root, "--student", "ada", "--student", "bob", "--workers", "2")
    said, noise = process.communicate(timeout=500)
    assert process.returncode == 3, noise  # a person is needed, as ever
    assert "ada: 90 of 100 points" in said
    assert "2 of 2 students" in noise  # progress comes through
    assert "cyd" not in said  # and so did the options
    executed = (class_root / "classroom" / "autograded" / "ada" / LAB / "01_answer.ipynb").read_text()
    seen = re.search(r"SEEN (\w+) (\w+) (\w+) (\w+)", executed)
    assert seen.groups() == ("False", "False", "True", "False"), executed[:2000]
    assert (class_root / "classroom" / "gradebook.db").stat().st_uid == owner
    assert not containers(class_root)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_its_container_goes_and_the_same_command_goes_on(class_root, in_container, number):
    process = start(class_root, "--workers", "1")
    deadline = time.monotonic() + 120
    while not outcomes.Store(class_root, LAB).all() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    assert containers(class_root)
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while (left := containers(class_root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left
    process = start(class_root)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 3
    assert said.count("90 of 100 points") == 4


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_recipe_is_read_and_finds_what_it_copies(tmp_path, monkeypatch):
    """Built without the steps that install: the whole takes minutes and an index; the lock is installed elsewhere."""
    monkeypatch.delenv(container.IMAGE, raising=False)
    recipe = (REPOSITORY / "env_setup" / "grader" / "Dockerfile").read_text()
    assert "FROM python:3.11-slim" in recipe
    steps = [line for line in recipe.replace("\\\n", " ").splitlines() if not line.startswith("RUN")]
    (tmp_path / "env_setup" / "grader").mkdir(parents=True)
    steps += ["RUN test -f requirements.lock -a -f course/grading/pipeline/container.py -a ! -e solutions", ""]
    (tmp_path / "env_setup" / "grader" / "Dockerfile").write_text("\n".join(steps))
    shutil.copytree(REPOSITORY / "course", tmp_path / "course", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "secret").write_text("hidden")
    for name in ("requirements.lock", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    shutil.copytree(REPOSITORY / "env_setup" / "extras", tmp_path / "env_setup" / "extras")
    name = container.image("docker", tmp_path)
    try:
        assert container.image("docker", tmp_path) == name
        (tmp_path / "course" / "more.py").write_text("x = 1")
        recipe_path = tmp_path / "env_setup" / "grader" / "Dockerfile"
        assert not name.endswith(container._version(tmp_path, recipe_path))  # another package, another image
    finally:
        subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.engine
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif("COURSE_TEST_IMAGE" not in os.environ, reason="COURSE_TEST_IMAGE=1 builds the whole image: minutes")
def test_the_whole_image_is_built_and_has_the_command():
    name = container.image("docker", REPOSITORY)
    done = subprocess.run(["docker", "run", "--rm", name, "course", "--version"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_in_the_container_is_the_one_that_was_given(class_root, run_course, monkeypatch):
    asked = []
    monkeypatch.setenv(container.FORCE, "container")
    monkeypatch.setattr(container, "grade", lambda root, words, url: asked.append((words, url)) or 3)
    options = ("--student", "ada", "--again", "--workers", "2", "--json")
    assert run_course(class_root, "grade", LAB, *options).exit_code == 3
    ((words, url),) = asked
    assert words == [LAB, "--again", "--json", "--student", "ada", "--workers", "2"]
    assert url.startswith("sqlite")
