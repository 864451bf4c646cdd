"""A Dockerfile as instructions with their lines, and what policy says of it. Reads text only; used by `contexts`.

`dockerfile-parse` splits it into instructions; here-documents, which it does not know, are set aside before. A rule
returns findings: the line, what is wrong and a hint. Rules judge what is written and run nothing.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dockerfile_parse import DockerfileParser

from course.checks.core.expectations import Unmet

TITLE = "the Dockerfile can be read"
MAX_INSTRUCTIONS = 200
DOCUMENT = "here-document"  # stands for one, where a tool wants a file's name
INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_DIRECTIVE = re.compile(r"^\s*#\s*([A-Za-z]+)\s*=\s*(\S.*?)\s*$")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_][\w.]*)\2(?=$|[\s;&|>)])")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_PAIR = re.compile(r"""([A-Za-z_][\w.\-/]*)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")

# what gives a secret away: its name, or its shape
_SECRET_WORDS = {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "apikey", "credentials"}
_SECRET_PAIRS = {"api_key", "access_key", "private_key", "account_key", "auth_key", "signing_key", "encryption_key"}
SECRET_SHAPES: Mapping[str, re.Pattern[str]] = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"),
    "an access key of Amazon": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,255}\b|\bgithub_pat_\w{20,255}"),
    "a token of GitLab": re.compile(r"\bglpat-[\w-]{18,100}"),
    "a token of a package index": re.compile(r"\bpypi-[\w-]{30,400}"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[\w-]{10,200}"),
    "an access token": re.compile(r"\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,2000}"),
    "an account key of Azure": re.compile(r"\bAccountKey=[A-Za-z0-9+/]{40,100}"),
    "a name with a password": re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@$]{1,100}:[^\s/@$]{1,200}@"),
    "a header with a credential": re.compile(
        r"(?i)\bauthorization:\s*(?:bearer|basic|token)\s+[A-Za-z0-9+/=_.~-]{8,500}"
    ),
}
_PIPED = re.compile(r"\b(?:curl|wget)\b[^\n;&]*\|\s*(?:sudo\s+)?(?:\S*/)?(?:ba|da|z)?sh\b")
_SUBSTITUTED = re.compile(r"\b(?:ba|da|z)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b")
_INSTALLS = re.compile(
    r"\bpip3?\s+(?:[-\w=./]+\s+)*?(?:install|wheel|download|sync)\b|\buv\s+sync\b|\bpoetry\s+install\b|\bpipenv\s+(?:install|sync)\b"
    r"|\bconda\s+(?:env\s+(?:create|update)|install)\b|\b(?:micro)?mamba\s+(?:install|create)\b|\bpdm\s+(?:install|sync)\b"
)


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        line: of the Dockerfile, counted from 1; None when it is about something that is missing.
        reason: what is wrong, in words for the student.
        hint: a help that does not tell the answer.
        rule: its name: that of the policy, or a code of the linter's.
        text: the beginning of that line.
    """

    line: int | None
    reason: str
    hint: str | None = None
    rule: str = ""
    text: str = ""

    def __str__(self) -> str:
        where = (
            f"line {self.line} ({self.text}): "
            if self.line and self.text
            else f"line {self.line}: "
            if self.line
            else ""
        )
        return f"{where}{self.reason}"


@dataclass(frozen=True)
class Heredoc:
    """A here-document: its name, the text, whether variables in it are left alone, whether leading tabs go."""

    name: str
    body: str
    quoted: bool
    dashed: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: in upper case.
        value: its arguments on one line, comments and continuations taken out.
        line, end: the first and last line, counted from 1, here-documents included.
        heredocs: the here-documents that it has.
        raw: the lines as they are written.
    """

    name: str
    value: str
    line: int
    end: int
    heredocs: tuple[Heredoc, ...] = ()
    raw: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """Its beginning, for messages."""
        text = f"{self.name} {' '.join(self.value.split())}"
        return text if len(text) <= 60 else text[:59] + "…"

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """The options before its arguments, such as "--from=builder"."""
        found, rest = [], self.value.lstrip()
        while rest.startswith("--") and (match := re.match(r"--[A-Za-z]\S*(?:\s+|$)", rest)):
            found.append(match.group().strip())
            rest = rest[match.end() :]
        return tuple(found)

    def flag(self, name: str) -> str | None:
        """The value of an option, or None."""
        return next((flag.partition("=")[2] for flag in self.flags if flag.partition("=")[0] == f"--{name}"), None)

    @property
    def rest(self) -> str:
        """Its arguments behind the options."""
        rest = self.value.lstrip()
        for flag in self.flags:
            rest = rest[rest.index(flag) + len(flag) :].lstrip()
        return rest

    @cached_property
    def words(self) -> tuple[str, ...] | None:
        """The arguments of the exec form (a JSON list of texts), or None when it is the shell form."""
        try:
            found = json.loads(self.rest)
        except (ValueError, RecursionError):
            return None
        return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else None

    @property
    def script(self) -> str:
        """All that a RUN runs, with its here-documents."""
        head = shlex.join(self.words) if self.words else self.rest
        return "\n".join([head, *(document.body for document in self.heredocs)])

    @property
    def pairs(self) -> tuple[tuple[str, str | None], ...]:
        """Names and values of ENV, ARG and LABEL; None for an ARG without a default."""
        if self.name == "ARG":
            words = _split(self.rest)
            return tuple((word.partition("=")[0], word.partition("=")[2] if "=" in word else None) for word in words)
        if found := _PAIR.findall(self.rest):
            return tuple((name, _unquote(value)) for name, value in found)
        name, _, value = self.rest.partition(" ")
        return ((name, value.strip()),)

    @property
    def paths(self) -> tuple[tuple[str, ...], str]:
        """The sources and the destination of COPY and ADD."""
        words = list(self.words or _split(self.rest))
        words = [word for word in words if not (self.heredocs and _HEREDOC.fullmatch(word))]
        return tuple(words[:-1]), words[-1] if words else ""

    def finding(self, reason: str, hint: str | None = None) -> Finding:
        """A finding about this line."""
        return Finding(self.line, reason, hint, text=self.shown)


