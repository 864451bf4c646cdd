"""Shipped files, opened with care: `answer("late_rate")`, `text("Makefile")`, `document("project.yaml")`.

Nothing here imports, evaluates, unpickles or follows what it reads. A path is walked one name at a time without
following links; only ordinary files up to a given size are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from course import shipping
from course.base import untrusted
from course.base.untrusted import Reason
from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, Unmet, fail

MAX_TEXT_BYTES = 2**20
MAX_DOCUMENT_BYTES = 2**18  # YAML is read at about 1 MiB a second
MAX_YAML_NODES = 20_000  # aliases (*name) count as what they stand for
MAX_YAML_CHARACTERS = 4 * MAX_DOCUMENT_BYTES  # of all texts, aliases included
MAX_JSON_VALUES = 200_000
MAX_DEPTH = 30
MAX_DIGITS = 100
MAX_ODD_KEYS = 1000  # keys that are no text; numbers can be chosen so that they collide in a dictionary
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class NotYaml(Unmet):
    """YAML text cannot be read.

    Attributes:
        line: the line at fault, counted from 1; None where it is not known.
        why: what is wrong with it.
    """

    def __init__(self, title: str, source: str, line: int | None, why: str, **details: str | None) -> None:
        super().__init__(title, f"{_where(source, line)}{why}", **details)
        self.line, self.why = line, why


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
        Unmet: it is missing, not readable as YAML, uses tags, or is too large or too deep. Aliases (*name) stand for
            what they name, and count as that.
    """
    return parse(text(name, max_bytes=MAX_DOCUMENT_BYTES), name)


def parse(source: str, name: str) -> Any:
    """YAML text as plain data; see :func:`document`."""
    with bounded(f"{name} can be read", name), _told_plainly(source, name), _loader(source) as loader:
        return _mended(loader.get_single_data())


def json_document(source: str, name: str) -> Any:
    """JSON text as plain data.

    Raises:
        Unmet: it is not JSON, holds NaN or infinity, or is too deep or too large.
    """
    title, hint = (
        f"{name} can be read",
        "write it with json.dump or json.dumps; float() makes NumPy's numbers plain ones",
    )
    try:
        with bounded(title, name):
            return plain_json(source)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise Unmet(title, f"{name} is not JSON: {reason[:200]}", hint=hint)


def plain_json(source: str) -> Any:
    """JSON text as plain data.

    Raises:
        ValueError: it is not JSON, holds NaN or infinity, or too many values.
        RecursionError: it is nested too deeply.
    """
    if sum(map(source.count, ",[{")) > MAX_JSON_VALUES:
        raise ValueError(f"it holds more than {MAX_JSON_VALUES:,} values")
    return _mended(json.loads(source, parse_constant=_refuse))


def _mended(value: Any) -> Any:
    """The same, with a mark in place of half characters, which no file and no page can hold. It may be changed."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        value[:] = [_mended(inner) for inner in value]
    elif isinstance(value, tuple):
        return tuple(_mended(inner) for inner in value)
    elif isinstance(value, dict):
        entries = [(_mended(key), _mended(inner)) for key, inner in value.items()]
        value.clear()
        value.update(entries)
    return value


def parse_all(source: str, name: str) -> list[tuple[yaml.Node, Any]]:
    """YAML text that may hold several documents: each one's node, which knows its lines, and its plain data.

    Dates and times stay text, as for programs that turn YAML into JSON.

    Raises:
        Unmet: see :func:`document`.
    """
    found = []
    with (
        bounded(f"{name} can be read", name),
        _told_plainly(source, name),
        _loader(source, _UndatedLoader) as loader,
    ):
        while loader.check_node():
            node = loader.get_node()
            found.append((node, _mended(loader.construct_document(node))))
    return found


@contextlib.contextmanager
def _told_plainly(source: str, name: str) -> Iterator[None]:
    """Put into plain words what is wrong with YAML."""
    title = f"{name} can be read"
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line, reason = _fault(error, source.splitlines())
        hint = "in YAML, indentation is spaces, and a text that holds ': ' or begins with a special sign needs quotes"
        raise NotYaml(title, source, line, reason, hint=hint) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unmet(title, f"it is not plain YAML: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # such as `!!bool maybe`
        raise Unmet(title, f"it is not plain YAML: a value does not fit its tag ({error})") from None


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
        with bounded(title, shipping.ANSWERS):
            answers = plain_json(text(shipping.ANSWERS))
    except Unmet as error:
        missing = error.reason.startswith("there is no ")
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


def listing(name: str = ".", *, most: int = 1000, links: bool = False) -> dict[str, int]:
    """The ordinary files in a shipped folder: path below it → size in bytes.

    Args:
        name: the folder, below that of shipped files.
        most: of how many files and folders it may hold.
        links: whether links are passed over; else the folder may hold none.

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
                elif links and stat.S_ISLNK(kind.st_mode):
                    continue
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
    "expected ',' or": "a bracket or brace is never closed, or a comma is missing behind it",
    "could not determine a constructor for the tag": "tags (!name) are not allowed here",
    "but found another document": "only one document is allowed; remove the line ---",
}


