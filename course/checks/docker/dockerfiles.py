"""A Dockerfile, parsed: `Dockerfile(text)` has stages, and instructions with their lines. It only reads text.

`dockerfile-parse` splits the text into instructions. Here-documents, which it does not know, are set aside before.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dockerfile_parse import DockerfileParser

from course.checks.core.bounds import bounded
from course.checks.core.expectations import Unmet
from course.checks.core.findings import Finding, quote

TITLE = "the Dockerfile can be read"
MAX_BYTES = 1 << 16
MAX_INSTRUCTIONS = 200
MAX_SOURCES = 200  # of all COPY and ADD together
MAX_VALUE = 10_000  # characters that a text may have once its variables are replaced
DOCKERFILE = "Dockerfile"  # its usual name
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
_DIRECTIVE = re.compile(r"^\s*#\s*([A-Za-z]+)\s*=(.*)$")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_][\w.]*)\2(?=$|[\s;&|>)])")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:\}|:([-+]))|(\w+))")  # of ${name:-other} only the beginning
_OPTION = re.compile(r"--[A-Za-z]\S*(?:\s+|$)")
_PAIR = re.compile(r"""(?<![\w.\-/])[\d.\-/]*+([A-Za-z_][\w.\-/]*)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")


@dataclass(frozen=True)
class Heredoc:
    """A here-document: its name, its text, whether its variables stay as they are, whether leading tabs are removed."""

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
        return quote(f"{self.name} {self.value}")

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """The options before its arguments, such as "--from=builder"."""
        return self._options[0]

    @cached_property
    def _options(self) -> tuple[tuple[str, ...], int]:
        """The options, and the place in its value behind them."""
        found: list[str] = []
        place = len(self.value) - len(self.value.lstrip())
        while match := _OPTION.match(self.value, place):
            found.append(match.group().strip())
            place = match.end()
        return tuple(found), place

    def flag(self, name: str) -> str | None:
        """The value of an option, or None."""
        return next((flag.partition("=")[2] for flag in self.flags if flag.partition("=")[0] == f"--{name}"), None)

    @cached_property
    def rest(self) -> str:
        """Its arguments behind the options."""
        return self.value[self._options[1] :].lstrip()

    @cached_property
    def words(self) -> tuple[str, ...] | None:
        """The arguments of the exec form (a JSON list of texts), or None when it is the shell form."""
        try:
            found = json.loads(self.rest)
        except (ValueError, RecursionError):
            return None
        return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else None

    @cached_property
    def script(self) -> str:
        """All that a RUN runs, with its here-documents."""
        head = shlex.join(self.words) if self.words else self.rest
        return "\n".join([head, *(document.body for document in self.heredocs)])

    @cached_property
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
    def assignments(self) -> tuple[tuple[str, str], ...]:
        """Words of the form name=value in what a RUN runs, such as variables that a command is given."""
        return tuple((name, _unquote(value)) for name, value in _PAIR.findall(self.script))

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], str]:
        """The sources and the destination of COPY and ADD."""
        words = list(self.words or _split(self.rest))
        words = [word for word in words if not (self.heredocs and _HEREDOC.fullmatch(word))]
        return tuple(words[:-1]), words[-1] if words else ""

    def finding(self, reason: str, hint: str | None = None) -> Finding:
        """A finding about this line."""
        return Finding(self.line, reason, hint, text=self.shown)


