"""A shipped project, judged as a stranger would: built, installed and run in a clean environment.

`project("late-flights.bundle")` is a repository with more. The build, and all that the student wrote, run in child
processes; the programs that run there for the course are in `programs/`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.files import reading
from course.checks.python.pins import closure, installed, requirement
from course.checks.python.repositories import Repository, tail
from course.sandboxed import programs

MAX_WHEEL_BYTES = 50 * 2**20
MAX_REPLY_BYTES = 2**20
ALWAYS_THERE = ("pytest",)

_MAX_LOOKED_INTO = 40  # files
_IMPORT = re.compile(r"\s{0,100}(?:import|from)\s{1,20}(\w{1,100})")
_COMMAND = re.compile(r"""\s{0,9}["']?([\w.-]{1,60})["']?\s{0,9}=\s{0,9}["']([\w.]{1,99}:\w{1,60})["']\s{0,9}""")
_BUILTIN_BACKENDS = {"uv-build"}  # uv builds these by itself
_PROGRAMS = Path(programs.__file__).parent


def project(bundle: str, *, timeout: float = 30.0, helped: bool = False) -> Project:
    """A repository that was shipped with `ship_repository`; it is cloned, built and installed when first needed.

    Args:
        bundle: its path below the folder of shipped files, such as "late-flights.bundle".
        timeout: how long one command may take, in seconds.
        helped: judge the rest where pyproject.toml is wrong, which another check reports. A package that does not build
            or install is built with a pyproject.toml of the course, and libraries that its files import are there,
            although it does not declare them.
    """
    return Project(bundle, timeout=timeout, helped=helped)


