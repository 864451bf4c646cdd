"""The policy for Dockerfiles: rules that judge the text alone. Each takes a Dockerfile and returns findings.

The rules that need the files beside it are in `context_policy`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from course.checks.core.findings import Finding, named
from course.checks.docker import simple_commands
from course.checks.docker.dockerfiles import Dockerfile, Instruction, expand, foreign_images, mounts
from course.checks.docker.simple_commands import base_name, is_shell, pipelines_of, program, shell_script, steps_aside
from course.checks.files.secret_detection import is_secret_name, secret_in

_SUBSTITUTED = re.compile(r"\b(?:ba|da|z)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b")
_NEVER_FAILS = re.compile(r"(?:\|\||;) *(?:true|:|exit 0) *$")
_FETCHES = re.compile(r"\b(?:curl|wget)\b")
_APT = re.compile(r"apt(?:-get)?")
_APT_COMMANDS = (
    "update",
    "install",
    "upgrade",
    "dist-upgrade",
    "full-upgrade",
    "remove",
    "purge",
    "autoremove",
    "clean",
)
# programs that ask servers → with which first words; none means with all
_NETWORK: dict[str, frozenset[str]] = {
    **dict.fromkeys(("apt-get", "apt", "aptitude"), frozenset(("update", "install", "upgrade", "dist-upgrade"))),
    "apk": frozenset(("add", "update", "upgrade")),
    "git": frozenset(("clone", "fetch", "pull")),
    "curl": frozenset(),
    "wget": frozenset(),
}
_HARMLESS = frozenset(("", "true", "false", "0", "1", "none", "null", "changeme-at-runtime"))


def pinned_bases(dockerfile: Dockerfile) -> list[Finding]:
    """Every image that it is made from has a tag that is not "latest", or a digest."""
    found = []
    for one, image in foreign_images(dockerfile):
        name, _, digest = image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        hint = "name the version that you tested with, as in python:3.11-slim"
        if "$" in image:
            found.append(
                one.finding(f"{image} is known only when somebody says so at the build", "give the ARG a default")
            )
        elif digest:
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                found.append(
                    one.finding(f"{image} has no valid digest", "a digest is sha256: and 64 digits and letters a to f")
                )
        elif not tag:
            found.append(one.finding(f"{image} has no tag, which means latest: another image next month", hint))
        elif tag == "latest":
            found.append(one.finding(f"{image} is whatever was pushed last: another image next month", hint))
    return named("pinned base", found)


def non_root(dockerfile: Dockerfile) -> list[Finding]:
    """The final stage ends with a user that is not root."""
    stage = dockerfile.final
    hint = "make a user with RUN useradd, or take a number such as 10001; USER stands before CMD"
    one = stage.last("USER")
    if one is None:
        return named(
            "non-root", [Finding(None, "there is no USER in the final stage, so the service runs as root", hint)]
        )
    user = expand(one.value, dockerfile.variables(stage))
    if user is None or "$" in user:
        return named("non-root", [one.finding("the user is known only when somebody says so at the build", hint)])
    name = user.partition(":")[0].strip("\"'")
    if name in ("", "root") or not name.strip("0"):
        return named("non-root", [one.finding("the last USER of the final stage is root", hint)])
    return []


def numeric_user(dockerfile: Dockerfile) -> list[Finding]:
    """The user of the final stage is a number, as Kubernetes needs it to see that it is not root."""
    stage = dockerfile.final
    one = stage.last("USER")
    if one is None:
        hint = "end the last stage with a number, such as USER 10001"
        return named("numeric user", [Finding(None, "there is no USER in the final stage", hint)])
    user = expand(one.value, dockerfile.variables(stage)) or ""
    name = user.partition(":")[0].strip("\"'")
    if not re.fullmatch(r"[0-9]+", name):
        hint = "a rule of this course: Kubernetes refuses a name where it must see that a container is not root"
        return named("numeric user", [one.finding(f"the user is {name!r}, and must be a number such as 10001", hint)])
    return []


def exec_form(dockerfile: Dockerfile) -> list[Finding]:
    """The program is started directly, not by a shell that keeps signals from it."""
    stage, found = dockerfile.final, []
    started = [one for name in ("ENTRYPOINT", "CMD") if (one := stage.last(name)) is not None]
    hint = 'write a list with double quotes: CMD ["gunicorn", "wsgi:app"]'
    if not started:
        found.append(Finding(None, "there is no CMD and no ENTRYPOINT in the final stage: what should run?", hint))
    for one in started:
        if one.words is None:
            found.append(one.finding(*_shell_form(one, started[0], hint)))
        elif (script := shell_script(one.words)) is not None and not steps_aside(script):
            reason = "a shell starts it; SIGTERM reaches the shell and not the service"
            found.append(one.finding(reason, "leave the shell out, or begin its last command with exec"))
    if started and started[0].name == "ENTRYPOINT" and started[0].words == () and len(started) == 1:
        found.append(started[0].finding("the list is empty", hint))
    return named("exec form", found)


def _shell_form(one: Instruction, first: Instruction, hint: str) -> tuple[str, str]:
    """Why the shell form of an instruction is refused, and a hint."""
    if one.rest.startswith("["):
        reason = "it is not a JSON list, so a shell gets it as text"
        if "'" in one.rest and '"' not in one.rest:
            reason = "single quotes make it text for a shell, not a list"
        return reason, hint
    if one is not first and first.words:
        return "ENTRYPOINT is a list and CMD is text, so ENTRYPOINT gets /bin/sh -c as its first arguments", hint
    if steps_aside(one.rest):
        reason = "exec lets signals through, but the image then needs a shell, which also reads each $ and quote anew"
        return f"{reason}: a rule of this course asks for a list", hint
    return "a shell starts it; SIGTERM reaches the shell and not the service", hint


def health_check(dockerfile: Dockerfile) -> list[Finding]:
    """The image says how its health is found out."""
    one = dockerfile.final.last("HEALTHCHECK")
    hint = "HEALTHCHECK CMD … asks GET /health from inside; the image has Python, and perhaps no curl"
    if one is None:
        return named("health check", [Finding(None, "there is no HEALTHCHECK in the final stage", hint)])
    if one.rest.strip().upper() == "NONE":
        return named("health check", [one.finding("HEALTHCHECK NONE turns it off", hint)])
    words = one.words or ()
    text = (shell_script(words) or "") if words else one.rest
    if _NEVER_FAILS.search(text):
        reason = "it ends with status 0 whatever the service answers, so it cannot fail"
        return named("health check", [one.finding(reason, "a health check must end with another status on failure")])
    return []


def no_secrets(dockerfile: Dockerfile) -> list[Finding]:
    """No instruction holds a secret: whoever has the image can read all of them."""
    found = []
    hint = "whoever has the image reads its history: give secrets when the container starts, or by --mount=type=secret"
    for one in dockerfile.instructions:
        shape = secret_in("\n".join([one.value, *(document.body for document in one.heredocs)]))
        if shape:
            found.append(Finding(one.line, f"{one.name} holds {shape}", hint, text=one.name))
            continue
        pairs = one.pairs if one.name in ("ENV", "ARG", "LABEL") else ()
        if one.name == "RUN":
            pairs = one.assignments
        for name, value in pairs:
            if not is_secret_name(name):
                continue
            if value is None and one.name == "ARG":
                reason = f"the build argument {name} stays in the image's history"
                found.append(Finding(one.line, reason, hint, text=f"ARG {name}"))
            elif value and not value.startswith(("$", "/run/secrets/", "`")) and value.lower() not in _HARMLESS:
                found.append(Finding(one.line, f"{one.name} gives {name} a value", hint, text=f"{one.name} {name}=…"))
    return named("no secrets", found)


def safe_downloads(dockerfile: Dockerfile) -> list[Finding]:
    """Nothing is fetched and used unseen: no ADD of an address, no download into a shell."""
    found = []
    for one in dockerfile.instructions:
        if one.name == "ADD" and any(re.match(r"(?:https?|ftp|git)://|git@", source) for source in one.paths[0]):
            if one.flag("checksum") is None:
                hint = "put the file into the context, or fetch it in a RUN that compares its checksum"
                found.append(one.finding("ADD of an address takes whatever is there on that day", hint))
        elif one.name == "RUN" and (_is_piped_to_a_shell(one) or _SUBSTITUTED.search(one.script)):
            hint = "fetch a fixed version, compare its checksum, then run it"
            found.append(one.finding("a program from the network is run unseen", hint))
    return named("safe downloads", found)


def reachable(dockerfile: Dockerfile) -> list[Finding]:
    """No RUN needs more of the network than Python's package indexes, which is all that a build here reaches."""
    hint = "a rule of this course: a build reaches Python's package indexes and nothing else; wheels need no compiler"
    found = []
    for one in dockerfile.instructions:
        for words in simple_commands.programs(one):
            name, plain = base_name(words[0]), [word for word in words[1:] if not word.startswith("-")]
            verbs = _NETWORK.get(name)
            if verbs is not None and (not verbs or set(plain[:1]) & verbs):
                found.append(one.finding(f"{' '.join([name, *plain[:1]])} asks a server that no build may reach", hint))
                break
    return named("reachable", found)


