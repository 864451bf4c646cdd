"""Templates of Helm charts, rendered by the course: `render(source, context, helpers)`.

A subset of Go's templates, as much as charts of one service use: values, `if`, `with`, `range`, variables, `define` and
`include`, and the functions in `FUNCTIONS`. A template is a student's text: nothing of it is run, and steps, depth and
the length of every text are bounded. Used by `charts`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_SOURCE = 16 << 10
MAX_TEXT = 256 << 10
MAX_STEPS = 20_000
MAX_DEPTH = 40
_ACTION = re.compile(r"\{\{(-(?=\s))?((?:[^{}\"`]|\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`)*?)((?<=\s)-)?\}\}")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<path>\$?(?:\.[A-Za-z_]\w*)+|\$[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\$|\.)|(?P<word>[A-Za-z]\w*)"""
    r"""|(?P<sign>:=|[()|,=]))"""
)


class TemplateError(Exception):
    """A template cannot be rendered: the action, and why."""

    def __init__(self, action: str, why: str) -> None:
        super().__init__(why)
        self.action, self.why = " ".join(action.split())[:80], why


@dataclass
class Node:
    """A piece of a template: text, or an action with what is inside it and what stands behind its `else`."""

    kind: str
    action: str
    inner: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)


def render(source: str, context: Mapping[str, Any], helpers: Sequence[str] = ()) -> str:
    """A template with values filled in.

    Args:
        source: the template.
        context: what `.` is: Values, Release, Chart, …
        helpers: other templates, of which only what they define is used.

    Raises:
        TemplateError: it cannot be rendered, or uses what is not known here.
    """
    state = _Rendering(context)
    for text in helpers:
        _parse(text, state.defined)
    return state.text(_parse(source, state.defined), _Scope(context, {"$": context}))


# parsing


def _pieces(source: str) -> Iterator[tuple[bool, str]]:
    """Texts and actions in turn, white space trimmed where an action says so: (is an action, text)."""
    if len(source) > MAX_SOURCE:
        raise TemplateError("", f"the template is longer than {MAX_SOURCE >> 10} KiB")
    source = re.sub(r"\{\{(-?)\s*/\*.*?\*/\s*(-?)\}\}", r'{{\1 "" \2}}', source, flags=re.DOTALL)
    at, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[at : match.start()]
        text = text.lstrip() if trim else text
        yield False, text.rstrip() if match[1] else text
        yield True, match[2].strip()
        at, trim = match.end(), bool(match[3])
    text = source[at:]
    yield False, text.lstrip() if trim else text


def _parse(source: str, defined: dict[str, list[Node]]) -> list[Node]:
    """The nodes of a template; what it defines goes to `defined`."""
    top: list[Node] = []
    stack: list[tuple[Node, list[Node]]] = []
    current = top
    for is_action, text in _pieces(source):
        if not is_action:
            if "{{" in text:
                raise TemplateError(text[text.index("{{") :], "this action has no end, or quotes that do not match")
            current.append(Node("text", text))
            continue
        word, _, rest = text.partition(" ")
        if word in ("if", "with", "range", "define", "block"):
            if len(stack) >= MAX_DEPTH:
                raise TemplateError(text, "too deep")
            node = Node(word, rest.strip())
            current.append(node)
            stack.append((node, current))
            current = node.inner
        elif word == "else":
            if not stack or stack[-1][0].kind not in ("if", "with", "range", "elif"):
                raise TemplateError(text, "there is no if, with or range before this else")
            node = stack[-1][0]
            if rest.strip().startswith(("if ", "with ")):
                inner = Node("elif", rest.strip().partition(" ")[2].strip())
                node.other.append(inner)
                stack[-1] = (inner, stack[-1][1])
                current = inner.inner
            else:
                current = node.other
        elif word == "end":
            if not stack:
                raise TemplateError(text, "there is no if, with, range or define before this end")
            node, current = stack.pop()
            if node.kind in ("define", "block"):
                defined[_name(node.action)] = node.inner
        else:
            current.append(Node("value", text))
    if stack:
        raise TemplateError(f"{stack[-1][0].kind} {stack[-1][0].action}", "this has no end")
    return top


def _name(action: str) -> str:
    match = re.match(r'\s*"([^"]*)"', action)
    if match is None:
        raise TemplateError(action, "define needs a name in quotes")
    return match[1]


# rendering


