"""Small edits of an answer, as a mistake would make them: of Python, YAML, and files that are read line by line.

`mutants(text, name)` gives them in a fixed order. Edits that change nothing which a program reads are left out: of
comments, docstrings, annotations, prose, and the messages of exceptions. test_mutants.py asks the questions about each.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
PROSE_WORDS = 4  # a text of so many words is written for people


@dataclass(frozen=True)
class Mutant:
    """An edited answer: its whole text, and a name that says what was edited."""

    name: str
    text: str


def mutants(text: str, name: str = "answer.py") -> list[Mutant]:
    """All small edits of an answer's text, each once, in an order that stays when others come and go.

    Args:
        text: the answer, without the line of a magic.
        name: of the file that it is; its ending tells how it is read.
    """
    name = PurePosixPath(name).name
    if name.endswith(".py"):
        edits, form = _python(text), _python_form
    elif name.endswith((".yaml", ".yml", ".json")) and _yaml_form(text) is not None:
        edits, form = _yaml(text), _yaml_form
    else:
        edits, form = _lines(text), _lines_form
    seen = {form(text)}
    found: list[Mutant] = []
    names: dict[str, int] = {}
    for edit, edited in edits:
        if (shape := form(edited)) is None or shape in seen:
            continue
        seen.add(shape)
        names[edit] = names.get(edit, 0) + 1
        found.append(Mutant(edit if names[edit] == 1 else f"{edit} (#{names[edit]})", edited))
    return sorted(found, key=lambda mutant: hashlib.sha256(mutant.name.encode()).digest())


# ------------------------------------------------------------------------------------------------------------- Python

COMPARISONS = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),  # codespell:ignore notin
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
OPERATORS = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.BitXor: "|",
}
CALLS = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "sorted": "list",
    "floor": "ceil",
    "ceil": "floor",
    "fullmatch": "match",
    "match": "search",
    "startswith": "endswith",
    "endswith": "startswith",
    "is_file": "exists",
    "exists": "is_file",
    "mean": "sum",
    "isna": "notna",
    "notna": "isna",
}
VIEWS = {"lower", "upper", "casefold", "strip", "lstrip", "rstrip", "copy", "resolve", "absolute", "splitlines"}
UNSEEN = ("print", "warn", "debug", "info", "warning", "error", "exception", "fail", "NamedTuple", "getLogger")
FLOAT_FACTOR = 1.5


def _python_form(text: str) -> str | None:
    """What the interpreter makes of it; None where it is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        elif hasattr(node, "body") and isinstance(node.body, list) and len(node.body) > 1:
            node.body = [one for one in node.body if not isinstance(one, ast.Pass)] or [ast.Pass()]
    return ast.dump(tree)


class _Source:
    """A Python text, and edits of spans of it that nodes name."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        place: Any = node
        return self._at(place.lineno, place.col_offset), self._at(place.end_lineno, place.end_col_offset)

    def _at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.data[start:end].decode()

    def put(self, start: int, end: int, new: str) -> tuple[str, str]:
        """The edit's name, and the edited text."""
        edited = self.data[:start] + new.encode() + self.data[end:]
        first = self.data.rfind(b"\n", 0, start) + 1
        last = self.data.find(b"\n", end)
        last = len(self.data) if last < 0 else last
        before = " ".join(self.data[first:last].decode().split())
        after = " ".join((self.data[first:start] + new.encode() + self.data[end:last]).decode().split())
        return f"{_short(before, after)} => {_short(after, before)}", edited.decode()

    def replace(self, node: ast.AST, new: str) -> tuple[str, str]:
        return self.put(*self.span(node), new)


