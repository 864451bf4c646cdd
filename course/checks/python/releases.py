"""A shipped release.py, run by `make release` in the course's model repository, whole or broken in one way.

All of it runs where student code runs. The folder in which it ran is read back as data of unknown origin.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course import model_repository
from course.base import untrusted
from course.base.removal import remove
from course.checks.core import processes
from course.checks.core.expectations import as_dict, fail, not_graded_here
from course.checks.files import reading

MAX_INDEX_BYTES = 1 << 16
MAX_ARTIFACT_BYTES = 1 << 20
SECONDS = 30.0
_TRACEBACK = "Traceback (most recent call last):\n"
_SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Anna",
    "GIT_AUTHOR_EMAIL": "anna@example.org",
    "GIT_COMMITTER_NAME": "Anna",
    "GIT_COMMITTER_EMAIL": "anna@example.org",
}
_SCRIPT = """
export REGISTRY="$PWD/registry"
cd repository || exit 99
git init --quiet --template= && git add --all && git commit --quiet -m "Version 1.2.0" && git tag v1.2.0 || exit 99
eval "$1"
exec make release
"""


@dataclass(frozen=True)
class Run:
    """What came of one `make release`.

    Attributes:
        done: how it ended, and what it printed.
        index: what the registry publishes now.
        report: what release.json holds; empty where there is none.
        artifact: the bytes under the digest in production; None where there are none.
    """

    done: processes.Completed
    index: dict[Any, Any]
    report: dict[Any, Any]
    artifact: bytes | None

    @property
    def said(self) -> str:
        """The end of what it printed; of a traceback, the line of release.py and the error."""
        output = self.done.output.strip()
        before, mark, rest = output.partition(_TRACEBACK)
        if not mark:
            return output[-300:]
        ends = [line for line in rest.rpartition(_TRACEBACK)[2].splitlines() if line.strip() and line[0] != " "]
        place = re.findall(r'release\.py", line (\d+)', rest)[-1:]
        return "\n".join(filter(None, [before.strip(), *(f"release.py, line {line}:" for line in place), *ends]))[-300:]

    @property
    def hint(self) -> str | None:
        """What to do about an error that says it all."""
        return "this is the place for your code" if "\nNotImplementedError" in self.done.output else None

    def must_publish(self, version: str) -> None:
        """Fail unless the version is published and in production, under the digest of what is stored."""
        digest = self.index.get("production")
        if not self.done.ok or digest == model_repository.index()["production"]:
            fail("make release does not release the sound repository", actual=self.said, hint=self.hint)
        if as_dict(self.index.get("tags"), "tags").get(version) != digest:
            fail("the tag of the version", expected=digest, actual=self.index.get("tags"))
        if self.artifact is None or hashlib.sha256(self.artifact).hexdigest() != digest:
            fail("what is stored under the digest in production", expected="bytes of that digest", actual=digest)

    def must_publish_nothing(self, step: str, what: str, before: Mapping[str, str] | None = None) -> None:
        """Fail unless nothing is published, make fails, and release.json names the step."""
        if self.index != model_repository.index(before):
            fail(f"{what}: published all the same", expected="nothing new", actual=self.index)
        if self.done.ok or self.done.timed_out:
            how = "it does not end" if self.done.timed_out else "make ends with status 0"
            fail(f"{what}: nothing is published, but make release does not fail", actual=how)
        if self.report.get("failed") != step:
            hint = f"its output ends with: {self.said[-150:]}" if not self.report else None
            fail(
                f"{what}: release.json names the step that failed",
                expected=step,
                actual=self.report.get("failed"),
                hint=hint,
            )


def release(
    changes: Mapping[str, str] | None = None, *, then: str = ":", published: Mapping[str, str] | None = None
) -> Run:
    """Run `make release` with the shipped release.py in a copy of the repository.

    Args:
        changes: files that are other before the commit, by name.
        then: shell commands after the commit and its tag.
        published: tags that the registry has already, besides those it begins with.

    Raises:
        NotGradedHere: git or make is not installed.
    """
    for program in ("git", "make"):
        if shutil.which(program) is None:
            not_graded_here(f"{program} is not installed")
    files = {**model_repository.contents(), "release.py": reading.text("release.py"), **(changes or {})}
    scratch = Path(tempfile.mkdtemp(prefix="course-")).resolve()
    try:
        for top, inside in (("repository", files), ("registry", model_repository.registry(published or {}))):
            for name, text in inside.items():
                place = scratch / top / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
        env = processes.environment(scratch, **_SETTINGS)
        done = processes.run(["/bin/sh", "-c", _SCRIPT, "sh", then], cwd=scratch, timeout=SECONDS, env=env)
        index = _json(scratch, "registry/index.json")
        digest = str(index.get("production"))
        return Run(done, index, _json(scratch, "repository/release.json"), _stored(scratch, digest))
    finally:
        remove(scratch)


def _json(scratch: Path, name: str) -> dict[Any, Any]:
    try:
        found = reading.plain_json(untrusted.read_below(scratch, name, MAX_INDEX_BYTES).decode())
    except (untrusted.FileRefused, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _stored(scratch: Path, digest: str) -> bytes | None:
    if not (digest.isalnum() and len(digest) == 64):
        return None
    try:
        return untrusted.read_below(scratch, f"registry/blobs/{digest}", MAX_ARTIFACT_BYTES)
    except untrusted.FileRefused:
        return None