@dataclass(frozen=True)
class _Scope:
    """What `.` is, and the variables."""

    dot: Any
    variables: dict[str, Any]

    def inner(self, dot: Any, **more: Any) -> _Scope:
        return _Scope(dot, {**self.variables, **more})


class _Rendering:
    """One rendering: what is defined, and how many steps are left."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.context = context
        self.defined: dict[str, list[Node]] = {}
        self.steps = MAX_STEPS
        self.depth = 0

    def text(self, nodes: Sequence[Node], scope: _Scope) -> str:
        """The text of some nodes."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("", "templates include each other without end")
        parts: list[str] = []
        length = 0
        for node in nodes:
            self.step(node.action)
            parts.append(self._node(node, scope))
            length += len(parts[-1])
            if length > MAX_TEXT:
                raise TemplateError(node.action, "it makes too much text")
        self.depth -= 1
        return "".join(parts)

    def step(self, action: str) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise TemplateError(action, "it takes too many steps")

    def _node(self, node: Node, scope: _Scope) -> str:
        if node.kind == "text":
            return node.action
        if node.kind in ("define", "block"):
            return ""
        if node.kind in ("if", "elif"):
            return self.text(
                node.inner if _true(self.value(node.action, scope)) else node.other, scope.inner(scope.dot)
            )
        if node.kind == "with":
            return self._with(node, scope)
        if node.kind == "range":
            return self._range(node, scope)
        assigned = re.match(r"(\$\w+)\s*:?=(.*)", node.action, re.DOTALL)
        if assigned:
            scope.variables[assigned[1]] = self.value(assigned[2], scope)
            return ""
        if node.action.startswith("template "):
            return _shown(self.value("include " + node.action.removeprefix("template "), scope))
        return _shown(self.value(node.action, scope))

    def _with(self, node: Node, scope: _Scope) -> str:
        name, action = _declared(node.action)
        value = self.value(action, scope)
        if not _true(value):
            return self.text(node.other, scope.inner(scope.dot))
        return self.text(node.inner, scope.inner(value, **{name[-1]: value} if name else {}))

    def _range(self, node: Node, scope: _Scope) -> str:
        names, action = _declared(node.action)
        value = self.value(action, scope)
        entries = sorted(value.items()) if isinstance(value, dict) else enumerate(value) if _is_list(value) else ()
        made: list[str] = []
        length = 0
        for key, one in entries:
            self.step(node.action)
            more = dict(zip(names, (key, one) if len(names) == 2 else (one,), strict=False))
            made.append(self.text(node.inner, scope.inner(one, **more)))
            length += len(made[-1])
            if length > MAX_TEXT:
                raise TemplateError(node.action, "it makes too much text")
        return "".join(made) if made else self.text(node.other, scope.inner(scope.dot))

    # expressions

    def value(self, action: str, scope: _Scope) -> Any:
        """What a pipeline gives."""
        tokens, at = [], 0
        action = action.strip()
        while at < len(action):
            match = _TOKEN.match(action, at)
            if match is None or match.end() == at:
                raise TemplateError(action, f"{action[at : at + 20]!r} cannot be read")
            tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        if not tokens:
            raise TemplateError(action, "nothing stands in it")
        value, rest = self._pipeline(tokens, scope, action, 0)
        if rest:
            raise TemplateError(action, f"{rest[0][1]!r} stands where it ends")
        return value

    def _pipeline(
        self, tokens: list[tuple[str, str]], scope: _Scope, action: str, depth: int
    ) -> tuple[Any, list[tuple[str, str]]]:
        if depth > MAX_DEPTH:
            raise TemplateError(action, "too many brackets")
        value: Any = None
        piped: list[Any] = []
        while True:
            value, tokens = self._command(tokens, piped, scope, action, depth)
            if not tokens or tokens[0] != ("sign", "|"):
                return value, tokens
            tokens, piped = tokens[1:], [value]

    def _command(
        self, tokens: list[tuple[str, str]], piped: list[Any], scope: _Scope, action: str, depth: int
    ) -> tuple[Any, list[tuple[str, str]]]:
        self.step(action)
        word: str | None = None
        if tokens and tokens[0][0] == "word" and tokens[0][1] not in ("true", "false", "nil"):
            word, tokens = tokens[0][1], tokens[1:]
        elif tokens and tokens[0][0] == "path" and tokens[0][1].endswith(".Capabilities.APIVersions.Has"):
            word, tokens = "_served", tokens[1:]
        arguments: list[Any] = []
        while tokens and not (tokens[0][0] == "sign" and tokens[0][1] in "|),"):
            (kind, text), tokens = tokens[0], tokens[1:]
            if (kind, text) == ("sign", "("):
                argument, tokens = self._pipeline(tokens, scope, action, depth + 1)
                if not tokens or tokens[0] != ("sign", ")"):
                    raise TemplateError(action, "a bracket is not closed")
                tokens = tokens[1:]
                while tokens and tokens[0][0] == "path" and tokens[0][1].startswith("."):
                    argument, tokens = _walk(argument, tokens[0][1].split(".")[1:], action), tokens[1:]
            else:
                argument = self._operand(kind, text, scope, action)
            arguments.append(argument)
        if word is None:
            if len(arguments) != 1 or piped:
                raise TemplateError(action, "a value stands where a function should, or nothing does")
            return arguments[0], tokens
        if word == "include":
            return self._include(arguments + piped, action), tokens
        if word not in FUNCTIONS:
            raise TemplateError(action, f"{word} is not a function that is known here")
        try:
            return _bounded(FUNCTIONS[word](*arguments, *piped), action), tokens
        except TemplateError:
            raise
        except _Required as error:
            raise TemplateError(action, str(error)) from None
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError):
            shown = ", ".join(repr(one)[:30] for one in [*arguments, *piped])
            raise TemplateError(action, f"{word} cannot be given {shown or 'nothing'}") from None

    def _include(self, arguments: list[Any], action: str) -> str:
        if len(arguments) != 2 or not isinstance(arguments[0], str):
            raise TemplateError(action, "include needs the name of a template and a value, mostly `.`")
        if arguments[0] not in self.defined:
            known = ", ".join(sorted(self.defined)) or "none"
            raise TemplateError(action, f"no template {arguments[0]!r} is defined; there are: {known}")
        return self.text(self.defined[arguments[0]], _Scope(arguments[1], {"$": arguments[1]}))

    def _operand(self, kind: str, text: str, scope: _Scope, action: str) -> Any:
        if kind == "text":
            return text[1:-1] if text[0] == "`" else _unquoted(text, action)
        if kind == "number":
            return float(text) if "." in text else int(text[:18])
        if kind == "word" and text in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[text]
        if kind == "word" and text in FUNCTIONS:  # a function without arguments, such as `list`
            return FUNCTIONS[text]()
        if kind != "path":
            raise TemplateError(action, f"{text!r} stands where a value should")
        first, *keys = text.split(".")
        keys = [key for key in keys if key]
        if first and first not in scope.variables:
            raise TemplateError(action, f"there is no variable {first}")
        return _walk(scope.variables[first] if first else scope.dot, keys, action)