@dataclass(frozen=True)
class Stage:
    """One stage: from a FROM to the next.

    Attributes:
        name: behind AS, in lower case, or None.
        base: what it is made from, variables replaced.
        origin: its FROM.
        own: the instructions behind it.
        parent: the earlier stage that it is made from, or None.
    """

    name: str | None
    base: str
    origin: Instruction
    own: tuple[Instruction, ...]
    parent: Stage | None = None

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Those of the stages that it is made from, then its own."""
        return (*(self.parent.instructions if self.parent else ()), *self.own)

    def last(self, name: str) -> Instruction | None:
        """The last instruction of a name, which is the one that counts."""
        return next((one for one in reversed(self.instructions) if one.name == name), None)


class Dockerfile:
    """A Dockerfile that was read; see the module.

    Args:
        source: its text.
        name: what messages call it.

    Raises:
        Unmet: it has no instruction or stage, one that Docker does not know, too many, or one that is refused here.
    """

    def __init__(self, source: str, name: str = "Dockerfile") -> None:
        self.source, self.name = source, name
        self.directives = _directives(source)
        self.instructions = tuple(self._read())
        self._judge_form()
        self.globals: dict[str, str | None] = {}
        for one in self.instructions:
            if one.name == "FROM":
                break
            self.globals |= {key: None if value is None else _replace(value, self.globals) for key, value in one.pairs}
        self.stages = tuple(self._stages())

    @property
    def final(self) -> Stage:
        """The stage that becomes the image."""
        return self.stages[-1]

    def variables(self, stage: Stage) -> dict[str, str | None]:
        """What ARG and ENV of a stage say, as far as it is written; None where only the build would tell."""
        known: dict[str, str | None] = {}
        for one in stage.instructions:
            if one.name == "ARG":
                for key, value in one.pairs:
                    known[key] = self.globals.get(key) if value is None else _replace(value, known)
            elif one.name == "ENV":
                known |= {key: _replace(value or "", known) for key, value in one.pairs}
        return known

    @property
    def plain(self) -> str:
        """The text with comments in the place of here-documents, line by line, for tools that do not know them."""
        lines = self.source.splitlines()
        for one in self.instructions:
            if not one.heredocs:
                continue
            length = one.end - one.line + 1
            words = " ".join(_HEREDOC.sub(" ", one.rest).split())
            text = f"RUN {words or 'true'}" if one.name == "RUN" else f"{one.name} {DOCUMENT} {words}"
            lines[one.line - 1 : one.end] = [text] + ["#"] * (length - 1)
        return "\n".join(lines) + "\n"

    # reading

    def _read(self) -> Iterator[Instruction]:
        lines = self.source.splitlines()
        escape = self.directives.get("escape", "\\")
        plain, documents = _set_aside(lines, escape)
        parser = DockerfileParser(fileobj=io.BytesIO("\n".join(plain).encode() + b"\n"), env_replace=False)
        for found in parser.structure:
            if found["instruction"] == "COMMENT":
                continue
            first, last = found["startline"] + 1, found["endline"] + 1
            own = documents.get(last, [])
            end = own[-1][0] if own else last
            raw = "\n".join(lines[first - 1 : end])
            heredocs = tuple(document for _, document in own)
            yield Instruction(found["instruction"], found["value"].strip(), first, end, heredocs, raw)

    def _judge_form(self) -> None:
        def refuse(one: Instruction, reason: str, hint: str) -> None:
            raise Unmet(TITLE, f"line {one.line} ({one.shown}): {reason}", hint=hint)

        if len(self.instructions) > MAX_INSTRUCTIONS:
            raise Unmet(TITLE, f"it has more than {MAX_INSTRUCTIONS} instructions")
        syntax = self.directives.get("syntax", "docker/dockerfile")
        if not re.fullmatch(r"(?:docker\.io/)?docker/dockerfile(?:[:@][\w.:-]+)?", syntax):
            raise Unmet(
                TITLE,
                f"# syntax={syntax[:80]} asks for somebody else's program to read the Dockerfile",
                hint="leave that line out, or name docker/dockerfile:1",
            )
        for one in self.instructions:
            if one.name not in INSTRUCTIONS:
                hint = (
                    "a command of the shell stands behind RUN; a line that goes on ends in a backslash and nothing else"
                )
                refuse(one, f"Docker knows no instruction {one.name[:40]}", hint)
            if one.name == "ONBUILD":
                hint = "write the instruction itself, in the image that needs it"
                refuse(one, "ONBUILD acts in another image, made later from this one, where nobody sees it", hint)
            if one.name in ("ENTRYPOINT", "CMD", "RUN", "COPY", "ADD", "USER", "WORKDIR") and not one.rest:
                refuse(one, f"{one.name} needs an argument", "what should it do?")
            if one.name in ("COPY", "ADD") and not (one.paths[0] or one.heredocs):
                refuse(one, f"{one.name} needs a source and a destination", "the destination stands last")
        first = next((one for one in self.instructions if one.name != "ARG"), None)
        if first is None:
            hint = "an image begins FROM another one"
            raise Unmet(TITLE, f"{self.name} has no instructions", hint=hint)
        if first.name != "FROM":
            refuse(first, "the first instruction must be FROM", "only ARG may stand above it")

    def _stages(self) -> Iterator[Stage]:
        made: list[Stage] = []
        starts = [place for place, one in enumerate(self.instructions) if one.name == "FROM"]
        for start, stop in zip(starts, [*starts[1:], None], strict=True):
            origin = self.instructions[start]
            words = _split(origin.rest)
            name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else None
            if len(words) not in (1, 3) or (len(words) == 3 and name is None):
                reason = f"line {origin.line} ({origin.shown}): FROM names one image, and perhaps AS a name"
                raise Unmet(TITLE, reason)
            base = _replace(words[0], self.globals) or words[0]
            parent = next((one for one in made if one.name and one.name == base.lower()), None)
            made.append(Stage(name, base, origin, tuple(self.instructions[start + 1 : stop]), parent))
        return iter(made)


# rules; each takes the Dockerfile and returns what it found


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
    return _named("pinned base", found)


def foreign_images(dockerfile: Dockerfile) -> list[tuple[Instruction, str]]:
    """The images from elsewhere that it needs, each with the instruction that names it."""
    found, names = [], {str(place) for place in range(len(dockerfile.stages))}
    for stage in dockerfile.stages:
        if stage.parent is None and stage.base != "scratch":
            found.append((stage.origin, stage.base))
        if stage.name:
            names.add(stage.name)
        for one in stage.own:
            sources = [one.flag("from")] if one.name == "COPY" else []
            sources += [mount.get("from") for mount in mounts(one)]
            for source in sources:
                if source and source.lower() not in names and source != "scratch":
                    found.append((one, _replace(source, dockerfile.globals) or source))
    return found


def non_root(dockerfile: Dockerfile) -> list[Finding]:
    """The final stage ends with a user that is not root."""
    stage = dockerfile.final
    hint = "make a user with RUN useradd, or take a number such as 10001; USER stands before CMD"
    one = stage.last("USER")
    if one is None:
        return _named(
            "non-root", [Finding(None, "there is no USER in the final stage, so the service runs as root", hint)]
        )
    user = _replace(one.value, dockerfile.variables(stage))
    if user is None or "$" in user:
        return _named("non-root", [one.finding("the user is known only when somebody says so at the build", hint)])
    name = user.partition(":")[0].strip("\"'")
    if name in ("", "root") or (name.isdigit() and int(name) == 0):
        return _named("non-root", [one.finding("the last USER of the final stage is root", hint)])
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
            quotes = (
                "single quotes make it text for a shell, not a list"
                if one.rest.startswith("[")
                else "a shell starts it"
            )
            found.append(one.finding(f"{quotes}; SIGTERM reaches the shell and not the service", hint))
        elif (
            _is_shell(one.words)
            and not one.words[-1].lstrip().startswith("exec ")
            and not _one_command_exec(one.words[-1])
        ):
            found.append(
                one.finding(
                    "a shell starts it; SIGTERM reaches the shell and not the service",
                    "leave the shell out, or begin its last command with exec",
                )
            )
    if started and started[0].name == "ENTRYPOINT" and started[0].words == () and len(started) == 1:
        found.append(started[0].finding("the list is empty", hint))
    return _named("exec form", found)


def health_check(dockerfile: Dockerfile) -> list[Finding]:
    """The image says how its health is found out."""
    one = dockerfile.final.last("HEALTHCHECK")
    hint = "HEALTHCHECK CMD … asks GET /health from inside; the image has Python, and perhaps no curl"
    if one is None:
        return _named("health check", [Finding(None, "there is no HEALTHCHECK in the final stage", hint)])
    if one.rest.strip().upper() == "NONE":
        return _named("health check", [one.finding("HEALTHCHECK NONE turns it off", hint)])
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
            pairs = tuple((name, _unquote(value)) for name, value in _PAIR.findall(one.script))
        for name, value in pairs:
            if not is_secret_name(name):
                continue
            if value is None and one.name == "ARG":
                reason = f"the build argument {name} stays in the image's history"
                found.append(Finding(one.line, reason, hint, text=f"ARG {name}"))
            elif value and not value.startswith(("$", "/run/secrets/", "`")) and value.lower() not in _HARMLESS:
                found.append(Finding(one.line, f"{one.name} gives {name} a value", hint, text=f"{one.name} {name}=…"))
    return _named("no secrets", found)


_HARMLESS = frozenset(("", "true", "false", "0", "1", "none", "null", "changeme-at-runtime"))


def safe_downloads(dockerfile: Dockerfile) -> list[Finding]:
    """Nothing is fetched and used unseen: no ADD of an address, no download into a shell."""
    found = []
    for one in dockerfile.instructions:
        if one.name == "ADD" and any(re.match(r"(?:https?|ftp|git)://|git@", source) for source in one.paths[0]):
            if one.flag("checksum") is None:
                hint = "put the file into the context, or fetch it in a RUN that compares its checksum"
                found.append(one.finding("ADD of an address takes whatever is there on that day", hint))
        elif one.name == "RUN" and (_PIPED.search(one.script) or _SUBSTITUTED.search(one.script)):
            hint = "fetch a fixed version, compare its checksum, then run it"
            found.append(one.finding("a program from the network is run unseen", hint))
    return _named("safe downloads", found)


def tidy_layers(dockerfile: Dockerfile) -> list[Finding]:
    """What a step needs only for itself does not stay in its layer."""
    found = []
    for one in dockerfile.instructions:
        if one.name != "RUN":
            continue
        updates = re.search(r"\bapt(?:-get)?\s+(?:-\S+\s+)*update\b", one.script)
        installs = re.search(r"\bapt(?:-get)?\s+(?:-\S+\s+)*install\b", one.script)
        cached = any(
            mount.get("type") == "cache" and "apt" in mount.get("target", mount.get("dst", "")) for mount in mounts(one)
        )
        clean = re.search(r"\brm\s+(?:-\S+\s+)*[^\n;&]*/var/lib/apt(?:/lists)?\b", one.script)
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
        if re.search(r"\bsudo\s", one.script):
            found.append(one.finding("a build is root already and needs no sudo", "leave sudo out"))
    return _named("tidy layers", found)


def mounts(one: Instruction) -> list[dict[str, str]]:
    """The mounts of a RUN, each as its options."""
    found = []
    for flag in one.flags if one.name == "RUN" else ():
        if flag.startswith("--mount="):
            parts = [part.partition("=") for part in flag.removeprefix("--mount=").split(",")]
            found.append({"type": "bind"} | {key: value for key, _, value in parts})
    return found


def installs(one: Instruction) -> bool:
    """Whether a RUN installs Python packages from elsewhere (not only the project itself)."""
    return one.name == "RUN" and bool(_INSTALLS.search(one.script))


def installs_itself(one: Instruction) -> bool:
    """Whether a RUN installs only the project that lies in the image."""
    return bool(
        re.search(
            r"\binstall\s+(?:--?[\w-]+(?:=\S+)?\s+)*(?:-e\s+)?[\"']?\.{1,2}(?:[/\[]\S*)?[\"']?\s*(?:$|[;&\n])",
            one.script,
        )
    ) and not re.search(r"\s(?:-r|--requirement)[ =]", one.script)


def is_heredoc(text: str) -> bool:
    """Whether a RUN's arguments are one here-document and nothing else: a script."""
    return bool(_HEREDOC.fullmatch(text.strip()))