def _short(text: str, other: str, most: int = 110) -> str:
    """One line of an edit; of a long one the surroundings of the difference."""
    if len(text) <= most:
        return text
    same = next((place for place, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    begin = max(0, same - most // 2)
    return ("…" if begin else "") + text[begin : begin + most] + ("…" if begin + most < len(text) else "")


def _python(text: str) -> Iterator[tuple[str, str]]:
    """Edits of a Python answer, where it has a marked region within that."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    source = _Source(text)
    inside = _region_lines(text)
    for node, parent, function in _walk(tree, tree, ""):
        if getattr(node, "lineno", 0) in inside:
            for name, edited in _edits(source, node, parent):
                yield f"{function}: {name}" if function else name, edited


def _region_lines(text: str) -> set[int]:
    """The numbers of the lines in marked regions; of all lines, where none is marked."""
    inside, found = set(), False
    opened = False
    for number, line in enumerate(text.splitlines(), start=1):
        if BEGIN in line:
            opened = found = True
        elif END in line:
            opened = False
        elif opened:
            inside.add(number)
    return inside if found else set(range(1, text.count("\n") + 2))


def _walk(node: ast.AST, parent: ast.AST, function: str) -> Iterator[tuple[ast.AST, ast.AST, str]]:
    """All nodes that a program acts upon, with their parents and the name of their function."""
    yield node, parent, function
    function = node.name if isinstance(node, ast.FunctionDef) else function
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns") or (isinstance(node, ast.Raise) and field == "exc"):
            continue  # what is raised is judged by its type; its text is for people
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "encoding"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _for_people(child, node):
                yield from _walk(child, node, function)


def _for_people(node: ast.AST, parent: ast.AST) -> bool:
    """A docstring, or a call that prints or logs."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    called = node.value.func if isinstance(node.value, ast.Call) else None
    return getattr(called, "id", getattr(called, "attr", "")) in UNSEEN


def _edits(source: _Source, node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.stmt):
        yield from _statement(source, node, parent)
    if isinstance(node, ast.Compare):
        yield from _comparison(source, node)
    elif isinstance(node, ast.BoolOp):
        word = "or" if isinstance(node.op, ast.And) else "and"
        yield source.replace(node, f" {word} ".join(f"({source.of(value)})" for value in node.values))
        for left_out in range(len(node.values)):
            rest = [source.of(value) for place, value in enumerate(node.values) if place != left_out]
            yield source.replace(node, "(" + f" {'and' if word == 'or' else 'or'} ".join(rest) + ")")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.replace(node, f"({source.of(node.operand)})")
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not _joins(source, node):
        yield source.replace(node, f"({source.of(node.left)} {OPERATORS[type(node.op)]} {source.of(node.right)})")
    elif isinstance(node, ast.Constant):
        yield from _constant(source, node, parent)
    elif isinstance(node, ast.IfExp):
        yield source.replace(node, f"({source.of(node.body)})")
        yield source.replace(node, f"({source.of(node.orelse)})")
    elif isinstance(node, ast.Call):
        yield from _call(source, node)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield source.replace(node, source.of(node.value))
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for part in node.generators:
            for condition in part.ifs:
                yield source.replace(condition, "True")
    elif isinstance(node, ast.List | ast.Tuple | ast.Set) and not isinstance(getattr(node, "ctx", None), ast.Store):
        yield from _elements(source, node)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            start = source.span(value)[0] - 2 if key is None else source.span(key)[0]
            yield source.put(start, _past_comma(source, source.span(value)[1]), "")


def _joins(source: _Source, node: ast.BinOp) -> bool:
    """Whether it puts a path or a text together, where any other operator is only an error."""
    sides = (node.left, node.right)
    if any(isinstance(side, ast.JoinedStr) or _is_a(side, str | bytes) for side in sides):
        return True
    return (
        isinstance(node.op, ast.Div) and b"Path" in source.data and not any(_is_a(side, int | float) for side in sides)
    )


def _is_a(node: ast.AST, kind: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, kind)


def _statement(source: _Source, node: ast.stmt, parent: ast.AST) -> Iterator[tuple[str, str]]:
    start, end = source.span(node)
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Pass | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Return):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield source.put(start, end, "return None")
        return
    if isinstance(node, ast.If | ast.While):
        yield source.replace(node.test, "False")
        if isinstance(node, ast.If):
            yield source.replace(node.test, "True")
        return
    if isinstance(node, ast.With):
        yield source.put(start, _body_start(source, node), "if True:")
        return
    if isinstance(node, ast.Try):
        yield from _try(source, node)
        return
    if isinstance(node, ast.Break | ast.Continue):
        yield source.put(start, end, "continue" if isinstance(node, ast.Break) else "break")
    if not (isinstance(parent, ast.If) and parent.body == [node] and not parent.orelse):  # `if False:` is the same
        yield source.put(start, end, "pass")


def _body_start(source: _Source, node: ast.With) -> int:
    """Behind the colon of a `with`."""
    last = node.items[-1]
    place = source.span(last.optional_vars or last.context_expr)[1]
    return source.data.index(b":", place) + 1


def _try(source: _Source, node: ast.Try) -> Iterator[tuple[str, str]]:
    for statement in node.finalbody:
        yield source.put(*source.span(statement), "pass")
    for handler in node.handlers:
        if isinstance(handler.type, ast.Tuple):
            for left_out in handler.type.elts:
                rest = [source.of(one) for one in handler.type.elts if one is not left_out]
                yield source.replace(handler.type, f"({', '.join(rest)},)")
        elif handler.type is not None:
            yield source.replace(handler.type, "ZeroDivisionError")


def _comparison(source: _Source, node: ast.Compare) -> Iterator[tuple[str, str]]:
    sides = [node.left, *node.comparators]
    for place, operator in enumerate(node.ops):
        for other in COMPARISONS.get(type(operator), ()):
            start, end = source.span(sides[place])[1], source.span(sides[place + 1])[0]
            between = source.data[start:end].decode()
            brackets = between.count(")"), between.count("(")
            yield source.put(start, end, f"{')' * brackets[0]} {other} {'(' * brackets[1]}")


def _constant(source: _Source, node: ast.Constant, parent: ast.AST) -> Iterator[tuple[str, str]]:
    value = node.value
    if isinstance(value, bool):
        yield source.replace(node, str(not value))
    elif isinstance(value, int):
        yield source.replace(node, str(value + 1))
        if value:
            yield source.replace(node, str(value - 1))
    elif isinstance(value, float):
        yield source.replace(node, repr(value * FLOAT_FACTOR if value else 0.5))
    elif isinstance(value, str | bytes) and len(value) and not isinstance(parent, ast.Expr):
        if isinstance(value, str) and len(value.split()) >= PROSE_WORDS:
            return
        yield source.replace(node, repr(value + value[-1:]))


def _call(source: _Source, node: ast.Call) -> Iterator[tuple[str, str]]:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name in CALLS:
        end = source.span(node.func)[1]
        yield source.put(end - len(name), end, CALLS[name])
    if isinstance(node.func, ast.Attribute) and node.func.attr in VIEWS and not node.args and not node.keywords:
        yield source.replace(node, source.of(node.func.value))
    plain = [one for one in node.args if not isinstance(one, ast.Starred)]
    for first, second in itertools.pairwise(plain):
        (a, b), (c, d) = source.span(first), source.span(second)
        yield source.put(a, d, source.of(second) + source.data[b:c].decode() + source.of(first))
    for keyword in [keyword for keyword in node.keywords if keyword.arg != "encoding"]:
        start, end = source.span(keyword)
        yield source.put(start, _past_comma(source, end), "")


def _elements(source: _Source, node: Any) -> Iterator[tuple[str, str]]:
    if len(node.elts) < 2:
        return
    for element in node.elts:
        start, end = source.span(element)
        yield source.put(start, _past_comma(source, end), "")


def _past_comma(source: _Source, end: int) -> int:
    found = re.compile(rb"\s*,[ \t]*").match(source.data, end)
    return found.end() if found else end


# --------------------------------------------------------------------------------------------------------------- YAML


def _yaml_form(text: str) -> str | None:
    """The data that it holds; None where it is no YAML."""
    try:
        return repr(list(yaml.safe_load_all(text)))
    except (yaml.YAMLError, ValueError):
        return None


def _yaml(text: str) -> Iterator[tuple[str, str]]:
    """Edits of data, written anew: a key or an item that is gone, and another value."""
    documents = list(yaml.safe_load_all(text))
    given = _given(text)
    for place, document in enumerate(documents):
        for path, value in _leaves(document, (place,)):
            if (path, repr(value)) in given:
                continue
            where = ".".join(map(str, path[1:] if len(documents) == 1 else path))
            if len(path) > 1:
                yield f"{where}: removed", _dumped(_changed(documents, path))
            for other in _other_values(value):
                yield f"{where}: {value!r} => {other!r}", _dumped(_changed(documents, path, other))


def _given(text: str) -> set[tuple[Any, str]]:
    """The paths and values that stand outside of the marked region."""
    inside = _region_lines(text)
    lines = text.splitlines()
    rest = "\n".join(line for number, line in enumerate(lines, start=1) if number not in inside)
    if not rest.strip() or _yaml_form(rest) is None:
        return set()
    documents = list(yaml.safe_load_all(rest))
    return {(path, repr(value)) for place, data in enumerate(documents) for path, value in _leaves(data, (place,))}


def _leaves(data: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, data
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from _leaves(value, (*path, key))


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1] if value else [1]
    if isinstance(value, float):
        return [value * FLOAT_FACTOR if value else 0.5]
    if not isinstance(value, str) or len(value.split()) >= PROSE_WORDS or not value:
        return []
    others = [value + value[-1]]
    if number := re.search(r"\d+", value):
        others.append(value[: number.start()] + str(int(number[0]) + 1) + value[number.end() :])
    return others


_REMOVED = object()


def _changed(documents: list[Any], path: tuple[Any, ...], value: Any = _REMOVED) -> list[Any]:
    """The documents with another value at a path, or without it."""
    result = deepcopy(documents)
    holder: Any = result
    for key in path[:-1]:
        holder = holder[key]
    if value is _REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return result


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dumped(documents: list[Any]) -> str:
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)


# ------------------------------------------------------------------------- Dockerfiles, shell, requirements, templates


def _lines_form(text: str) -> str:
    """What is left without comments, empty lines and white space at the end of a line."""
    kept = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for line in kept if line and not line.lstrip().startswith("#"))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Edits of a text that is read line by line; a line that ends in a backslash goes on in the next."""
    lines = _logical(text)
    inside = _region_lines(text)
    number = 1
    for place, line in enumerate(lines):
        here, number = number, number + line.count("\n") + 1
        bare = line.strip()
        if here not in inside or not bare or bare.startswith(("#", "{#", "<!--")):
            continue
        before, after = lines[:place], lines[place + 1 :]
        title = _short(" ".join(bare.split()), "")
        yield f"{title}: removed", "\n".join([*before, *after])
        for edited in _line_edits(line):
            shown = " ".join(bare.split()), " ".join(edited.split())
            yield f"{_short(*shown)} => {_short(*shown[::-1])}", "\n".join([*before, edited, *after])
        if after and after[0].strip() and not after[0].lstrip().startswith("#"):
            swapped = "\n".join([*before, after[0], line, *after[1:]])
            yield f"{title}: below the next line", swapped


def _logical(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        if lines and lines[-1].endswith("\\"):
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
    return lines


def _line_edits(line: str) -> Iterator[str]:
    for found in re.finditer(r"(?<![\w.])\d+(?![\w])", line):
        yield line[: found.start()] + str(int(found[0]) + 1) + line[found.end() :]
    for found in re.finditer(r"(?<=\s)--?[A-Za-z][\w-]*(?:=\S+)?[ \t]*", line):  # an option
        yield line[: found.start()] + line[found.end() :]
    for found in re.finditer(r"\s[\w-]+=(?:\"[^\"]*\"|'[^']*'|[\w./:-]+)", line):  # an attribute, or a variable
        yield line[: found.start()] + line[found.end() :]
    parts = re.split(r"(\s*&&\s*(?:\\\n\s*)?)", line)
    for place in range(0, len(parts), 2):
        if len(parts) > 1:
            rest = parts[:place] + parts[place + 2 :] if place + 1 < len(parts) else parts[: place - 1]
            yield "".join(rest)
    if found := re.match(r"\s*(?:CMD|ENTRYPOINT)\s+(\[.*\])\s*$", line, re.DOTALL):  # through a shell
        words = re.findall(r"\"([^\"]*)\"", found[1])
        yield line[: found.start(1)] + " ".join(words)
    if line.startswith("!"):
        yield line[1:]
