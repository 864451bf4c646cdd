"""A shipped repository, read without trust: its files and its history. `projects` builds and runs it.

The bundle is read as bytes. Git runs in child processes, in a scratch folder of its own and without the user's settings
and hooks; what child processes write there is read back as data of unknown origin.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import tomllib
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from course.base import untrusted
from course.base.removal import remove
from course.base.untrusted import Reason
from course.checks.core import processes
from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.files import reading
from course.sandboxed import programs

MAX_BUNDLE_BYTES = 20 * 2**20
MAX_READ_BYTES = 8 * 2**20
LARGE_BYTES = 10**6
MAX_SUBJECT = 72

_IN = 'cd "$1" && shift && exec "$@"'
_INTO = 'out="$1"; shift; exec "$@" >"$out"'
_SIZES = (
    'git rev-list --objects --no-object-names HEAD | git cat-file --batch-check="%(objecttype) %(objectsize)" >"$1"'
)
_JUNK = {".venv", "venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".mypy_cache"}
_JUNK_ENDINGS = (".pyc", ".whl", ".egg-info", ".DS_Store", ".swp")
_VAGUE = {
    "a", "an", "and", "again", "another", "asdf", "bar", "blah", "bug", "bugs", "change", "changed", "changes",
    "code", "commit", "commits", "done", "edit", "edited", "edits", "file", "files", "final", "fix", "fixed",
    "fixes", "foo", "it", "last", "minor", "misc", "modified", "modify", "more", "my", "new", "ok", "save",
    "saved", "small", "some", "stuff", "temp", "the", "thing", "things", "this", "tmp", "try", "update",
    "updated", "updates", "updating", "wip", "work", "working",
    "first", "second", "third", "fourth", "fifth", "sixth", "next", "one", "two", "three", "four", "five", "six",
    "exercise", "part", "progress", "stage", "step", "version",
}  # fmt: skip


@dataclass(frozen=True)
class Commit:
    """One commit: who made it, and the first line of its message."""

    author: str
    email: str
    subject: str
    parents: int


class Repository:
    """A shipped repository: what is committed, and how it came about.

    Args:
        bundle: its path below the folder of shipped files, such as "late-flights.bundle".
        timeout: how long one command may take, in seconds.

    Every method raises Unmet when the repository cannot be read.
    """

    def __init__(self, bundle: str, *, timeout: float = 30.0) -> None:
        self.bundle = bundle
        self.name = Path(bundle).stem
        self.timeout = timeout
        self._scratch = Path(tempfile.mkdtemp(prefix="course-")).resolve()
        self._home = self._scratch / "home"
        self._home.mkdir()
        self._trees = 0
        self._close = weakref.finalize(self, remove, self._scratch)

    @cached_property
    def commits(self) -> list[Commit]:
        """The newest 200 commits that lead to the newest one, newest first."""
        done = self._git("log", "--max-count=200", "--format=%an%x1f%ae%x1f%P%x1f%s")
        rows = (line.split("\x1f", 3) for line in done.output.splitlines())
        return [Commit(row[0], row[1], row[3], len(row[2].split())) for row in rows if len(row) == 4]

    @cached_property
    def files(self) -> dict[str, int]:
        """What is committed: path → size in bytes. Links and submodules have no size: -1."""
        listing = self._read_output("git", "ls-tree", "-r", "-z", "-l", "HEAD", tree=self._clone)
        found = {}
        for entry in filter(None, listing.split("\0")):
            details, _, path = entry.partition("\t")
            mode, _, _, size = details.split()
            found[path] = int(size) if mode.startswith("100") and size.isdigit() else -1
        return found

    def text(self, path: str) -> str:
        """The committed text of a file.

        Raises:
            Unmet: it is not committed, is no ordinary file, or is larger than 64 KiB.
        """
        title = f"{path} is committed"
        size = self.files.get(path)
        if size is None:
            near = sorted(name for name in self.files if Path(name).name.lower() == Path(path).name.lower())
            hint = "git add it, commit, and ship the repository again"
            raise Unmet(title, f"there is no {path} in the repository", actual=", ".join(near[:5]) or None, hint=hint)
        if size < 0 or size > processes.MAX_OUTPUT_BYTES:
            raise Unmet(title, f"{path} is {'no ordinary file' if size < 0 else 'too large to be read'}")
        return self._git("cat-file", "blob", f"HEAD:{path}", stderr=False).output

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The committed pyproject.toml as plain data.

        Raises:
            Unmet: it is not committed, or not TOML.
        """
        source = self.text("pyproject.toml")
        try:
            with bounded("pyproject.toml can be read", "pyproject.toml"):
                return tomllib.loads(source)
        except (ValueError, RecursionError) as error:  # one that is no TOML is a ValueError, too
            hint = "TOML wants text in quotes, and lists in square brackets"
            raise Unmet("pyproject.toml can be read", str(error), hint=hint) from None

    @bounded("the files of the repository can be looked through", "the list of files")
    def junk(self) -> list[str]:
        """Committed files that everybody makes for themselves, or that are too large for git, one line each."""
        homes = {str(Path(path).parent) for path in self.files if Path(path).name == "pyvenv.cfg"}
        found = []
        for path, size in self.files.items():
            parts = Path(path).parts
            if (
                _JUNK & set(parts)
                or any(part.endswith(_JUNK_ENDINGS) for part in parts)
                or any(path.startswith(f"{home}/") for home in homes)
            ):
                found.append(path)
            elif size > LARGE_BYTES:
                found.append(f"{path} ({size / 1e6:.1f} MB)")
        return found

    def largest(self) -> int:
        """The size in bytes of the largest file that was ever committed, deleted ones too."""
        target = self._scratch / "sizes"
        self._run(["sh", "-c", f'cd "$2" && {_SIZES}', "sh", str(target), str(self._clone)])
        rows = (line.split() for line in self._read(target).splitlines())
        return max((int(row[1]) for row in rows if len(row) == 2 and row[0] == "blob"), default=0)

    def ignores(self, paths: Iterable[str]) -> set[str]:
        """Which of these paths the committed .gitignore keeps out of git."""
        done = self._git("check-ignore", "--no-index", "--", *paths, check=False)
        return set(done.output.splitlines())

    def checkout(self) -> Path:
        """A fresh clone of the repository, to run commands in."""
        _ = self._clone
        self._trees += 1
        return self._checkout(f"tree-{self._trees}")

    @cached_property
    def _clone(self) -> Path:
        title = f"{self.bundle} is the bundle of a git repository"
        if shutil.which("git") is None:
            not_graded_here("git is not installed")
        data = reading.read(self.bundle, max_bytes=MAX_BUNDLE_BYTES)
        (self._scratch / "shipped.bundle").write_bytes(data)
        tree = self._checkout("clone", title)
        if not self._run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], folder=tree).ok:
            raise Unmet(title, "there is no commit in it", hint="commit, then run the cell with ship_repository again")
        return tree

    def _checkout(self, name: str, title: str | None = None) -> Path:
        tree = self._scratch / name
        bundle = str(self._scratch / "shipped.bundle")
        done = self._run(["git", "clone", "--quiet", "--template=", "--no-tags", bundle, str(tree)])
        if not done.ok:
            hint = "ship it with ship_repository, and not by hand"
            raise Unmet(
                title or f"{self.bundle} can be cloned", "git cannot clone it", actual=tail(done.output), hint=hint
            )
        return tree

    def _git(self, *arguments: str, check: bool = True, stderr: bool = True) -> processes.Completed:
        done = self._run(["git", *arguments], folder=self._clone, stderr=stderr)
        if check and not done.ok:
            raise CheckFailed(f"git {arguments[0]} cannot read the repository", actual=tail(done.output))
        return done

    def _read_output(self, *command: str, tree: Path) -> str:
        target = self._scratch / "output"
        self._run(["sh", "-c", _INTO, "sh", str(target), *command], folder=tree)
        return self._read(target)

    def _read(self, path: Path) -> str:
        return self._bytes(path, MAX_READ_BYTES).decode(errors="replace")

    def _bytes(self, path: Path, most: int) -> bytes:
        """A file that a child process wrote, which may be anything by now."""
        try:
            return untrusted.read_file(path, most)
        except untrusted.FileRefused as refused:
            if refused.reason in (Reason.TOO_LARGE, Reason.CHANGED):
                raise CheckFailed("there is more in the repository than can be read here") from None
            raise CheckFailed(f"{path.name} is no ordinary file") from None

    def _run(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        programs: Path | None = None,
        timeout: float | None = None,
        stderr: bool = True,
    ) -> processes.Completed:
        return processes.run(
            ["sh", "-c", _IN, "sh", str(folder or self._scratch), *command],
            cwd=self._scratch,
            timeout=self.timeout if timeout is None else timeout,
            env=self._variables(programs, self._home),
            readable=self._readable,
            stderr=stderr,
        )

    @property
    def _readable(self) -> list[Path]:
        """Where Python, its libraries and the course's programs are."""
        return sorted({Path(sys.prefix), Path(sys.base_prefix), Path(programs.__file__).parent})

    def _variables(self, programs: Path | None, home: Path) -> dict[str, str]:
        """The environment of a child process: none of the user's settings, and these programs first on PATH."""
        env = processes.environment(home, **_SETTINGS)
        own = sysconfig.get_path("scripts")
        path = [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if place and place != own]
        env["PATH"] = os.pathsep.join([str(programs), *path] if programs else path)
        if programs:
            env["VIRTUAL_ENV"] = str(programs.parent)
        if not _compiled():
            del env["PYTHONDONTWRITEBYTECODE"]
            env["PYTHONPYCACHEPREFIX"] = str(self._scratch / "compiled")
        return env