def secret_in(text: str) -> str | None:
    """What kind of secret a text holds, by its shape; None when there is none."""
    return next((kind for kind, shape in SECRET_SHAPES.items() if shape.search(text)), None)


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret, such as DB_PASSWORD; DB_PASSWORD_FILE names a file."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(".", "_").split("_")
    if parts[-1] in ("file", "path", "url", "length", "name"):
        return False
    joined = {f"{a}_{b}" for a, b in itertools.pairwise(parts)}
    return bool(_SECRET_WORDS & set(parts) or _SECRET_PAIRS & joined)


def _named(rule: str, found: Iterable[Finding]) -> list[Finding]:
    return [Finding(one.line, one.reason, one.hint, rule, one.text) for one in found]


def _is_shell(words: tuple[str, ...]) -> bool:
    return (
        len(words) >= 3
        and words[0].rpartition("/")[2] in ("sh", "bash", "dash", "ash", "zsh")
        and any(word.startswith("-") and word.endswith("c") for word in words[1:-1])
    )


def _one_command_exec(script: str) -> bool:
    return bool(re.search(r"(?:^|[;&\n])\s*exec\s+\S", script))


def _directives(source: str) -> dict[str, str]:
    """The parser's directives: comments of the form # name=value above everything else."""
    found: dict[str, str] = {}
    for line in source.splitlines():
        if not (match := _DIRECTIVE.match(line)):
            break
        found[match.group(1).lower()] = match.group(2)
    return found


