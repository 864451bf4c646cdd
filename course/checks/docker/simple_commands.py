"""The simple commands of a RUN or a script, and the packages that they install: it reads text and runs nothing.

`commands(text)` → lists of words; `pipelines(text)` → the same, by pipeline; `installs(instruction)` → what pip, uv and
their like are asked to install.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement

from course.checks.docker.dockerfiles import Instruction

MAX_CHARACTERS = 1 << 16  # of one script; what comes behind is not looked at
_MAX_DEPTH = 3
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh"))
_BEFORE = frozenset(("if", "then", "elif", "else", "do", "while", "until", "!", "{", "time", "exec", "sudo", "command"))
_RUNNERS = frozenset(("env", "nice", "nohup", "xargs", "setsid"))
_ENDS = ";&|()\n"  # of a command
_OPERATOR = re.compile(r"\|\||&&|\|&|[;&|()\n]")
_REDIRECTION = re.compile(r"\d{0,3}>&\d{1,3}|&>>?")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PIP = re.compile(r"pip(?:3(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:python|pypy)(?:3(?:\.\d+)?)?")
_PIP_VERBS = frozenset(("install", "download", "wheel", "sync"))
_OTHER_TOOLS: dict[str, tuple[tuple[str, ...], ...]] = {
    "uv": (("sync",),),
    "poetry": (("install",), ("sync",)),
    "pipenv": (("install",), ("sync",)),
    "pdm": (("install",), ("sync",)),
    "conda": (("install",), ("create",), ("env", "create"), ("env", "update")),
    "mamba": (("install",), ("create",), ("env", "create"), ("env", "update")),
    "micromamba": (("install",), ("create",)),
}
# options of pip and uv that take the next word
_WITH_VALUE = re.compile(
    r"-[rcfitepCd]|--(?:requirements?|constraints?|find-links|(?:extra-|default-)?index(?:-url)?|target|prefix|root|src|python"
    r"|editable|cache-dir|timeout|(?:client-)?cert|(?:resume-)?retries|proxy|trusted-host|allow-insecure-host|log"
    r"|only-binary|no-binary|platform|abi|python-version|python-platform|implementation|progress-bar|root-user-action"
    r"|upgrade-strategy|config-settings?|global-option|report|exists-action|use-feature|use-deprecated|link-mode"
    r"|keyring-provider|wheel-dir|dest|group|extra|overrides?|resolution|prerelease|exclude-newer|index-strategy|color"
    r"|directory|project|config-file)"
)
_LOCAL = re.compile(r"\.{1,2}(?:[/\[].*)?$|\.?\.?/|file:|[\w.-]+/")
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)(?:\[[^\]]*\])?$")


@dataclass(frozen=True)
class Install:
    """What one command installs.

    Attributes:
        tool: "pip", "uv", "poetry", …
        names: the packages that it names, as packaging reads them.
        files: its requirements files.
        constraints: its files of constraints.
        is_local: whether it installs only projects that lie in the image.
    """

    tool: str
    names: tuple[Requirement, ...] = ()
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    is_local: bool = False


def commands(text: str) -> list[list[str]]:
    """The simple commands of a shell's script, as written, with those of `sh -c "…"` behind it."""
    return [words for pipeline in pipelines(text) for words in pipeline]


def pipelines(text: str, depth: int = 0) -> list[list[list[str]]]:
    """The pipelines of a shell's script, in order, each a list of commands.

    What `sh -c "…"` runs are pipelines of their own, behind the one in which it stands. Commands in brackets belong to
    the pipeline around them, as what they print does.
    """
    found: list[list[list[str]]] = [[]]
    begins, is_piped = True, False
    for word in _words(text):
        if not set(word) <= set(_ENDS):
            if begins:
                found[-1].append([])
            found[-1][-1].append(word)
            begins, is_piped = False, False
            continue
        begins = True
        for sign in _OPERATOR.findall(word):
            if sign in ("|", "|&"):
                is_piped = True
            elif sign not in "()" and not (sign == "\n" and is_piped):  # a line may end behind a pipe
                found.append([])
                is_piped = False
    made = []
    for pipeline in filter(None, found):
        made.append(pipeline)
        for words in pipeline:
            inner = _script_in(program(words))
            if inner is not None and depth < _MAX_DEPTH:
                made += pipelines(inner, depth + 1)
    return made


def _script_in(words: Sequence[str]) -> str | None:
    """The script that a command is given as an argument; None where it is given none."""
    name = base_name(words[0]) if words else ""
    if name == "eval":
        return " ".join(words[1:])
    if name == "su":
        return next((after for word, after in itertools.pairwise(words) if word in ("-c", "--command")), None)
    return shell_script(words)


def _words(text: str) -> list[str]:
    """The words of a script without their quotes, and the operators between them."""
    text = text[:MAX_CHARACTERS].replace("\\\r\n", " ").replace("\\\n", " ")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    text = _REDIRECTION.sub(" ", text)
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=_ENDS)
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
        return list(lexer)
    except ValueError:  # a quote without its end
        return re.findall(r"[;&|\n]+|[^\s;&|]+", text)


