"""A shipped build context: `context("image")` → Context, with what an engine would be sent, judged by the policy.

Nothing here talks to an engine; `images` builds what is read here. The rules are in `context_policy`.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course import shipping
from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed
from course.checks.core.findings import Finding, expect_none, quote
from course.checks.docker import dockerfiles
from course.checks.docker.context_policy import RULES
from course.checks.docker.dockerfiles import DOCKERFILE, Dockerfile
from course.checks.docker.dockerignore import ignoring, matching
from course.checks.docker.hadolint import lint
from course.checks.files import reading

MAX_FILES = 3000
MAX_PATH = 200  # characters that a path may have, on the average
MAX_BYTES = 512 << 20
MAX_FILE_BYTES = 256 << 20
IGNORE = ".dockerignore"
_READ = ("the build context can be read", "the build context")
# files that an image never needs, and what they are called in messages
UNWANTED: Mapping[str, str] = {
    ".git/config": "the history of the project (.git)",
    ".venv/bin/python": "a virtual environment (.venv)",
    "__pycache__/api.cpython-311.pyc": "compiled modules (__pycache__)",
    "notebook.ipynb": "notebooks (*.ipynb)",
    ".env": "local settings and secrets (.env)",
}


def context(name: str = "image") -> Context:
    """A shipped folder as a build context; it is read when it is first needed.

    Args:
        name: the folder, below that of shipped files.
    """
    return Context(name)


@dataclass(frozen=True)
class Entry:
    """One file of a context: its size in bytes, and whether it is executable."""

    size: int
    executable: bool = False


class Context:
    """A build context among the shipped files; see :func:`context`.

    Attributes:
        name: the folder, below that of shipped files.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    # what is there

    @cached_property
    def files(self) -> dict[str, Entry]:
        """The ordinary files in the folder, by path.

        Raises:
            Unmet: there is no such folder.
            CheckFailed: it holds links, pipes or devices, too many files or too much.
        """
        sizes = reading.listing(self.name, most=MAX_FILES)
        if sum(map(len, sizes)) > MAX_FILES * MAX_PATH:
            raise CheckFailed(f"the paths of {self.name} are longer than {MAX_PATH} characters on the average")
        total = sum(sizes.values())
        if total > MAX_BYTES:
            name = max(sizes, key=lambda one: sizes[one])
            raise CheckFailed(
                f"{self.name} holds more than {MAX_BYTES >> 20} MiB",
                actual=f"{total >> 20} MiB; the largest is {name} with {sizes[name] >> 20} MiB",
                hint="a build context holds what the image needs, and no data",
            )
        top = shipping.folder() / self.name
        return {path: Entry(size, _may_run(top / path)) for path, size in sizes.items()}

    def read(self, path: str, *, most: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of one file; see :func:`files.read`."""
        return reading.read(f"{self.name}/{path}", max_bytes=most)

    @cached_property
    def parsed(self) -> Dockerfile:
        """Its Dockerfile, read.

        Raises:
            Unmet: it is missing, too large, not text, or cannot be read.
        """
        return Dockerfile(reading.text(f"{self.name}/{DOCKERFILE}", max_bytes=dockerfiles.MAX_BYTES))

    @cached_property
    def ignored(self) -> Callable[[str], bool]:
        """Whether a path is kept out by .dockerignore."""
        return ignoring(reading.text(f"{self.name}/{IGNORE}", max_bytes=1 << 16)) if IGNORE in self.files else _nothing

    @cached_property
    def sent(self) -> dict[str, Entry]:
        """The files that an engine would be sent; the Dockerfile and .dockerignore are always among them."""
        always = (DOCKERFILE, IGNORE)
        return {path: entry for path, entry in self.files.items() if path in always or not self.ignored(path)}

    def tar(self, more: Mapping[str, bytes] | None = None) -> tempfile.SpooledTemporaryFile[bytes]:
        """What is sent, as an archive that is the same for the same files: sorted, without times and owners.

        Args:
            more: further files, or others in the place of those that are there.
        """
        archive = tempfile.SpooledTemporaryFile(max_size=32 << 20)  # noqa: SIM115  (the caller closes it)
        more = dict(more or {})
        try:
            with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for path in sorted({*self.sent, *more}):
                    entry = self.sent.get(path)
                    data = more[path] if path in more else self.read(path)
                    member = tarfile.TarInfo(path)
                    member.size, member.mode, member.mtime = (
                        len(data),
                        0o755 if entry and entry.executable else 0o644,
                        0,
                    )
                    tar.addfile(member, io.BytesIO(data))
        except BaseException:
            archive.close()
            raise
        archive.seek(0)
        return archive

    # judging

    def lint(self, *, ignore: Sequence[str] = (), least: str = "warning") -> list[Finding]:
        """What hadolint finds in the Dockerfile.

        Args:
            ignore: codes of rules to leave out, such as "DL3008".
            least: "error", "warning", "info" or "style": what is less serious is left out.

        Raises:
            NotGradedHere: hadolint is not here.
        """
        levels = ("error", "warning", "info", "style")
        wanted = levels[: levels.index(least) + 1]
        found, lines = [], self.parsed.source.splitlines()
        for one in lint(self.parsed.plain):
            if one["level"] in wanted and one["code"] not in ignore:
                text = quote(lines[one["line"] - 1]) if 0 < one["line"] <= len(lines) else ""
                found.append(Finding(one["line"], one["message"], None, one["code"], text))
        return found

    @bounded(*_READ)
    def findings(self) -> list[Finding]:
        """What all rules find, in the order of the lines."""
        found = [one for rule in RULES.values() for one in rule(self)]
        return sorted(found, key=lambda one: one.line or sys.maxsize)

    @bounded(*_READ)
    def expect(self, rule: str) -> None:
        """Fail the check unless a rule finds nothing.

        Args:
            rule: a name among RULES.

        Raises:
            CheckFailed: with the line, the reason and the hint of the first that it found.
            ValueError: there is no such rule.
        """
        if rule not in RULES:
            raise ValueError(f"a rule is one of {', '.join(RULES)}; got {rule!r}")
        expect_none(RULES[rule](self))

    @bounded(*_READ)
    def expect_small(self, most_mb: float) -> None:
        """Fail the check when more than so many MB would be sent to the engine."""
        total = sum(entry.size for entry in self.sent.values())
        if total > most_mb * 1e6:
            largest = sorted(self.sent, key=lambda path: -self.sent[path].size)[:3]
            shown = ", ".join(f"{path} {self.sent[path].size / 1e6:.1f} MB" for path in largest)
            raise CheckFailed(
                "the context is larger than the image needs",
                expected=f"at most {most_mb:g} MB are sent to the engine",
                actual=f"{total / 1e6:.1f} MB: {shown}",
                hint=".dockerignore keeps out what the image does not need",
            )

    @bounded(*_READ)
    def expect_kept_out(self, *paths: str) -> None:
        """Fail the check unless .dockerignore keeps such files out, whether they are there or not.

        Args:
            paths: examples, such as "data/flights.parquet"; by default those of UNWANTED.
        """
        kept = [UNWANTED.get(path, path) for path in paths or UNWANTED if not self.ignored(path)]
        if kept:
            missing = "" if IGNORE in self.files else "there is no .dockerignore, and "
            raise CheckFailed(
                f"{missing}the engine would be sent {', '.join(kept)}",
                hint="a name matches at the top, **/name at any depth; or keep all out with *, and let in with !name",
            )

    def expect_pinned_requirements(self, name: str = "requirements.txt") -> dict[str, str]:
        """Fail the check unless each line of a requirements file pins one version; return canonical name → version."""
        from course.checks.python import pins

        if name not in self.sent:
            raise CheckFailed(
                f"the engine is sent no {name}", hint="it lists what the service needs, each with its version"
            )

        taken = {name}  # a file that names itself, or many times another one, is read once

        def other(path: str) -> str | None:
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if there in taken or there not in self.sent:
                return None
            taken.add(there)
            return reading.text(f"{self.name}/{there}")

        return pins.pins(reading.text(f"{self.name}/{name}"), name, others=other)


def _nothing(_: str) -> bool:
    return False


def _may_run(path: Path) -> bool:
    try:
        return bool(os.lstat(path).st_mode & stat.S_IXUSR)
    except OSError:
        return False


__all__ = ["Context", "Entry", "context", "matching"]  # a question about a context asks for `matching`, too