def vague(subject: str) -> str | None:
    """What keeps the first line of a commit message from telling what the commit does, or None."""
    line = subject.strip()
    if len(line) > MAX_SUBJECT:
        return f"it is {len(line)} characters long, and tools cut it at {MAX_SUBJECT}"
    words = re.findall(r"[^\W\d_]{2,}", line.lower())
    if all(word in _VAGUE for word in words):
        return "it does not say what changed"
    if line.isascii() and len(line.split()) < 2:
        return "one word does not say what changed"
    return None


def tail(output: str, lines: int = 8) -> str:
    """The end of what a command printed, without colours, as much as a person reads."""
    plain = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", output)
    kept = [line.rstrip()[:160] for line in plain.splitlines() if line.strip() and not line.startswith("make[")]
    text = "\n".join(kept[-lines:])
    return text if len(text) <= 290 else "…" + text[-289:]


def _compiled() -> bool:
    """Whether the installed libraries have their bytecode beside them; else each process would compile them again."""
    spec = importlib.util.find_spec("pandas")
    return spec is not None and spec.cached is not None and Path(spec.cached).exists()


_SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CEILING_DIRECTORIES": tempfile.gettempdir(),
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
    # a project's Makefile may call any pip or uv on PATH: none may install into a Python that is not the project's
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_INDEX": "1",
    "PIP_CONFIG_FILE": os.devnull,
    "PYTHONNOUSERSITE": "1",
    "UV_OFFLINE": "1",
    "UV_NO_CACHE": "1",
}