def _set_aside(lines: list[str], escape: str) -> tuple[list[str], dict[int, list[tuple[int, Heredoc]]]]:
    """Lines in which here-documents, and empty lines within an instruction, became comments, and the documents.

    The documents stand by the last line of their instruction, each with its own last line, counted from 1.
    """
    plain: list[str] = []
    documents: dict[int, list[tuple[int, Heredoc]]] = {}
    logical, place = "", 0
    while place < len(lines):
        line = lines[place]
        place += 1
        is_comment = line.lstrip().startswith("#")
        if logical and (is_comment or not line.strip()):
            plain.append("#")
            continue
        plain.append(line.lstrip() if not logical else line)
        if is_comment:
            continue
        stripped = line.rstrip()
        if stripped.endswith(escape):
            logical += stripped[:-1] + " "
            continue
        logical, whole = "", logical + stripped
        if whole.split(None, 1)[:1] and whole.split(None, 1)[0].upper() in ("RUN", "COPY", "ADD"):
            last, after = place, place
            for dash, quote, name in _HEREDOC.findall(whole):
                ends = (n for n in range(after, len(lines)) if (lines[n].lstrip("\t") if dash else lines[n]) == name)
                if (end := next(ends, None)) is None:
                    raise Unmet(
                        TITLE,
                        f"line {last}: the here-document <<{name} has no end",
                        hint=f"a line that holds only {name} ends it",
                    )
                body = lines[after:end]
                text = "".join(f"{one.lstrip(chr(9)) if dash else one}\n" for one in body)
                documents.setdefault(last, []).append((end + 1, Heredoc(name, text, bool(quote), bool(dash))))
                after = end + 1
            plain += ["#"] * (after - place)
            place = after
    return plain, documents


def _replace(text: str, known: Mapping[str, str | None]) -> str | None:
    """Text with its variables replaced; None when one is known by name but has no value."""
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        name, operator, other, bare = match.groups()
        found = known.get(name or bare)
        if operator == "-":
            return found or other
        if operator == "+":
            return other if found else ""
        if found is None:
            unknown = True
            return match.group()
        return found

    done = _VARIABLE.sub(value, text)
    return None if unknown and not done.strip() else done


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _unquote(value: str) -> str:
    return "".join(_split(value)) if value[:1] in "\"'" else value
