"""A shipped build context: `context("image")` reads it with care, knows what an engine is sent, and judges it.

The policy of `dockerfiles` is about the Dockerfile alone; here are the rules that need the files beside it. Nothing
here talks to an engine; `images` builds what is read here.
"""

from __future__ import annotations

import functools
import io
import json
import os
import posixpath
import re
import shutil
import stat
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from course import shipping
from course.checks.core import processes
from course.checks.core.expectations import CheckFailed, Unmet, not_graded_here
from course.checks.docker import dockerfiles
from course.checks.docker.dockerfiles import Dockerfile, Finding, Instruction
from course.checks.files import reading

MAX_FILES = 3000
MAX_BYTES = 512 << 20
MAX_FILE_BYTES = 256 << 20
MAX_SENT_BYTES = 64 << 20
MAX_SCANNED_BYTES = 1 << 20
DOCKERFILE = "Dockerfile"
IGNORE = ".dockerignore"
WHEELS = "wheels"
# files that an image never needs, and what they are called in messages
UNWANTED: Mapping[str, str] = {
    ".git/config": "the history of the project (.git)",
    ".venv/bin/python": "a virtual environment (.venv)",
    "__pycache__/api.cpython-311.pyc": "compiled modules (__pycache__)",
    "notebook.ipynb": "notebooks (*.ipynb)",
    ".env": "local settings and secrets (.env)",
}
_SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example$|sample$|template$|dist$)[^/]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.pypirc|\.pgpass|\.git-credentials"
    r"|\.aws/credentials|\.docker/config\.json|\.kube/config|kaggle\.json|credentials\.json|secrets?\.(?:ya?ml|json|toml|env|txt))$"
)


def context(name: str = "image") -> Context:
    """A shipped folder as a build context; it is read when something of it is asked for.

    Args:
        name: the folder, below that of shipped files.
    """
    return Context(name)


@dataclass(frozen=True)
class Entry:
    """One file of a context: its size in bytes, and whether it may be run."""

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
        return Dockerfile(reading.text(f"{self.name}/{DOCKERFILE}", max_bytes=MAX_SENT_BYTES >> 8))

    @cached_property
    def ignored(self) -> Callable[[str], bool]:
        """Whether a path is kept out by .dockerignore."""
        return ignoring(reading.text(f"{self.name}/{IGNORE}", max_bytes=1 << 16)) if IGNORE in self.files else _nothing

    @cached_property
    def sent(self) -> dict[str, Entry]:
        """The files that an engine would be sent; the Dockerfile and .dockerignore are always among them."""
        always = (DOCKERFILE, IGNORE)
        return {path: entry for path, entry in self.files.items() if path in always or not self.ignored(path)}

    def tar(self, more: Mapping[str, bytes] | None = None) -> io.BufferedIOBase:
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
        found = []
        for one in lint(self.parsed.plain):
            if one["level"] in wanted and one["code"] not in ignore:
                text = _line(self.parsed.source, one["line"])
                found.append(Finding(one["line"], one["message"], None, one["code"], text))
        return found

    def findings(self) -> list[Finding]:
        """What all rules find, in the order of the lines."""
        found = [one for rule in RULES.values() for one in rule(self)]
        return sorted(found, key=lambda one: one.line or sys.maxsize)

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
        found = RULES[rule](self)
        if found:
            more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
            raise CheckFailed(f"{found[0]}{more}", hint=found[0].hint)

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
        return pins.pins(reading.text(f"{self.name}/{name}"), name)


def _nothing(_: str) -> bool:
    return False


def _may_run(path: Path) -> bool:
    try:
        return bool(os.lstat(path).st_mode & stat.S_IXUSR)
    except OSError:
        return False


def _line(source: str, number: int) -> str:
    lines = source.splitlines()
    text = " ".join(lines[number - 1].split()) if 0 < number <= len(lines) else ""
    return text if len(text) <= 60 else text[:59] + "…"


# .dockerignore


def ignoring(source: str) -> Callable[[str], bool]:
    """The rules of a .dockerignore: a function that tells of a path whether it is kept out.

    As Docker reads it: the last pattern that matches a path, or a folder above it, decides; `!` lets in again; `*` and
    `?` stop at a slash, `**` does not; a pattern is about the top of the context, with or without a slash before it.
    """
    patterns = []
    for line in source.removeprefix("\ufeff").splitlines():
        line = line if line.startswith("#") else line.strip()
        if not line or line.startswith("#"):
            continue
        lets_in = line.startswith("!")
        text = line[1:].strip() if lets_in else line
        text = posixpath.normpath(text).lstrip("/") if text else ""
        if text and text != ".":
            patterns.append((not lets_in, re.compile(_pattern(text[:1000]))))

    @functools.lru_cache(maxsize=20_000)
    def is_out(path: str) -> bool:
        parts = PurePosixPath(path).parts
        tops = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        out = False
        for keeps_out, pattern in patterns:
            if keeps_out != out and any(pattern.fullmatch(top) for top in tops):
                out = keeps_out
        return out

    return is_out


