"""The policy for build contexts: the rules of `dockerfile_policy`, and those that need the files beside the Dockerfile.

`RULES` is what `Context.expect` knows by name. A rule takes a Context and returns findings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from course.checks.core.findings import Finding, named
from course.checks.docker import dockerfile_policy
from course.checks.docker.dockerfiles import DOCKERFILE, Dockerfile, Instruction, mounts
from course.checks.docker.dockerignore import matching
from course.checks.docker.shell_commands import PIP, arguments, commands
from course.checks.files.secret_detection import secret_in

if TYPE_CHECKING:
    from course.checks.docker.contexts import Context

WHEELS = "wheels"  # a folder that the grader fills; see `wheels`
MAX_SCANNED_BYTES = 1 << 20
MAX_SCANNED_TOTAL = 16 << 20
_SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example$|sample$|template$|dist$)[^/]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.pypirc|\.pgpass|\.git-credentials"
    r"|\.aws/credentials|\.docker/config\.json|\.kube/config|kaggle\.json|credentials\.json|secrets?\.(?:ya?ml|json|toml|env|txt))$"
)


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
    return named("copies", found)


def _is_wheels(path: str) -> bool:
    return path.split("/")[0] == WHEELS  # the grader fills it; see `wheels`


def no_secret_files(context: Context) -> list[Finding]:
    """No file that is sent holds a secret: it may end in a layer, and stays there when a later one removes it."""
    found, scanned = [], 0
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
            scanned += entry.size
            if scanned > MAX_SCANNED_TOTAL:
                reason = (
                    f"more than {MAX_SCANNED_TOTAL >> 20} MiB of small files are sent: too much to look for secrets"
                )
                found.append(Finding(None, reason, "keep out with .dockerignore what the image does not need"))
                break
            kind = secret_in(context.read(path, most=MAX_SCANNED_BYTES).decode("latin-1"))
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
            elif dockerfile_policy.installs(one) and not dockerfile_policy.installs_itself(one):
                steps += 1
                bound = [m for m in mounts(one) if m["type"] == "bind" and not m.get("from")]
                whole = any(matching(mount.get("source", mount.get("src", ".")), code) for mount in bound)
                if (copied is not None or whole) and one.line not in seen:
                    seen.add(one.line)
                    above = f"line {copied.line} copied the code before" if copied else "all of the code is mounted"
                    reason = f"{above}, so each change of the code installs everything again"
                    found.append(one.finding(reason, "copy requirements.txt alone, install, then copy the code"))
    if not steps:
        hint = "COPY requirements.txt, then RUN pip install with it"
        found.append(Finding(None, "no RUN installs what the service needs", hint))
    return named("cached dependencies", found)


def pinned_installs(context: Context) -> list[Finding]:
    """What a RUN installs by name with pip has a version."""
    found = []
    for one in context.parsed.instructions:
        if one.name != "RUN":
            continue
        for words in commands(one.script):
            open_ones = _open_names(arguments(words, PIP, ("install",)) or ())
            if open_ones:
                hint = "name the version, or put it into requirements.txt"
                found.append(one.finding(f"the version of {', '.join(open_ones)} is left open", hint))
    return named("pinned installs", found)


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
            need = Requirement(word[:200])
        except (InvalidRequirement, RecursionError):
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
    "pinned base": _about(dockerfile_policy.pinned_bases),
    "non-root": _about(dockerfile_policy.non_root),
    "exec form": _about(dockerfile_policy.exec_form),
    "health check": _about(dockerfile_policy.health_check),
    "no secrets": lambda one: dockerfile_policy.no_secrets(one.parsed) + no_secret_files(one),
    "cached dependencies": caches_dependencies,
    "pinned installs": pinned_installs,
    "safe downloads": _about(dockerfile_policy.safe_downloads),
    "tidy layers": _about(dockerfile_policy.tidy_layers),
    "copies": copies_something,
}