def tidy_layers(dockerfile: Dockerfile) -> list[Finding]:
    """What a step needs only for itself does not stay in its layer."""
    found = []
    for one in dockerfile.instructions:
        if one.name != "RUN":
            continue
        calls = [words for pipeline in pipelines_of(one) for words in pipeline]
        apt = [_apt_command(words) for words in calls]
        updates, installs = "update" in apt, "install" in apt
        cached = any(
            mount.get("type") == "cache" and "apt" in mount.get("target", mount.get("dst", "")) for mount in mounts(one)
        )
        clean = any("rm" in map(base_name, words) and any("/var/lib/apt" in word for word in words) for words in calls)
        if updates and not installs:
            found.append(
                one.finding(
                    "apt-get update in a step of its own is kept by the cache, and old next month",
                    "update, install and remove the lists in one RUN",
                )
            )
        elif installs and not clean and not cached:
            found.append(
                one.finding("the lists of packages stay in the layer", "remove /var/lib/apt/lists in the same RUN")
            )
        if any("sudo" in map(base_name, words) for words in calls):
            found.append(one.finding("a build is root already and needs no sudo", "leave sudo out"))
    return named("tidy layers", found)


def _apt_command(words: Sequence[str]) -> str | None:
    """What a command asks of apt, such as "install"; None when it does not call apt."""
    place = next((number for number, word in enumerate(words) if _APT.fullmatch(base_name(word))), len(words))
    return next((word for word in words[place + 1 :] if word in _APT_COMMANDS), None)


def _is_piped_to_a_shell(one: Instruction) -> bool:
    """Whether what curl or wget fetches is run at once."""
    for pipeline in pipelines_of(one):
        fetched = False
        for words in pipeline:
            if fetched and is_shell(program(words)):
                return True
            fetched = fetched or any(_FETCHES.search(word) for word in words)
    return False
