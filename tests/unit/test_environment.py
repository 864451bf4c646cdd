"""The ways to an environment agree, `make env` survives what goes wrong, and `make lab` opens on the map."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import nbclient
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course.labs import description

CLONE = Path(__file__).resolve().parents[2]
LOCK = (CLONE / "requirements.lock").read_text(encoding="utf-8")
EXTRAS = {path.stem: path.read_text(encoding="utf-8") for path in (CLONE / "env_setup" / "extras").glob("*.lock")}
PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((CLONE / "environment.yml").read_text(encoding="utf-8"))
MAKEFILE = (CLONE / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.M)


def entries(lock: str) -> dict[str, list[tuple[Requirement, int]]]:
    """What a lock pins: for each name its lines, each with the count of its hashes."""
    pinned: dict[str, list[tuple[Requirement, int]]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", lock, flags=re.M)):
        requirement = Requirement(block.partition("\n")[0].rstrip("\\ "))
        pinned.setdefault(requirement.name, []).append(
            (requirement, len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)))
        )
    return pinned


def locked_python() -> str:
    """The Python that the lock was solved for, as `make lock` asks for it."""
    return re.search(r"--python-version (\S+)", (CLONE / "env_setup" / "make_lock.sh").read_text())[1]


# -- three files, one environment --------------------------------------------------------------------------------------


def test_the_lock_pins_all_that_the_project_asks_for_in_versions_that_it_accepts():
    pinned = entries(LOCK)
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["test"]]
    for line in asked:
        wanted = Requirement(line)
        assert wanted.name in pinned, f"{wanted.name} is not in requirements.lock: call make lock"
        for found, _ in pinned[wanted.name]:
            (version,) = found.specifier
            assert version.operator == "=="
            assert version.version in wanted.specifier, f"{found} does not satisfy {line}: call make lock"


def test_the_lock_of_an_extra_pins_what_it_asks_for_and_the_lock_of_all_lacks():
    named = {lab.extra for lab in description.of_course(CLONE, drafts=True) if lab.extra}
    asked = PROJECT["project"]["optional-dependencies"]
    assert set(asked) > set(EXTRAS) >= named
    for name, lock in EXTRAS.items():
        assert not entries(lock).keys() & entries(LOCK).keys()
        pinned = entries(LOCK) | entries(lock)
        for line in asked[name]:
            wanted = Requirement(line)
            assert wanted.name in pinned, f"{wanted.name} is not in {name}.lock: call make lock"
            for found, _ in pinned[wanted.name]:
                assert wanted.specifier.contains(next(iter(found.specifier)).version, prereleases=True), line


@pytest.mark.parametrize("lock", [LOCK, *EXTRAS.values()], ids=["requirements", *EXTRAS])
def test_every_line_of_a_lock_has_its_hashes_and_no_place_on_a_machine(lock):
    without = [str(found) for lines in entries(lock).values() for found, hashes in lines if not hashes]
    assert not without
    assert not re.findall(r"^--|https?://|file:|@ ", lock, re.M)


def test_conda_installs_what_the_lock_pins_and_no_version_of_its_own():
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock"]
    plain = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    assert sorted(plain) == ["git", "make", "pip", f"python={locked_python()}"]


def test_the_environment_has_one_name_for_conda_and_for_make():
    assert f"$(filter {CONDA['name']},$(CONDA_DEFAULT_ENV))" in MAKEFILE


def test_every_way_uses_a_python_that_the_project_accepts():
    accepted = SpecifierSet(PROJECT["project"]["requires-python"])
    container = json.loads((CLONE / ".devcontainer" / "devcontainer.json").read_text())
    workflow = yaml.safe_load((CLONE / ".github" / "workflows" / "ci.yml").read_text())
    assert re.search(r"python:([\d.]+)-", container["image"])[1] == locked_python()
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert locked_python() in tested
    assert all(version in accepted for version in tested)
    script = (CLONE / "env_setup" / "make_environment.sh").read_text()
    lowest = re.search(r"sys\.version_info < \((\d+), (\d+)\)", script).groups()
    assert SpecifierSet(f">={'.'.join(lowest)}") == accepted


def test_binder_and_the_dev_container_call_make_env():
    assert "make env" in (CLONE / "postBuild").read_text()
    assert json.loads((CLONE / ".devcontainer" / "devcontainer.json").read_text())["postCreateCommand"] == "make env"


def test_the_public_ci_runs_what_the_local_one_runs_and_one_gate_waits_for_all():
    local = (CLONE / ".ci" / "run").read_text()
    workflow = yaml.safe_load((CLONE / ".github" / "workflows" / "ci.yml").read_text())
    commands = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    for target in ("doctor", "lint", "test"):
        assert f"make {target}" in commands
        assert f"make {target}" in local
    assert set(workflow["jobs"]["pass"]["needs"]) == set(workflow["jobs"]) - {"pass"}
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used), "an action that is not pinned"


@pytest.mark.parametrize("script", ["postBuild", ".ci/run"])
def test_a_script_that_others_start_is_executable_and_has_no_syntax_error(script):
    assert os.access(CLONE / script, os.X_OK)
    subprocess.run(["bash", "-n", CLONE / script], check=True)


# -- make --------------------------------------------------------------------------------------------------------------


def make(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=os.environ | more,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_make_alone_lists_every_target():
    shown = make(CLONE)
    assert shown.returncode == 0
    assert [line.split()[1] for line in shown.stdout.splitlines()] == TARGETS
    assert all(len(line) <= 110 for line in shown.stdout.splitlines())
    assert set(re.search(r"\.PHONY: (.*)", MAKEFILE)[1].split()) == {"moved", *TARGETS}


def test_every_verb_that_make_calls_exists():
    from course.cli import main

    verbs = set(re.findall(r'/course" ([a-z-]+)', MAKEFILE))
    assert verbs >= {"doctor", "release", "bundle"}
    assert verbs <= set(main.commands)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["submit", "LAB=01_x"], 'submit "01_x"'),
        (["status"], "status"),
        (["collect", "LAB=01_x", "INBOX=my inbox.zip"], 'collect "01_x" \\\n\t"my inbox.zip"'),
        (["grade", "LAB=01_x"], "grade 01_x"),
        (["release"], "release"),
    ],
)
def test_make_passes_on_what_it_was_given(arguments, command):
    shown = make(CLONE, "--dry-run", *arguments).stdout
    assert f'/course" {command}' in re.sub(r" +", " ", shown)


def copy_clone(folder: Path) -> Path:
    """A clone as it would be after a commit, without history."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    tracked = subprocess.run(listed, cwd=CLONE, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git clone")
    for name in filter(None, tracked.stdout.split("\0")):
        if (CLONE / name).is_file() and not name.startswith(("labs/", "tests/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CLONE / name, folder / name)
    return folder


def test_the_conda_environment_is_used_while_it_is_active(tmp_path):
    shown = make(CLONE, "--dry-run", "doctor", CONDA_DEFAULT_ENV=CONDA["name"], CONDA_PREFIX=str(tmp_path)).stdout
    assert f'sh env_setup/make_environment.sh "{tmp_path}"' in shown
    assert f'"{tmp_path}/bin/course" doctor' in shown
    assert (
        '".venv/bin/course"'
        in make(CLONE, "--dry-run", "doctor", CONDA_DEFAULT_ENV="base", CONDA_PREFIX="/opt/conda").stdout
    )


def old_python(folder: Path) -> None:
    """A folder of programs whose every Python is 3.10."""
    for name in ("sh", "sed", "dirname", "grep", "rm", "cut"):
        (folder / name).symlink_to(shutil.which(name))
    for name in ("python3", "python"):
        (folder / name).write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.13 && exit 0\nexit 1\n')
        (folder / name).chmod(0o755)


@pytest.mark.parametrize("chosen", ["", "python3"])
def test_a_python_that_is_too_old_is_refused_with_what_to_install(chosen, tmp_path):
    clone, programs = tmp_path / "clone", tmp_path / "bin"
    clone.mkdir()
    programs.mkdir()
    copy_clone(clone)
    old_python(programs)
    environment = {"PATH": str(programs), "PYTHON": chosen}
    done = subprocess.run(
        ["sh", "env_setup/make_environment.sh"], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; found" in done.stderr
    assert "Python 3.10.13" in done.stderr
    assert "sudo apt install python3 python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_ensurepip_is_refused_with_the_package_to_install(tmp_path):
    clone, shadow = tmp_path / "clone", tmp_path / "shadow"
    clone.mkdir()
    shadow.mkdir()
    copy_clone(clone)
    (shadow / "ensurepip.py").write_text("raise ImportError('as on Debian without python3-venv')\n")
    python = Path(sys.executable).resolve()
    done = make(clone, "env", PYTHONPATH=str(shadow), PYTHON=str(python), CONDA_DEFAULT_ENV="")
    assert done.returncode != 0
    assert f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.timed("an environment that is there already costs a small part of what making it costs")
def test_make_env_goes_on_after_an_interruption_and_after_the_clone_was_moved(tmp_path):
    clone = tmp_path / "a clone with spaces"
    clone.mkdir()
    copy_clone(clone)
    plain = {"CONDA_DEFAULT_ENV": "", "PYTHON": "python3", "UV_COMPILE_BYTECODE": "0"}
    stamp = clone / ".venv" / "course-environment"

    first = subprocess.Popen(
        ["make", "env"], cwd=clone, env=os.environ | plain, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while first.poll() is None and not (clone / ".venv" / "bin" / "uv").exists():
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not stamp.exists()

    began = time.perf_counter()
    done = make(clone, "env", **plain)
    whole = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    assert stamp.exists()

    took = []
    for _ in range(3):
        began = time.perf_counter()
        again = make(clone, "env", **plain)
        took.append(time.perf_counter() - began)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert min(took) < whole / 5

    moved = clone.rename(tmp_path / "moved")
    done = make(moved, "env", **plain)
    assert done.returncode == 0, done.stderr
    where = [moved / ".venv" / "bin" / "python", "-c", "import course; print(course.__file__)"]
    assert subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.startswith(str(moved))
    assert subprocess.run([moved / ".venv" / "bin" / "course", "--version"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(300)
def test_a_conda_environment_gets_the_lock_and_the_course_and_keeps_what_it_has(tmp_path):
    clone, conda = tmp_path / "clone", tmp_path / "conda"
    clone.mkdir()
    copy_clone(clone)
    subprocess.run([sys.executable, "-m", "venv", conda], check=True)
    (conda / "conda-meta").mkdir()
    own = sysconfig.get_path("purelib", vars={"base": str(conda)})
    (Path(own) / "solver-1.0.dist-info").mkdir()
    (Path(own) / "solver-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: solver\nVersion: 1.0\n")
    active = {"CONDA_DEFAULT_ENV": CONDA["name"], "CONDA_PREFIX": str(conda), "UV_COMPILE_BYTECODE": "0"}
    done = make(clone, "env", **active)
    assert done.returncode == 0, done.stderr
    assert (Path(own) / "solver-1.0.dist-info").exists()
    assert not (clone / ".venv").exists()
    examine = "from course.student import doctor; print(doctor.examine(doctor.CHECKS['packages']))"
    found = subprocess.run([conda / "bin" / "python", "-c", examine], cwd=tmp_path, capture_output=True, text=True)
    assert "outcome='pass'" in found.stdout


# -- JupyterLab --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path):
    """`make lab`'s JupyterLab where its first port is taken and no browser is; its process, its URL, what it said."""
    said = tmp_path / "said"
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    environment |= {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    with socket.create_server(("127.0.0.1", 0)) as taken, said.open("w") as out:
        port = taken.getsockname()[1]
        command = ["jupyter", "lab", "--config=env_setup/jupyterlab/config.py", f"--port={port}"]
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=CLONE, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab\S+", said.read_text())):
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.1)
            assert int(found[1]) != port
            yield process, found[0], said
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_jupyterlab_finds_a_free_port_opens_on_the_map_and_stops_when_told(lab):
    process, url, said = lab
    assert "/lab/tree/labs/index.md?token=" in url
    with urllib.request.urlopen(url, timeout=20) as page:
        assert page.status == 200
        assert str(CLONE) in page.read().decode()
    token = url.partition("token=")[2]
    settings = f"{url.partition('/lab/')[0]}/lab/api/settings/@jupyterlab/docmanager-extension:plugin"
    request = urllib.request.Request(settings, headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        viewers = json.load(answer)["schema"]["properties"]["defaultViewers"]["default"]
    assert viewers == {"markdown": "Markdown Preview"}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(settings, timeout=20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0, said.read_text()


@pytest.mark.slow
@pytest.mark.browser
def test_the_map_opens_rendered_and_its_links_open_notebooks(lab):
    from playwright.sync_api import sync_playwright

    _, url, _ = lab
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        # on a machine that is short of time a style sheet may fail to load; it is not what is tried here
        dialog = page.get_by_role("dialog", name="Error Loading Theme")
        page.add_locator_handler(dialog, lambda: dialog.get_by_role("button").last.click())
        page.goto(url)
        page.wait_for_selector(".jp-MarkdownViewer h1", timeout=60_000)
        page.click(".jp-MarkdownViewer a:has-text('a first notebook')")
        page.wait_for_selector(".jp-NotebookPanel h1:has-text('A first notebook')", timeout=60_000)
        browser.close()


# -- the pages ---------------------------------------------------------------------------------------------------------


def test_the_first_notebook_runs_and_is_stored_as_a_student_should_meet_it():
    book = nbformat.read(CLONE / "env_setup" / "hello.ipynb", as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    where = {"metadata": {"path": str(CLONE / "env_setup")}}
    done = nbclient.NotebookClient(book, timeout=60, kernel_name="python3", resources=where).execute()
    shown = {
        cell.id: cell.outputs[0].data["text/plain"] for cell in done.cells if cell.cell_type == "code" and cell.outputs
    }
    assert shown["sum"] == "42"
    assert shown["rate"] == "'29% of the flights were late'"
    assert shown["folder"] == "'env_setup'"
    assert "planned_departure" in shown["table"]


PAGES = ["env_setup/index.md", "env_setup/cluster.md", "env_setup/hello.ipynb", "solutions/index.md"]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name):
    page = CLONE / name
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = "\n".join(
            cell.source for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "markdown"
        )
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    assert links or name.endswith("cluster.md")
    for link in links:
        path, _, anchor = link.partition("#")
        # the map is written in solutions/ and read in labs/
        target = (page.parent / path).resolve()
        assert target.is_file() or (CLONE / "labs" / path).is_file(), f"{name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{name} links to {link}, which has no such heading"


def test_the_map_names_every_notebook():
    text = (CLONE / "solutions" / "index.md").read_text(encoding="utf-8")
    labs = [CLONE / "solutions" / lab.name for lab in description.of_course(CLONE)]
    notebooks = sorted(path for lab in labs for path in lab.glob("[0-9]*.ipynb"))
    missing = [book.name for book in notebooks if f"({book.parent.name}/{book.name})" not in text]
    assert not missing


def test_what_the_doctor_says_about_containers_and_clusters_is_on_the_page():
    page = (CLONE / "env_setup" / "index.md").read_text(encoding="utf-8")
    from course.student import doctor

    assert f"docker pull {doctor.BASE_IMAGE}" in page
    assert doctor.FORMAT in page
    assert "## Optional: containers" in page
    assert "## Optional: a cluster" in page