def _pattern(text: str) -> str:
    """One pattern of .dockerignore as a regular expression without nested repetition."""
    found, place = [], 0
    while place < len(text):
        sign = text[place]
        if text.startswith("**", place):
            while text.startswith("*", place):
                place += 1
            if text.startswith("/", place):
                place += 1
                if found[-1:] != ["(?:.*/)?"]:
                    found.append("(?:.*/)?")
            elif found[-1:] != [".*"]:
                found.append(".*")
            continue
        if sign == "*":
            found.append("[^/]*")
        elif sign == "?":
            found.append("[^/]")
        elif sign == "[" and (end := text.find("]", place + 2)) > 0:
            inner = text[place + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            found.append(f"[{inner}]")
            place = end
        elif sign == "\\" and place + 1 < len(text):
            place += 1
            found.append(re.escape(text[place]))
        else:
            found.append(re.escape(sign))
        place += 1
    return "".join(found)


# hadolint


@functools.lru_cache(maxsize=8)
def lint(source: str) -> tuple[dict, ...]:
    """hadolint's findings on a Dockerfile: code, level, line, message.

    Raises:
        NotGradedHere: hadolint is not here, or broke.
    """
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        not_graded_here("the linter hadolint is not installed")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / DOCKERFILE
        place.write_text(source, encoding="utf-8")
        (Path(folder) / "settings.yaml").write_text("failure-threshold: none\n")
        command = [program, "--no-color", "--no-fail", "--format", "json", "--config", "settings.yaml", DOCKERFILE]
        done = processes.run(command, cwd=Path(folder), timeout=20, stderr=False)
    try:
        found = json.loads(done.output)
        return tuple({key: one[key] for key in ("code", "level", "line", "message")} for one in found)
    except (ValueError, KeyError, TypeError):
        not_graded_here(f"the linter hadolint did not answer: {done.output[-200:].strip() or done.returncode}")


# rules that need the files


def copies_something(context: Context) -> list[Finding]:
    """Every COPY and ADD finds its sources in what is sent."""
    found = []
    stages = {stage.name for stage in context.parsed.stages}
    for one in context.parsed.instructions:
        if one.name not in ("COPY", "ADD") or one.flag("from") is not None:
            continue
        for source in one.paths[0]:
            if "$" in source or re.match(r"(?:https?|ftp|git)://|git@", source):
                continue
            clean = posixpath.normpath(source.lstrip("/") or ".")
            if clean == ".." or clean.startswith("../"):
                hint = "an image is made of its build context alone; copy the file into that folder before"
                found.append(one.finding(f"{source} lies outside the build context", hint))
            elif not matching(source, context.sent):
                kept_out = " (.dockerignore keeps it out)" if matching(source, context.files) else ""
                staged = clean.split("/")[0] in stages
                hint = "is it spelled as the file is?"
                if staged:
                    hint = "files of another stage come with COPY --from=name"
                elif kept_out:
                    hint = "the last line of .dockerignore that fits decides; !name lets in again"
                if not _is_wheels(clean):
                    found.append(one.finding(f"the context has no {source}{kept_out}", hint))
    return [Finding(one.line, one.reason, one.hint, "copies", one.text) for one in found]


def _is_wheels(path: str) -> bool:
    return path.split("/")[0] == WHEELS  # the grader fills it; see `wheels`


def matching(source: str, paths: Mapping[str, Entry]) -> list[str]:
    """The paths that a source of COPY stands for: a file, all in a folder, or those that fit a pattern."""
    clean = posixpath.normpath(source.lstrip("/") or ".")
    if clean == ".":
        return list(paths)
    pattern = re.compile(_pattern(clean))
    tops = ((path, PurePosixPath(path)) for path in paths)
    return [path for path, place in tops if any(pattern.fullmatch(str(one)) for one in (place, *place.parents))]


def no_secret_files(context: Context) -> list[Finding]:
    """No file that is sent holds a secret: it may end in a layer, and stays there when a later one removes it."""
    found = []
    hint = "keep it out with .dockerignore, and give the secret when the container starts"
    if any(path.startswith(".git/") for path in context.sent):
        found.append(
            Finding(
                None,
                "the history of the project (.git) is sent to the engine",
                "keep .git out with .dockerignore",
                "no secrets",
            )
        )
    for path, entry in context.sent.items():
        if path.startswith(".git/"):
            continue
        if _SECRET_FILES.search(path):
            found.append(
                Finding(None, f"{path} is sent to the engine, and such a file holds secrets", hint, "no secrets")
            )
        elif entry.size <= MAX_SCANNED_BYTES and path != DOCKERFILE:
            kind = dockerfiles.secret_in(context.read(path, most=MAX_SCANNED_BYTES).decode("latin-1"))
            if kind:
                found.append(Finding(None, f"{path} is sent to the engine, and holds {kind}", hint, "no secrets"))
    return found


def caches_dependencies(context: Context) -> list[Finding]:
    """Dependencies are installed before the code is copied, so that a change of code installs nothing again."""
    code = {path: entry for path, entry in context.sent.items() if path.endswith(".py") and path != "setup.py"}
    found, steps = [], 0
    seen: set[int] = set()
    for stage in context.parsed.stages:
        copied: Instruction | None = None
        for one in stage.instructions:
            if one.name in ("COPY", "ADD") and one.flag("from") is None and copied is None:
                copied = one if any(matching(source, code) for source in one.paths[0]) else None
            elif dockerfiles.installs(one) and not dockerfiles.installs_itself(one):
                steps += 1
                bound = [m for m in dockerfiles.mounts(one) if m["type"] == "bind" and not m.get("from")]
                whole = any(matching(mount.get("source", mount.get("src", ".")), code) for mount in bound)
                if (copied is not None or whole) and one.line not in seen:
                    seen.add(one.line)
                    above = f"line {copied.line} copied the code before" if copied else "all of the code is mounted"
                    reason = f"{above}, so each change of the code installs everything again"
                    found.append(one.finding(reason, "copy requirements.txt alone, install, then copy the code"))
    if not steps:
        hint = "COPY requirements.txt, then RUN pip install with it"
        found.append(Finding(None, "no RUN installs what the service needs", hint))
    return [Finding(one.line, one.reason, one.hint, "cached dependencies", one.text) for one in found]


def pinned_installs(context: Context) -> list[Finding]:
    """What a RUN installs by name with pip has a version."""
    found = []
    for one in context.parsed.instructions:
        if one.name != "RUN":
            continue
        for command in re.split(r"&&|\|\||[;\n|]", one.script):
            if not re.search(r"\bpip3?\s+(?:\S+\s+)*?install\s", command + " "):
                continue
            open_ones = _open_names(command.split("install", 1)[1].split())
            if open_ones:
                hint = "name the version, or put it into requirements.txt"
                found.append(one.finding(f"the version of {', '.join(open_ones)} is left open", hint))
    return [Finding(one.line, one.reason, one.hint, "pinned installs", one.text) for one in found]


# options of pip that take the next word
_WITH_VALUE = re.compile(
    r"-[rcfiteC]|--(?:requirement|constraint|find-links|(?:extra-)?index-url|target|prefix|root|src|python|editable"
    r"|cache-dir|timeout|(?:client-)?cert|(?:resume-)?retries|proxy|trusted-host|log|only-binary|no-binary|platform|abi"
    r"|python-version|implementation|progress-bar|root-user-action|upgrade-strategy|config-settings?|global-option"
    r"|report|exists-action|use-feature|use-deprecated|keyring-provider)"
)


def _open_names(words: Sequence[str]) -> list[str]:
    names, skip = [], False
    for word in (one.strip("\"'") for one in words):
        if skip or word.startswith("-"):
            skip = not skip and _WITH_VALUE.fullmatch(word) is not None
            continue
        try:
            need = Requirement(word)
        except InvalidRequirement:
            continue
        is_open = not need.url and not any(spec.operator in ("==", "===") for spec in need.specifier)
        if is_open and need.name.lower() not in ("pip", "setuptools", "wheel", "uv"):
            names.append(need.name)
    return names


def _about(rule: Callable[[Dockerfile], list[Finding]]) -> Callable[[Context], list[Finding]]:
    def judge(context: Context) -> list[Finding]:
        return rule(context.parsed)

    judge.__doc__ = rule.__doc__
    return judge


RULES: Mapping[str, Callable[[Context], list[Finding]]] = {
    "pinned base": _about(dockerfiles.pinned_bases),
    "non-root": _about(dockerfiles.non_root),
    "exec form": _about(dockerfiles.exec_form),
    "health check": _about(dockerfiles.health_check),
    "no secrets": lambda one: dockerfiles.no_secrets(one.parsed) + no_secret_files(one),
    "cached dependencies": caches_dependencies,
    "pinned installs": pinned_installs,
    "safe downloads": _about(dockerfiles.safe_downloads),
    "tidy layers": _about(dockerfiles.tidy_layers),
    "copies": copies_something,
}
__all__ = ["RULES", "Context", "Entry", "Finding", "Unmet", "context", "ignoring", "lint", "matching"]