@dataclass(frozen=True)
class BuildStage:
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
    parent: BuildStage | None = None

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Those of the stages that it is made from, then its own."""
        return (*(self.parent.instructions if self.parent else ()), *self.own)

    def last(self, name: str) -> Instruction | None:
        """The last instruction of a name, which is the one that counts."""
        return next((one for one in reversed(self.instructions) if one.name == name), None)


class Dockerfile:
    """A parsed Dockerfile.

    Args:
        source: its text.
        name: its name in messages.

    Raises:
        Unmet: it has no instruction or stage, one that Docker does not know, too many, or one that is refused here.
    """

    @bounded(TITLE, "the Dockerfile")
    def __init__(self, source: str, name: str = DOCKERFILE) -> None:
        if len(source) > MAX_BYTES:
            raise Unmet(TITLE, f"{name} is longer than {MAX_BYTES >> 10} KiB")
        self.source, self.name = source, name
        self.directives = _directives(source)
        self.instructions = tuple(self._read())
        self._judge_form()
        self.globals: dict[str, str | None] = {}
        for one in self.instructions:
            if one.name == "FROM":
                break
            self.globals |= {key: None if value is None else expand(value, self.globals) for key, value in one.pairs}
        self.stages = tuple(self._stages())

    @property
    def final(self) -> BuildStage:
        """The stage that becomes the image."""
        return self.stages[-1]

    def variables(self, stage: BuildStage) -> dict[str, str | None]:
        """The values of ARG and ENV in a stage; None where only the build knows the value."""
        known: dict[str, str | None] = {}
        for one in stage.instructions:
            if one.name == "ARG":
                for key, value in one.pairs:
                    known[key] = self.globals.get(key) if value is None else expand(value, known)
            elif one.name == "ENV":
                known |= {key: expand(value or "", known) for key, value in one.pairs}
        return known

    @property
    def plain(self) -> str:
        """The text with comments in place of here-documents, line by line, for tools that do not support them."""
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
        if sum(len(one.paths[0]) for one in self.instructions if one.name in ("COPY", "ADD")) > MAX_SOURCES:
            raise Unmet(TITLE, f"its COPY and ADD name more than {MAX_SOURCES} sources", hint="copy folders as a whole")
        first = next((one for one in self.instructions if one.name != "ARG"), None)
        if first is None:
            hint = "an image begins FROM another one"
            raise Unmet(TITLE, f"{self.name} has no instructions", hint=hint)
        if first.name != "FROM":
            refuse(first, "the first instruction must be FROM", "only ARG may stand above it")

    def _stages(self) -> Iterator[BuildStage]:
        made: list[BuildStage] = []
        starts = [place for place, one in enumerate(self.instructions) if one.name == "FROM"]
        for start, stop in zip(starts, [*starts[1:], None], strict=True):
            origin = self.instructions[start]
            words = _split(origin.rest)
            name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else None
            if len(words) not in (1, 3) or (len(words) == 3 and name is None):
                reason = f"line {origin.line} ({origin.shown}): FROM names one image, and perhaps AS a name"
                raise Unmet(TITLE, reason)
            base = expand(words[0], self.globals) or words[0]
            parent = next((one for one in made if one.name and one.name == base.lower()), None)
            made.append(BuildStage(name, base, origin, tuple(self.instructions[start + 1 : stop]), parent))
        return iter(made)


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
                    found.append((one, expand(source, dockerfile.globals) or source))
    return found


def mounts(one: Instruction) -> list[dict[str, str]]:
    """The mounts of a RUN, each as its options."""
    found = []
    for flag in one.flags if one.name == "RUN" else ():
        if flag.startswith("--mount="):
            parts = [part.partition("=") for part in flag.removeprefix("--mount=").split(",")]
            found.append({"type": "bind"} | {key: value for key, _, value in parts})
    return found


def is_heredoc(text: str) -> bool:
    """Whether a RUN's arguments are one here-document and nothing else: a script."""
    return bool(_HEREDOC.fullmatch(text.strip()))


def _directives(source: str) -> dict[str, str]:
    """The parser's directives: comments of the form # name=value above everything else."""
    found: dict[str, str] = {}
    for line in source.splitlines():
        if not (match := _DIRECTIVE.match(line)) or not match.group(2).strip():
            break
        found[match.group(1).lower()] = match.group(2).strip()
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


def expand(text: str, known: Mapping[str, str | None]) -> str | None:
    """Text with its variables replaced by their values; None when nothing is left because a value is unknown.

    Raises:
        Unmet: it grows to more than MAX_VALUE characters.
    """
    parts: list[str] = []
    place = length = 0
    unknown, last = False, text.rfind("}")
    while match := _VARIABLE.search(text, place):
        end, name, operator = match.end(), match[1] or match[3], match[2]
        if operator and end > last:  # it is never closed
            break
        found = known.get(name)
        if operator:
            close = text.index("}", end)
            other = text[end:close]
            value = (found or other) if operator == "-" else (other if found else "")
            end = close + 1
        else:
            unknown = unknown or found is None
            value = match.group() if found is None else found
        parts += [text[place : match.start()], value]
        length += len(parts[-1]) + len(parts[-2])
        place = end
        if length > MAX_VALUE:
            raise Unmet(TITLE, f"a value in it grows to more than {MAX_VALUE:,} characters, by variables in variables")
    done = "".join([*parts, text[place:]])
    return None if unknown and not done.strip() else done


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _unquote(value: str) -> str:
    return "".join(_split(value)) if value[:1] in "\"'" else value