class Project(Repository):
    """A shipped repository, and what happens when others build, install and run it.

    Args:
        bundle, timeout, helped: see :func:`project`.

    Methods that need the project installed raise Unmet when it does not build or install.
    """

    def __init__(self, bundle: str, *, timeout: float = 30.0, helped: bool = False) -> None:
        super().__init__(bundle, timeout=timeout)
        self._helped = helped
        self._ready: Path | Unmet | None = None
        self._parts: tuple[Path, list[str]] | None = None
        self._python: processes.Talk | None = None

    def dependencies(self) -> list[Requirement]:
        """What the project says it needs to run: from pyproject.toml, or as built where that is left to the build."""
        listed = self.pyproject.get("project", {})
        if isinstance(listed, dict) and isinstance(listed.get("dependencies"), list):
            return [requirement(line, "pyproject.toml") for line in listed["dependencies"]]
        return [need for need in self._needs if need.marker is None or "extra" not in str(need.marker)]

    @property
    def built_name(self) -> str:
        """The name under which people install the package that was built, with - for _ and in lower case."""
        return canonicalize_name(str(self._metadata["Name"]))

    def install(self) -> None:
        """Build the project and install it in a clean environment: Python, what the project declares, and pytest.

        Raises:
            Unmet: it does not build, needs what is not there, or does not install.
        """
        _ = self._environment

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        files: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stderr: bool = True,
    ) -> processes.Completed:
        """Run a command with the project installed and its environment first on PATH.

        Args:
            command: the program and its arguments.
            folder: where to run it, such as a :meth:`checkout`; by default a new folder.
            files: what is in that new folder: name → text.
            timeout: the deadline in seconds, if it differs from the project's.
            stderr: whether standard error belongs to the output, or is dropped.
        """
        programs = self._environment / "bin"
        if folder is None:
            folder = Path(tempfile.mkdtemp(dir=self._scratch))
            for name, text in (files or {}).items():
                (folder / name).write_text(text, encoding="utf-8")
        return self._run([*command], folder=folder, programs=programs, timeout=timeout, stderr=stderr)

    def evaluate(self, code: str) -> Any:
        """Run Python code with the project installed; what it assigns to `answer` comes back.

        Args:
            code: Python. Series, arrays and indexes come back as lists, missing values as None, times as text.

        Raises:
            CheckFailed: the project's code raised an error, or took too long.
        """
        if self._python is None or self._python.process.poll() is not None:
            self._python = self._start_python()
        try:
            with self._python.exchange(_frame(code)) as read:
                length = int.from_bytes(read(8), "little")
                if length > MAX_REPLY_BYTES:
                    raise ValueError
                reply = json.loads(read(length))
        except processes.Stopped as stopped:
            hint = "is there a loop that does not end, or work at import? An imported module must not end the program"
            raise CheckFailed(f"Python gave no answer: {stopped}", hint=hint) from None
        except (ValueError, RecursionError):
            raise CheckFailed("Python answered in a form that the check cannot read") from None
        if not isinstance(reply, dict) or not {"answer", "error"} & set(reply):
            raise CheckFailed("Python answered in a form that the check cannot read")
        if "error" in reply:
            _explain(reply["error"])
        return reply["answer"]

    def _start_python(self) -> processes.Talk:
        programs_here = self._environment / "bin"
        command = [str(programs_here / "python"), "-I", str(_PROGRAMS / "evaluate.py"), "REQUESTS", "ANSWERS"]
        return processes.Talk(
            processes.capped(command, self.timeout * 10),
            timeout=self.timeout,
            readable=[self._scratch, *self._readable],
            env=lambda home: self._variables(programs_here, home),
        )

    def make(self, *arguments: str, folder: Path | None = None) -> processes.Completed:
        """Run make in a fresh clone, or in the given one, with the project's environment first on PATH.

        Raises:
            NotGradedHere: there is no make on this machine.
        """
        if shutil.which("make") is None:
            not_graded_here("make is not installed")
        return self.run(["make", *arguments], folder=folder or self.checkout())

    def plan(self, target: str) -> processes.Completed:
        """What `make target` would do in a fresh clone; nothing of it is done, and the project need not be installed.

        Raises:
            NotGradedHere: there is no make on this machine.
        """
        if shutil.which("make") is None:
            not_graded_here("make is not installed")
        return self._run(["make", "--dry-run", target], folder=self.checkout())

    def make_fails(self, done: processes.Completed, target: str) -> NoReturn:
        """Fail the check because `make target` did, with the reason that make or Python gave."""
        call, output = f"make {target}".strip(), done.output
        hint = None
        if done.timed_out:
            raise CheckFailed(
                f"{call} did not finish within {self.timeout:g} seconds",
                hint="it must not wait for a person or a server",
            )
        if "No rule to make target" in output or "No targets specified" in output:
            hint = "is the Makefile committed, in the top folder, with a target of that name?"
        elif "missing separator" in output:
            hint = "make wants a tab, not spaces, before each command of a recipe"
        elif re.search(
            r"No module named '?pip|pip3?:? .{0,99}not found"
            r"|activated virtualenv|No matching distrib|error sending request",
            output,
        ):
            hint = (
                "there is no network here, and your package is installed already; make test only has to run the tests"
            )
        elif re.search(r"\.venv/|venv/bin", output) and re.search(r"not found|No such file", output):
            hint = "your .venv is not in git; call python or pytest by name, and the environment that is active is used"
        elif match := re.search(r"No module named '([\w.]+)'", output):
            hint = f"only what pyproject.toml declares is installed here; is {match[1].split('.')[0]} declared?"
        raise CheckFailed(f"{call} ended with exit status {done.returncode}", actual=tail(output), hint=hint)

    def with_change(self, file: str, addition: str) -> Changed:
        """The project with some Python code added at the end of one of its modules, in a clone and as installed.

        The change is committed, in a history of one commit: whether a tree was changed is not to be seen in git.

        Args:
            file: the module's place in the package, such as "late_flights/features.py".
            addition: the code.

        Raises:
            CheckFailed: the project has no such file.
        """
        self.install()
        places = [path for path in self.files if path == file or path.endswith(f"/{file}")]
        if not places:
            raise CheckFailed(
                f"there is no {file} in the repository", hint="the module has exactly this name and place"
            )
        folder = self.checkout()
        environment = self._copy_environment()
        targets = [str(folder / place) for place in places]
        done = self._run(
            [str(environment / "bin" / "python"), "-I", str(_PROGRAMS / "append.py"), file, addition, *targets]
        )
        if not done.ok:
            raise CheckFailed(f"{file} cannot be changed", actual=tail(done.output))
        new = 'rm -rf .git && git init --quiet --template= && git add --all && git commit --quiet -m "The project"'
        who = ["-c", "user.name=A colleague", "-c", "user.email=colleague@example.org", "-c", "commit.gpgsign=false"]
        done = self._run(
            ["sh", "-c", new.replace("git commit", f"git {' '.join(map(shlex.quote, who))} commit")], folder=folder
        )
        if not done.ok:
            raise RuntimeError(f"the changed project cannot be committed: {tail(done.output)}")
        return Changed(self, folder, environment)

    @cached_property
    def _wheel(self) -> Path:
        title = f"{self.name} builds"
        self._check_backend(title)
        return self._build(self._checkout("build"), self._scratch / "dist", title)

    def _build(self, tree: Path, dist: Path, title: str) -> Path:
        options = ["--wheel", "--no-build-isolation", "--offline", "--no-index", "--no-config", "--no-cache", "--quiet"]
        done = self._run([_uv(), "build", *options, "--python", sys.executable, "--out-dir", str(dist), str(tree)])
        if done.timed_out:
            raise Unmet(title, f"the build did not finish within {self.timeout:g} seconds")
        if not done.ok:
            raise Unmet(title, "the build ended with an error", actual=tail(done.output), hint=_build_hint(done.output))
        wheels = [entry.name for entry in os.scandir(dist) if entry.name.endswith(".whl")]
        if len(wheels) != 1:
            raise Unmet(title, "the build made no wheel", actual=tail(done.output))
        return dist / wheels[0]

    def _build_with_help(self) -> Path:
        """A wheel of the project's modules and commands, by a pyproject.toml of the course."""
        tree = self._checkout("helped")
        self._replace_pyproject(tree)
        return self._build(tree, self._scratch / "helped-dist", f"{self.name} builds")

    def _replace_pyproject(self, tree: Path) -> None:
        """Give a clone a pyproject.toml of the course: a child process writes it, for the clone may hold links."""
        text = _pyproject(self.name, self._commands(), any(path.startswith("src/") for path in self.files))
        write = 'rm -rf pyproject.toml setup.py setup.cfg && printf %s "$1" > pyproject.toml'
        self._run(["sh", "-c", write, "sh", text], folder=tree)

    def checkout(self) -> Path:
        """A fresh clone of the repository, to run commands in; with help, pyproject.toml can be read in it."""
        tree = super().checkout()
        if self._helped and not self._has_toml:  # pytest ends where it cannot read it
            self._replace_pyproject(tree)
        return tree

    @cached_property
    def _has_toml(self) -> bool:
        try:
            return bool(self.pyproject)
        except Unmet:
            return False

    def _commands(self) -> dict[str, str]:
        """The commands that pyproject.toml names, as far as it can be read."""
        try:
            listed = self.pyproject.get("project", {})
            scripts = listed.get("scripts") if isinstance(listed, dict) else None
            found = list(scripts.items()) if isinstance(scripts, dict) else []
        except Unmet:
            source = self.text("pyproject.toml") if "pyproject.toml" in self.files else ""
            matches = map(_COMMAND.fullmatch, (line[:200] for line in source.splitlines()))
            found = [(match[1], match[2]) for match in matches if match]
        return {str(name): str(target) for name, target in found if isinstance(target, str)}

    def _imported(self) -> list[str]:
        """The distributions installed here whose modules the project's files import."""
        names: set[str] = set()
        for path in [path for path in self.files if path.endswith(".py")][:_MAX_LOOKED_INTO]:
            with contextlib.suppress(CheckFailed):
                names |= {match[1] for line in self.text(path).splitlines() if (match := _IMPORT.match(line[:200]))}
        known = importlib.metadata.packages_distributions()
        return sorted({known[name][0] for name in names - {"course"} if name in known})

    def _check_backend(self, title: str) -> None:
        if "pyproject.toml" not in self.files and {"setup.py", "setup.cfg"} & set(self.files):
            return
        system = self.pyproject.get("build-system", {})
        wanted = system.get("requires", []) if isinstance(system, dict) else []
        for line in wanted if isinstance(wanted, list) else []:
            need = requirement(line, "[build-system] of pyproject.toml", title)
            if canonicalize_name(need.name) not in _BUILTIN_BACKENDS and installed(need.name) is None:
                raise Unmet(
                    title,
                    f"{need.name} is not installed here, and there is no network to fetch it",
                    hint='these build backends are here: "setuptools.build_meta" and "uv_build"',
                )

    @cached_property
    def _metadata(self) -> Any:
        title = f"{self.name} builds"
        try:
            data = self._bytes(self._wheel, MAX_WHEEL_BYTES)
            with tempfile.TemporaryFile() as file:
                file.write(data)
                with zipfile.ZipFile(file) as wheel:
                    names = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
                    entry = wheel.getinfo(names[0])
                    if entry.file_size > reading.MAX_TEXT_BYTES:
                        raise ValueError("its METADATA is too large")
                    text = wheel.read(entry).decode()
        except (OSError, zipfile.BadZipFile, IndexError, ValueError, NotImplementedError, RuntimeError) as error:
            raise Unmet(title, f"the wheel that was built cannot be read: {error}") from None
        return HeaderParser().parsestr(text)

    @cached_property
    def _needs(self) -> list[Requirement]:
        lines = self._metadata.get_all("Requires-Dist") or []
        return [requirement(line, "the built package") for line in lines]

    @property
    def _environment(self) -> Path:
        if self._ready is None:
            try:
                self._parts = self._wheel, self._distributions()
                self._ready = self._make_environment("environment", *self._parts)
            except Unmet as reason:  # it will not do better the second time
                self._ready = self._environment_with_help(reason) if self._helped else reason
        if isinstance(self._ready, Unmet):
            raise self._ready
        return self._ready

    def _environment_with_help(self, reason: Unmet) -> Path | Unmet:
        try:
            self._parts = self._build_with_help(), sorted(closure((name, set()) for name in self._beside()))
            return self._make_environment("helped-environment", *self._parts)
        except Unmet:
            return reason

    def _beside(self) -> list[str]:
        """What is installed whether or not the project declares it."""
        return [*ALWAYS_THERE, *(self._imported() if self._helped else [])]

    def _copy_environment(self) -> Path:
        self._trees += 1
        _ = self._environment
        assert self._parts is not None
        return self._make_environment(f"environment-{self._trees}", *self._parts)

    def _make_environment(self, name: str, wheel: Path, needed: list[str]) -> Path:
        title = f"{self.name} installs in a clean environment"
        place = self._scratch / name
        done = self._run([sys.executable, "-I", "-B", str(_PROGRAMS / "environment.py"), str(place), *needed])
        if not done.ok:
            raise RuntimeError(f"no clean environment could be made: {tail(done.output)}")
        options = ["--no-deps", "--offline", "--no-index", "--no-config", "--no-cache", "--quiet"]
        python = str(place / "bin" / "python")
        done = self._run([_uv(), "pip", "install", *options, "--python", python, str(wheel)])
        if not done.ok:
            raise Unmet(title, "the wheel does not install", actual=tail(done.output))
        return place

    def _distributions(self) -> list[str]:
        """The installed distributions that a clean environment holds: what is declared, and what that needs in turn."""
        title = f"{self.name} installs in a clean environment"
        extras = ["", *(self._metadata.get_all("Provides-Extra") or [])]
        todo: list[tuple[str, set[str]]] = [(name, set()) for name in self._beside()]
        for need in self._needs:
            if need.marker is not None and not any(need.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            required = need.marker is None or need.marker.evaluate({"extra": ""})
            version = installed(need.name)
            if required and version is None:
                raise Unmet(
                    title,
                    f"it needs {need.name}, which is not installed here, and there is no network to fetch it",
                    hint="use the libraries of the course: environment.yml and requirements.lock list them",
                )
            if required and not need.specifier.contains(version, prereleases=True):
                raise Unmet(
                    title,
                    f"it needs {need.name}{need.specifier}, and another version is installed here",
                    expected=f"{need.name}{need.specifier}",
                    actual=f"{need.name}=={version}",
                    hint="ask for what you tested with: a range that holds the version you have",
                )
            if version is not None:
                todo.append((need.name, need.extras))
        groups = self.pyproject.get("dependency-groups", {}) if "pyproject.toml" in self.files else {}
        for lines in groups.values() if isinstance(groups, dict) else ():
            for line in lines if isinstance(lines, list) else ():
                with contextlib.suppress(InvalidRequirement, TypeError):
                    todo.append((Requirement(line).name, set()))
        return sorted(closure(todo))


class Changed:
    """A project of which one module was changed: a clone and an environment of its own."""

    def __init__(self, owner: Project, folder: Path, environment: Path) -> None:
        self._owner, self._folder, self._environment = owner, folder, environment

    def make(self, *arguments: str) -> processes.Completed:
        """Run make in the changed clone, with the changed package installed."""
        return self.run(["make", *arguments])

    def run(self, command: Sequence[str]) -> processes.Completed:
        """Run a command in the changed clone, with the changed package installed."""
        return self._owner._run([*command], folder=self._folder, programs=self._environment / "bin")


def _pyproject(name: str, commands: Mapping[str, str], in_src: bool) -> str:
    """A pyproject.toml that builds a package of this name; what is text in JSON is text in TOML."""
    lines = ["[build-system]", 'requires = ["setuptools"]', 'build-backend = "setuptools.build_meta"', "[project]"]
    lines += [f"name = {json.dumps(name)}", 'version = "0.0.0"', "[project.scripts]"]
    lines += [f"{json.dumps(command)} = {json.dumps(target)}" for command, target in commands.items()]
    lines += ["[tool.setuptools.packages.find]", f'where = ["{"src" if in_src else "."}"]']
    lines += ['exclude = ["test*", "docs*", "build*", "dist*", "data*"]']
    return "\n".join(lines) + "\n"


def _build_hint(output: str) -> str | None:
    if "Multiple top-level" in output:
        return "which folder is the package? The src layout leaves no doubt: src/late_flights"
    if match := re.search(r"No module named '(\w+)'", output):
        return f"the build needs {match[1]}, which is not here; is the build-backend spelled right?"
    return None


def _frame(code: str) -> bytes:
    data = json.dumps(code).encode()
    return len(data).to_bytes(8, "little") + data


def _explain(error: Any) -> NoReturn:
    if not isinstance(error, dict):
        raise CheckFailed("Python ended with an error in a form that the check cannot read")
    kind, message, place = (str(error.get(key) or "")[:500] for key in ("type", "message", "place"))
    hints = {
        "ModuleNotFoundError": "only what pyproject.toml declares is there, and only what is committed is built",
        "ImportError": "is the function there, with exactly this name, and committed?",
        "AttributeError": "is everything there, spelled the same, and committed?",
        "FileNotFoundError": "an installed package runs in another folder; it cannot lean on files beside it",
        "NotImplementedError": "this is the place for your code",
        "KeyError": "is there a column or key of that name, spelled the same?",
    }
    if kind == "NotTravelling":
        raise CheckFailed(f"it returned something else than expected: {message}")
    reason = f"{place + ': ' if place else ''}{kind}{': ' if message else ''}{message}"
    raise CheckFailed(reason, hint=hints.get(kind))


def _uv() -> str:
    spec = importlib.util.find_spec("uv")
    if spec is not None:
        import uv

        with contextlib.suppress(FileNotFoundError):
            return uv.find_uv_bin()
    found = shutil.which("uv")
    if found is None:
        not_graded_here("uv, which builds packages, is not installed")
    return found
