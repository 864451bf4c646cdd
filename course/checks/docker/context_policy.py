"""The policy for build contexts: the rules of `dockerfile_policy`, and those that need the files beside the Dockerfile.

`RULES` is what `Context.expect` knows by name. A rule takes a Context and returns findings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course.checks.core.findings import Finding, named
from course.checks.docker import dockerfile_policy, simple_commands
from course.checks.docker.dockerfiles import DOCKERFILE, Dockerfile, Instruction, expand, mounts
from course.checks.docker.dockerignore import matching
from course.checks.files.secret_detection import secret_in

if TYPE_CHECKING:
    from course.checks.docker.contexts import Context

WHEELS = "wheels"  # a folder that the grader fills; see `wheels`
MAX_SCANNED_BYTES = 1 << 20
MAX_SCANNED_TOTAL = 16 << 20
_PINNED = re.compile(r"([A-Za-z0-9][\w.-]{0,200})\s{0,20}===?")
_ADDRESS = re.compile(r"(?:https?|ftp|git|ssh)://|git@")
_SHELL_SCRIPT = re.compile(r"#!\s*\S*(?:/|\s)(?:ba|da|a|z)?sh\b")
_SECRET_FILES = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example$|sample$|template$|dist$)[^/]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.pypirc|\.pgpass|\.git-credentials"
    r"|\.aws/credentials|\.docker/config\.json|\.kube/config|kaggle\.json|credentials\.json|secrets?\.(?:ya?ml|json|toml|env|txt))$"
)


def sources(context: Context) -> Iterator[tuple[Instruction, list[str]]]:
    """Each COPY and ADD from the build context, with its sources, variables replaced.

    A source whose variables only the build knows, and one that is an address, is left out.
    """
    for stage in context.parsed.stages:
        known = context.parsed.variables(stage)
        for one in stage.own:
            if one.name not in ("COPY", "ADD") or one.flag("from") is not None:
                continue
            named_ones = [expand(source, known) or source for source in one.paths[0]]
            yield one, [text for text in named_ones if "$" not in text and not _ADDRESS.match(text)]


def copied(context: Context) -> set[str]:
    """The files of the context that a COPY, an ADD or a mount takes."""
    found = {path for _, names in sources(context) for name in names for path in matching(name, context.sent)}
    for one in context.parsed.instructions:
        for mount in mounts(one):
            if mount["type"] == "bind" and not mount.get("from"):
                found |= set(matching(mount.get("source", mount.get("src", ".")), context.sent))
    return found


def copies_something(context: Context) -> list[Finding]:
    """Every COPY and ADD finds its sources in what is sent."""
    found = []
    stages = {stage.name for stage in context.parsed.stages}
    for one, names in sources(context):
        for source in names:
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
                found.append(one.finding(f"the context has no {source}{kept_out}", hint))
    return named("copies", found)


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
    takes = {one.line: any(matching(name, code) for name in names) for one, names in sources(context)}
    found, steps = [], 0
    seen: set[int] = set()
    for stage in context.parsed.stages:
        taken: Instruction | None = None
        for one in stage.instructions:
            if takes.get(one.line) and taken is None:
                taken = one
            elif any(not install.is_local for install in simple_commands.installs(one)):
                steps += 1
                bound = [m for m in mounts(one) if m["type"] == "bind" and not m.get("from")]
                whole = any(matching(mount.get("source", mount.get("src", ".")), code) for mount in bound)
                if (taken is not None or whole) and one.line not in seen:
                    seen.add(one.line)
                    above = f"line {taken.line} copied the code before" if taken else "all of the code is mounted"
                    reason = f"{above}, so each change of the code installs everything again"
                    found.append(one.finding(reason, "copy requirements.txt alone, install, then copy the code"))
    if not steps:
        hint = "COPY requirements.txt, then RUN pip install with it"
        found.append(Finding(None, "no RUN installs what the service needs", hint))
    return named("cached dependencies", found)


def pinned_installs(context: Context) -> list[Finding]:
    """What a RUN installs by name with pip has a version, in the command or in a file that the command names."""
    found = []
    for one in context.parsed.instructions:
        for install in simple_commands.installs(one):
            open_ones = [need.name for need in install.names if _is_open(need)]
            if open_ones and (install.files or install.constraints):
                known = _pinned_in(context, [*install.files, *install.constraints])
                open_ones = [name for name in open_ones if canonicalize_name(name) not in known]
            if open_ones:
                hint = "name the version, or put it into requirements.txt"
                found.append(one.finding(f"the version of {', '.join(open_ones)} is left open", hint))
    return named("pinned installs", found)


def _is_open(need: Requirement) -> bool:
    if need.url or need.name.lower() in ("pip", "setuptools", "wheel", "uv"):
        return False
    return not any(spec.operator in ("==", "===") for spec in need.specifier)


def _pinned_in(context: Context, names: Sequence[str]) -> set[str]:
    """The packages that files of the context pin; a file is found by its last part, wherever it was copied."""
    found: set[str] = set()
    for name in names:
        last = posixpath.basename(name)
        for path in [path for path in context.sent if posixpath.basename(path) == last][:3]:
            text = context.read(path, most=MAX_SCANNED_BYTES).decode("utf-8", "replace")
            lines = (_PINNED.match(line.strip()) for line in text.splitlines())
            found |= {canonicalize_name(line[1]) for line in lines if line}
    return found


def scripts_step_aside(context: Context) -> list[Finding]:
    """A script of the context that starts the service ends with exec, so that the service takes its place."""
    stage, found = context.parsed.final, []
    for one in (stage.last("ENTRYPOINT"), stage.last("CMD")):
        words = list(one.words or ()) if one is not None else []
        if one is None or not words:
            continue
        if simple_commands.is_shell(words) and simple_commands.shell_script(words) is None:
            words = [word for word in words[1:] if not word.startswith("-")]
        name = posixpath.basename(words[0]) if words else ""
        text = _script(context, name) if name else None
        if text is None or not (_SHELL_SCRIPT.match(text) or (name.endswith(".sh") and not text.startswith("#!"))):
            continue
        if not simple_commands.steps_aside(text):
            reason = f"the script {name} starts the service as a child: SIGTERM reaches the script and not the service"
            found.append(one.finding(reason, "begin the last command of the script with exec"))
        break
    return named("exec form", found)


def _script(context: Context, name: str) -> str | None:
    """The text of a file of that name in the context, or in a here-document of a COPY."""
    for one in context.parsed.instructions:
        for document in one.heredocs if one.name in ("COPY", "ADD") else ():
            if name in (posixpath.basename(one.paths[1]), document.name):
                return document.body
    found = [path for path in context.sent if posixpath.basename(path) == name]
    return context.read(found[0], most=MAX_SCANNED_BYTES).decode("utf-8", "replace") if found else None


def _about(rule: Callable[[Dockerfile], list[Finding]]) -> Callable[[Context], list[Finding]]:
    def judge(context: Context) -> list[Finding]:
        return rule(context.parsed)

    judge.__doc__ = rule.__doc__
    return judge


RULES: Mapping[str, Callable[[Context], list[Finding]]] = {
    "pinned base": _about(dockerfile_policy.pinned_bases),
    "non-root": _about(dockerfile_policy.non_root),
    "numeric user": _about(dockerfile_policy.numeric_user),
    "exec form": lambda one: dockerfile_policy.exec_form(one.parsed) or scripts_step_aside(one),
    "health check": _about(dockerfile_policy.health_check),
    "no secrets": lambda one: dockerfile_policy.no_secrets(one.parsed) + no_secret_files(one),
    "cached dependencies": caches_dependencies,
    "pinned installs": pinned_installs,
    "safe downloads": _about(dockerfile_policy.safe_downloads),
    "reachable": _about(dockerfile_policy.reachable),
    "tidy layers": _about(dockerfile_policy.tidy_layers),
    "copies": copies_something,
}