_BEGINS_EARLIER = (  # than where the parser stops
    "while scanning a simple key",
    "while scanning a quoted scalar",
    "while parsing a flow mapping",
    "while parsing a flow sequence",
)
_NO_SPACE = re.compile(r"\s{0,100}(?:- )?[\w./-]{1,100}:[^\s/]")


def _fault(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[int | None, str]:
    """The line at fault, counted from 1, and what is wrong with it, in plain words."""
    begins_earlier = error.context in _BEGINS_EARLIER and error.context_mark is not None
    mark = error.context_mark if begins_earlier else error.problem_mark
    problem = error.problem or error.context or "it cannot be read"
    reason = next((plain for words, plain in _YAML_PLAINLY.items() if words in problem), problem)
    if mark is None:
        return None, reason
    if "mapping values are not allowed" in problem or "could not find expected ':'" in problem:
        for line in (mark.line, mark.line - 1):
            if 0 <= line < len(lines) and _NO_SPACE.match(lines[line]):
                return line + 1, "there is no space behind the colon, so it is one text and not a name with a value"
    return mark.line + 1, reason


def _where(source: str, line: int | None) -> str:
    """The line of an error, with the beginning of its text: numbers differ where a notebook's magic stands above."""
    lines = source.splitlines()
    if line is None:
        return ""
    text = lines[line - 1].strip() if line <= len(lines) else ""
    shown = f" ({text if len(text) <= 60 else text[:59] + '…'})" if text else ""
    return f"line {line}{shown}: "


class _Extent(NamedTuple):
    """How large a node is with all that is in it, aliases counted as what they stand for."""

    nodes: int
    characters: int
    depth: int


class _PlainLoader(yaml.SafeLoader):
    """YAML with a bound on size and depth, which holds for what aliases stand for, too: a small file stays small."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.nodes = self.characters = self.depth = self.odd_keys = 0
        self._extents: dict[int, _Extent] = {}  # by id; the loader holds the nodes
        self._composed: list[yaml.Node] = []

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            return self._alias(parent, index)
        event = self.peek_event()
        before = self.nodes, self.characters
        self.depth += 1
        self._count(_Extent(1, len(getattr(event, "value", "") or ""), 0), event)
        try:
            node = super().compose_node(parent, index)
        finally:
            self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            node.tag = "tag:yaml.org,2002:str"  # 1:1:1:… is a number to base 60, and slow to make if it is long
        assert node is not None
        self._composed.append(node)
        depth = 1 + max((self._extents[id(inner)].depth for inner in _inner(node)), default=0)
        self._extents[id(node)] = _Extent(self.nodes - before[0], self.characters - before[1], depth)
        return node

    def _alias(self, parent, index):
        event = self.peek_event()
        node = super().compose_node(parent, index)
        extent = self._extents.get(id(node))
        if extent is None:
            raise yaml.composer.ComposerError(
                None, None, f"*{event.anchor} stands within what it names", event.start_mark
            )
        self._count(extent, event)
        return node

    def _count(self, extent: _Extent, event: yaml.Event) -> None:
        self.nodes += extent.nodes
        self.characters += extent.characters
        if (
            self.nodes > MAX_YAML_NODES
            or self.characters > MAX_YAML_CHARACTERS
            or self.depth + extent.depth > MAX_DEPTH
        ):
            reason = "the document is too large or too deep"
            if isinstance(event, yaml.AliasEvent):
                reason += f", once *{event.anchor} is replaced by what it stands for"
            raise yaml.composer.ComposerError(None, None, reason, event.start_mark)  # type: ignore[arg-type]

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} appears twice", key.start_mark
                    )
                seen.add(key.value)
            if key.tag != "tag:yaml.org,2002:str":
                self.odd_keys += 1
            if self.odd_keys > MAX_ODD_KEYS:
                reason = f"more than {MAX_ODD_KEYS} keys are no text"
                raise yaml.constructor.ConstructorError(None, None, reason, key.start_mark)
        return node


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


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