def program(words: Sequence[str]) -> list[str]:
    """A command without what stands before its program: keywords, assignments, `exec`, `env`, `sudo`."""
    rest, is_run = list(words), False
    while rest:
        head = base_name(rest[0])
        if head in _BEFORE or _ASSIGNMENT.match(rest[0]):
            is_run = is_run or head == "sudo"
        elif head in _RUNNERS:
            is_run = True
        elif not (is_run and rest[0].startswith("-")):
            return rest
        rest = rest[1:]
    return []


def base_name(word: str) -> str:
    """The name of a program without its folders."""
    return word.rpartition("/")[2]


def shell_script(words: Sequence[str]) -> str | None:
    """What `sh -c` runs; None where the words start no shell, or a shell with a file."""
    if not words or base_name(words[0]) not in _SHELLS:
        return None
    for place, word in enumerate(words[1:-1], 1):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and word.endswith("c"):
            return words[place + 1]
    return None


def is_shell(words: Sequence[str]) -> bool:
    """Whether the words start a shell."""
    return bool(words) and base_name(words[0]) in _SHELLS


def steps_aside(script: str) -> bool:
    """Whether the last command of a script begins with `exec` and a program, which then takes the shell's place."""
    last = [words for words in commands(script) if words][-1:]
    return bool(last) and last[0][0] == "exec" and len(last[0]) > 1 and not re.match(r"\d*[<>]", last[0][1])


def installs(one: Instruction) -> list[Install]:
    """What a RUN installs with pip, uv, poetry and their like."""
    return [found for words in programs(one) for found in _installs(words)]


def programs(one: Instruction) -> list[list[str]]:
    """The commands of a RUN, each from its program on; nothing of another instruction."""
    return [rest for pipeline in pipelines_of(one) for words in pipeline if (rest := program(words))]


def pipelines_of(one: Instruction) -> list[list[list[str]]]:
    """The pipelines of a RUN, with those of its here-documents; nothing of another instruction."""
    if one.name != "RUN":
        return []
    head = [[list(one.words)]] if one.words else pipelines(one.rest)
    if one.words and (inner := shell_script(one.words)) is not None:
        head += pipelines(inner)
    return [*head, *(made for document in one.heredocs for made in pipelines(document.body))]


def _installs(words: list[str]) -> Iterator[Install]:
    name, rest = base_name(words[0]), words[1:]
    if _PYTHON.fullmatch(name) and "-m" in rest:
        place = rest.index("-m")
        name, rest = base_name("".join(rest[place + 1 : place + 2])), rest[place + 2 :]
    if name == "pip-sync":
        yield Install("pip", files=tuple(_plain(rest)) or ("requirements.txt",))
    elif _PIP.fullmatch(name):
        yield from _pip("pip", rest)
    elif name == "uv" and (plain := _plain(rest))[:1] == ["pip"]:
        yield from _pip("uv", rest[rest.index("pip") + 1 :])
    elif name in _OTHER_TOOLS:
        plain = _plain(rest)
        if any(tuple(plain[: len(verb)]) == verb for verb in _OTHER_TOOLS[name]):
            yield Install(name)


def _plain(words: Sequence[str]) -> list[str]:
    """The words that are neither options nor what an option takes."""
    found, skip = [], False
    for word in words:
        if skip or (word.startswith("-") and word != "-"):
            skip = not skip and _WITH_VALUE.fullmatch(word) is not None
        else:
            found.append(word)
    return found


def _pip(tool: str, words: Sequence[str]) -> Iterator[Install]:
    plain = _plain(words)
    if not plain or plain[0] not in _PIP_VERBS:
        return
    files, constraints = _values(words, "r", "requirement"), _values(words, "c", "constraint")
    if plain[0] == "sync":
        yield Install(tool, files=(*files, *plain[1:]), constraints=tuple(constraints))
        return
    names, local, others = [], 0, 0
    for word in [*plain[1:], *_values(words, "e", "editable")]:
        if _ARCHIVE.search(word):
            others += 1
        elif _LOCAL.match(word):
            local += 1
        else:
            try:
                names.append(Requirement(word[:200]))
            except (InvalidRequirement, RecursionError):
                others += 1
    is_local = bool(local) and not (names or others or files)
    yield Install(tool, tuple(names), tuple(files), tuple(constraints), is_local)


def _values(words: Sequence[str], short: str, long: str) -> list[str]:
    """What an option is given, in each of its forms: -r x, -rx, --requirement x, --requirement=x, --requirements x."""
    found = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if word == f"-{short}" or word in (f"--{long}", f"--{long}s"):
            found.append(after)
        elif equals and name in (f"--{long}", f"--{long}s"):
            found.append(value)
        elif word.startswith(f"-{short}") and not word.startswith("--"):
            found.append(word[2:].removeprefix("="))
    return [value for value in found if value]
