"""Shipped files, opened with care: `answer("late_rate")`, `text("Makefile")`, `document("project.yaml")`.

Nothing here imports, evaluates, unpickles or follows what it reads. A path is walked one name at a time without
following links; only ordinary files up to a given size are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from course import shipping
from course.base import untrusted
from course.base.untrusted import Reason
from course.checks.core.expectations import CheckFailed, Unmet, fail

MAX_TEXT_BYTES = 2**20
MAX_DOCUMENT_BYTES = 2**18  # YAML is read at about 1 MiB a second
MAX_YAML_NODES = 20_000
MAX_DEPTH = 30
MAX_DIGITS = 100
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


def read(name: str, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """The bytes of a shipped file.

    Args:
        name: its path below the folder of shipped files, with `/`.
        max_bytes: a larger file is refused.

    Raises:
        Unmet: it is missing, too large, a link, or not an ordinary file.
        ValueError: the check asked for a path outside the folder.
    """
    title = f"{name} is shipped"
    try:
        return untrusted.read_below(shipping.folder(), name, max_bytes)
    except untrusted.FileRefused as refused:
        match refused.reason:
            case Reason.MISSING:
                hint = f"run the cell that ships {name}, and the cells above it"
                raise Unmet(title, f"there is no {name} among the shipped files", hint=hint) from None
            case Reason.NOT_ORDINARY:
                hint = "ship a file with %%ship"
                raise Unmet(title, f"{name} is {refused.detail}, not an ordinary file", hint=hint) from None
            case Reason.TOO_LARGE:
                sizes = {"expected": _size(max_bytes), "actual": _size(refused.size)}
                raise Unmet(title, f"{name} is too large to be read", **sizes) from None
            case Reason.CHANGED:
                raise Unmet(title, f"{name} changed while it was being read") from None
            case _:
                raise Unmet(title, f"{name} cannot be opened: {refused.detail}") from None


def text(name: str, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a shipped UTF-8 file; see :func:`read`."""
    try:
        return read(name, max_bytes=max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unmet(f"{name} is text", f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def document(name: str) -> Any:
    """A shipped YAML or JSON file as plain data: dictionaries, lists, text, numbers, dates, None.

    Raises:
        Unmet: it is missing, not readable as YAML, uses tags or aliases, or is too large or too deep.
    """
    return parse(text(name, max_bytes=MAX_DOCUMENT_BYTES), name)


def parse(source: str, name: str) -> Any:
    """YAML text as plain data; see :func:`document`."""
    with _told_plainly(source, name), _loader(source) as loader:
        return loader.get_single_data()


def parse_all(source: str, name: str) -> list[tuple[yaml.Node, Any]]:
    """YAML text that may hold several documents: each one's node, which knows its lines, and its plain data.

    Dates and times stay text, as for programs that turn YAML into JSON.

    Raises:
        Unmet: see :func:`document`.
    """
    found = []
    with _told_plainly(source, name), _loader(source, _UndatedLoader) as loader:
        while loader.check_node():
            node = loader.get_node()
            found.append((node, loader.construct_document(node)))
    return found


@contextlib.contextmanager
def _told_plainly(source: str, name: str) -> Iterator[None]:
    """Put into plain words what is wrong with YAML."""
    title = f"{name} can be read"
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        hint = "in YAML, indentation is spaces, and a text that holds ': ' or begins with a special sign needs quotes"
        problem = error.problem or error.context
        reason = next((plain for words, plain in _YAML_PLAINLY.items() if words in problem), problem)
        raise Unmet(title, f"{_where(source, mark)}{reason}", hint=hint) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unmet(title, f"it is not plain YAML: {error}") from None


@contextlib.contextmanager
def _loader(source: str, kind: type[_PlainLoader] | None = None) -> Iterator[_PlainLoader]:
    loader = (kind or _PlainLoader)(source)
    try:
        yield loader
    finally:
        loader.dispose()


def answer(key: str) -> Any:
    """What the student put into `answers[key]`.

    Raises:
        Unmet: there is no such answer.
    """
    title = f"answers[{key!r}] is shipped"
    hint = f'set answers["{key}"] in the cell of its exercise, and run that cell'
    try:
        answers = json.loads(text(shipping.ANSWERS), parse_constant=_refuse)
    except Unmet as error:
        missing = "there is no" in error.reason
        raise Unmet(title, f"there is no answer {key!r} yet" if missing else error.reason, hint=hint) from error
    except (ValueError, RecursionError):
        raise Unmet(title, f"{shipping.ANSWERS} is not JSON", hint="set the answers again from the notebook") from None
    if not isinstance(answers, dict) or key not in answers:
        raise Unmet(title, f"there is no answer {key!r} yet", hint=hint)
    return answers[key]


def answers_in(key: str) -> dict[Any, Any]:
    """What the student put into `answers[key]`, where that is a dictionary of several answers.

    Raises:
        Unmet: there is no such answer.
        CheckFailed: it is no dictionary.
    """
    value = answer(key)
    if not isinstance(value, dict):
        fail(f'answers["{key}"] is no dictionary', actual=value)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def listing(name: str = ".", *, most: int = 1000) -> dict[str, int]:
    """The ordinary files in a shipped folder: path below it → size in bytes.

    Raises:
        Unmet: there is no such folder.
        CheckFailed: it holds a link or a special file, or more than `most` files.
    """
    top = shipping.folder() / name
    if shipping.folder().is_symlink() or top.is_symlink() or not top.is_dir():
        raise Unmet(
            f"{name} is shipped",
            f"there is no folder {name} among the shipped files",
            hint="run the cell that ships it",
        )
    found: dict[str, int] = {}
    waiting, seen = [top], 0
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                place = Path(entry.path).relative_to(top).as_posix()
                if seen > most or place.count("/") > MAX_DEPTH:
                    raise CheckFailed(f"{name} holds more than {most} files, or folders too deep in each other")
                kind = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(kind.st_mode):
                    waiting.append(Path(entry.path))
                elif not stat.S_ISREG(kind.st_mode):
                    raise CheckFailed(
                        f"{name}/{place} is {untrusted.kind(kind.st_mode)}", hint="ship ordinary files only"
                    )
                else:
                    found[place] = kind.st_size
    return dict(sorted(found.items()))


_INDENTED = "this line is indented more or less than its neighbours, or a `- ` is missing or too much"
_UNCLOSED = "a quote, bracket or brace is opened and never closed"
_YAML_PLAINLY = {
    "mapping values are not allowed": "there is a ': ' where no name with a value can stand",
    "cannot start any token": "a text cannot begin like this without quotes, and indentation is spaces, not tabs",
    "could not find expected ':'": "a name without ': ' and a value",
    "end of stream": _UNCLOSED,
    "'<stream end>'": _UNCLOSED,
    "but found '<scalar>'": "the text goes on after its closing quote",
    "but found '<block mapping start>'": _INDENTED,
    "but found '<block sequence start>'": _INDENTED,
    "but found '?'": _INDENTED,
    "but found '-'": _INDENTED,
    "could not determine a constructor for the tag": "tags (!name) are not allowed here",
    "but found another document": "only one document is allowed; remove the line ---",
}


def _where(source: str, mark: yaml.Mark | None) -> str:
    """The line of an error, with the beginning of its text: numbers differ where a notebook's magic stands above."""
    lines = source.splitlines()
    if mark is None:
        return ""
    text = lines[mark.line].strip() if mark.line < len(lines) else ""
    shown = f" ({text if len(text) <= 60 else text[:59] + '…'})" if text else ""
    return f"line {mark.line + 1}{shown}: "


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases (they can make a small file huge) and with a bound on size and depth."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.nodes = 0
        self.depth = 0

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed here", event.start_mark)
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_YAML_NODES or self.depth > MAX_DEPTH:
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, "the document is too large or too deep", event.start_mark)
        try:
            node = super().compose_node(parent, index)
        finally:
            self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            node.tag = "tag:yaml.org,2002:str"  # 1:1:1:… is a number to base 60, and slow to make if it is long
        return node

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in getattr(node, "value", []):
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} appears twice", key.start_mark
                )
            seen.add(getattr(key, "value", None) if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep=deep)


class _UndatedLoader(_PlainLoader):
    """The same, without dates."""

    yaml_implicit_resolvers: ClassVar = {
        sign: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for sign, resolvers in _PlainLoader.yaml_implicit_resolvers.items()
    }


def _size(count: int) -> str:
    return (
        f"{count / 2**20:.1f} MiB"
        if count >= 2**20
        else f"{count / 2**10:.1f} KiB"
        if count >= 2**10
        else f"{count} bytes"
    )