class _Required(Exception):
    """The template itself ends the rendering, with its own words."""


def _declared(action: str) -> tuple[list[str], str]:
    """The variables that a with or range declares, and its pipeline."""
    match = re.match(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=(.*)", action, re.DOTALL)
    return ([name for name in (match[1], match[2]) if name], match[3]) if match else ([], action)


def _walk(value: Any, keys: Sequence[str], action: str) -> Any:
    for place, key in enumerate(keys):
        if not isinstance(value, Mapping):
            shown = ".".join(["", *keys[:place]])
            raise TemplateError(action, f"`{key}` is asked of {shown or 'the value'}, which has no parts")
        value = value.get(key)
        if value is None and place < len(keys) - 1:
            raise TemplateError(action, f"there is no {'.'.join(['', *keys[: place + 1]])}, letter by letter")
    return value


def _unquoted(text: str, action: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise TemplateError(action, f"{text[:30]} is not a text") from None


def _bounded(value: Any, action: str) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise TemplateError(action, "it makes too much text")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _true(value: Any) -> bool:
    return bool(value)


def _shown(value: Any) -> str:
    """A value as Go writes it; one that is not there as nothing, as Helm does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_shown(one)}' for key, one in sorted(value.items()))}]"
    if _is_list(value):
        return f"[{' '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _to_yaml(value: Any) -> str:
    text = yaml.safe_dump(json.loads(json.dumps(value)), default_flow_style=False, width=10_000, sort_keys=True)
    return str(text).removesuffix("...\n").rstrip("\n")


def _indent(count: int, text: Any) -> str:
    if not 0 <= count <= 100:
        raise ValueError(count)
    return "\n".join(" " * count + line for line in _shown(text).split("\n"))


def _int(value: Any) -> int:
    if isinstance(value, str):
        match = re.match(r"\s*[+-]?\d{1,18}", value)
        return int(match[0]) if match else 0
    return int(value or 0)


def _printf(form: str, *values: Any) -> str:
    left = list(values)
    signs: Mapping[str, Callable[[Any], str]] = {"s": _shown, "v": _shown, "d": lambda one: str(_int(one)), "q": _quote}

    def one(match: re.Match[str]) -> str:
        return "%" if match[1] == "%" else signs[match[1]](left.pop(0))

    return re.sub(r"%([svdq%])", one, form)


def _quote(*values: Any) -> str:
    return " ".join(json.dumps(_shown(one), ensure_ascii=False) for one in values if one is not None)


def _required(message: str, value: Any) -> Any:
    if value is None or value == "":
        raise _Required(message)
    return value


def _fail(message: str) -> Any:
    raise _Required(message)


def _dict(*entries: Any) -> dict[str, Any]:
    return dict(zip(map(str, entries[::2]), entries[1::2], strict=True))


def _served(version: str) -> bool:
    return str(version).split("/")[-1] in ("v1", "v2")


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda first, second: test(first, second)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "default": lambda usual, value=None: value if _true(value) else usual,
    "quote": _quote,
    "squote": lambda *values: " ".join(f"'{_shown(one)}'" for one in values if one is not None),
    "int": _int,
    "int64": _int,
    "float64": lambda value: float(value or 0),
    "toString": _shown,
    "toYaml": _to_yaml,
    "toJson": lambda value: json.dumps(value),
    "indent": _indent,
    "nindent": lambda count, text: "\n" + _indent(count, text),
    "printf": _printf,
    "print": lambda *values: "".join(map(_shown, values)),
    "trunc": lambda count, text: text[:count] if count >= 0 else text[count:],
    "trim": lambda text: text.strip(),
    "trimSuffix": lambda end, text: text.removesuffix(end),
    "trimPrefix": lambda start, text: text.removeprefix(start),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "nospace": lambda text: "".join(text.split()),
    "replace": lambda old, new, text: _replace(old, new, text),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda start, text: text.startswith(start),
    "hasSuffix": lambda end, text: text.endswith(end),
    "eq": lambda first, *others: any(first == one for one in others),
    "ne": _compare(lambda first, second: first != second),
    "lt": _compare(lambda first, second: first < second),
    "le": _compare(lambda first, second: first <= second),
    "gt": _compare(lambda first, second: first > second),
    "ge": _compare(lambda first, second: first >= second),
    "not": lambda value: not _true(value),
    "and": lambda *values: next((one for one in values if not _true(one)), values[-1]),
    "or": lambda *values: next((one for one in values if _true(one)), values[-1]),
    "empty": lambda value: not _true(value),
    "coalesce": lambda *values: next((one for one in values if _true(one)), None),
    "ternary": lambda first, second, test: first if test else second,
    "required": _required,
    "fail": _fail,
    "hasKey": lambda held, key: key in held,
    "get": lambda held, key: held.get(key, ""),
    "dig": lambda *path: _dig(path),
    "list": lambda *values: list(values),
    "dict": _dict,
    "len": len,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "index": lambda held, *keys: _index(held, keys),
    "join": lambda sign, values: sign.join(map(_shown, values)),
    "add": lambda *values: sum(map(_int, values)),
    "sub": lambda first, second: _int(first) - _int(second),
    "max": lambda *values: max(map(_int, values)),
    "min": lambda *values: min(map(_int, values)),
    "kindIs": lambda kind, value: kind == _kind(value),
    "lookup": lambda *_: {},  # as `helm template`, which asks no cluster
    "_served": _served,
}


def _replace(old: str, new: str, text: str) -> str:
    if len(text) * (len(new) + 1) > 4 * MAX_TEXT:
        raise ValueError("too long")
    return text.replace(old, new)


def _dig(path: Sequence[Any]) -> Any:
    *keys, usual, value = path
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return usual
        value = value[key]
    return value


def _index(value: Any, keys: Sequence[Any]) -> Any:
    for key in keys:
        value = value[key]
    return value


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {bool: "bool", int: "int", float: "float64", str: "string", dict: "map", list: "slice"}
    return kinds.get(type(value), "invalid")
