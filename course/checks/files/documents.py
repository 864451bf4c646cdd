"""What a shipped document says: entries by path, text that was really written, amounts, and an audit of columns.

Uses `files` and `expectations`. Lab 01 judges `project.yaml` with it.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from course.checks.core.expectations import CheckFailed, fail
from course.checks.files import globs, reading

_BLANK = "write your own answer after the colon, or as lines below it"
MAX_NAMES = 200  # among which the right one is looked for when a name is wrong
MAX_PATTERNS = 100
MAX_PATTERN = 200  # characters
_STUBS = ("NotImplementedError", "YOUR CODE HERE", "YOUR WORK HERE", "YOUR ANSWER HERE")
_YES = {"yes", "y", "true", "on"}
_NO = {"no", "n", "false", "off"}


class Document:
    """A shipped YAML or JSON file that is read when it is first asked for, inside a check.

    Args:
        name: its path below the folder of shipped files.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @functools.cached_property
    def data(self) -> dict[Any, Any]:
        """The whole document.

        Raises:
            Unmet: it is missing or not plain YAML.
            CheckFailed: it is empty, or no mapping of names to values.
        """
        data = reading.document(self.name)
        if not isinstance(data, dict):
            shapes = {str: "one text", list: "a list", type(None): "empty"}
            hint = "write one `name: value` on each line, as in the example"
            fail(
                f"{self.name} is {shapes.get(type(data), 'one value')}, where names with values are expected", hint=hint
            )
        return data

    def entry(self, path: str) -> Any:
        """What stands at a path such as "costs.missed_warning".

        Raises:
            Unmet: the document cannot be read.
            CheckFailed: nothing stands there; the message says where it ends.
        """
        value: Any = self.data
        walked: list[str] = []
        for key in path.split("."):
            if walked and _is_blank(value):
                fail(
                    f"`{'.'.join(walked)}` in {self.name} is still empty",
                    hint=f"it should hold `{key}:`, indented below it",
                )
            if not isinstance(value, dict):
                fail(
                    f"`{'.'.join(walked)}` in {self.name} holds no names with values",
                    expected=f"`{key}:` indented below it",
                    actual=value,
                )
            walked.append(key)
            if key not in value:
                known = [str(name)[:100] for name in itertools.islice(value, MAX_NAMES)]
                near = difflib.get_close_matches(key, known, 1)
                hint = f"is it the line `{near[0]}:`?" if near else f"add the line `{key}:` with a value"
                fail(f"{self.name} lacks `{'.'.join(walked)}`", hint=hint)
            value = value[key]
        if _is_blank(value):
            fail(f"`{path}` in {self.name} is still empty", hint=_BLANK)
        return value

    def words(self, path: str, *, least: int = 1) -> str:
        """The text at a path (or a list of texts, joined), which must have at least so many words.

        Raises:
            Unmet, CheckFailed: as for :meth:`entry`, or it is no text, or too short.
        """
        return _words(self.entry(path), f"`{path}` in {self.name}", least)

    def amount(self, path: str) -> float:
        """The number at a path; "40 EUR" counts as 40.

        Raises:
            Unmet, CheckFailed: as for :meth:`entry`, or it is no finite number.
        """
        return amount(self.entry(path), f"`{path}` in {self.name}")

    def items(self, path: str, *, least: int) -> list[str]:
        """The elements of the list at a path, each as one text (the values of a mapping are joined).

        Raises:
            Unmet, CheckFailed: as for :meth:`entry`, or it is no list, or too short, or an element is empty.
        """
        found = self.entry(path)
        name = f"`{path}` in {self.name}"
        if isinstance(found, str):
            found = [found]
        if isinstance(found, dict):  # {weather: …, holidays: …} says the same as a list
            found = [{"what": key, "more": value} for key, value in found.items()]
        if not isinstance(found, list):
            fail(f"{name} is no list", expected="lines that begin with `- `", actual=found)
        texts = [_flat(item) for item in found]
        written = [text for text in texts if len(text.split()) >= 2]
        if len(written) < least:
            hint = "begin each element with `- ` and write more than one word"
            fail(f"{name} is too short", expected=f"{least} or more elements", actual=f"{len(written)}", hint=hint)
        return written

    def audit(self, columns: Iterable[str], *, path: str = "columns") -> Audit:
        """What the document says about columns.

        A line may be written as `table.column:`, as `column:` below `table:`, or, where only one table has it (or
        the first one does), as `column:` alone; `table.*` speaks for the columns of a table that have no line.

        Args:
            columns: all that there are, as "table.column".
            path: where the audit stands in the document.

        Raises:
            Unmet, CheckFailed: as for :meth:`entry`, or it is no mapping.
        """
        written = self.entry(path)
        if not isinstance(written, dict):
            shape = "one line for each column, such as `table.column: {useful: yes, available: no, why: …}`"
            fail(f"`{path}` in {self.name} is no audit", expected=shape, actual=written)
        return Audit.read(written, list(columns))


@dataclass(frozen=True)
class Audit:
    """An audit of columns: what was written about each, what is missing, and what there is not.

    Attributes:
        lines: column ("table.column") → what was written about it.
        missing: columns about which nothing is written.
        invented: names in the audit that no column has.
    """

    lines: dict[str, Any]
    missing: tuple[str, ...]
    invented: tuple[str, ...]

    @classmethod
    def read(cls, written: Mapping[Any, Any], columns: list[str]) -> Audit:
        """Read an audit; see :meth:`Document.audit`."""
        tables = {column.partition(".")[0] for column in columns}
        named: dict[str, Any] = {}
        patterns: dict[str, Any] = {}
        invented: list[str] = []
        for name, line in _spread(written, tables):
            if name.endswith("*"):
                if len(patterns) == MAX_PATTERNS or len(name) > MAX_PATTERN:
                    fail(f"more than {MAX_PATTERNS} lines of the audit end in *, or one is longer than any name")
                patterns[name] = line
                if not any(globs.fits(column, name) for column in columns):
                    invented.append(name)
                continue
            column = name if name in columns else next((c for c in columns if c.partition(".")[2] == name), None)
            if column is None:
                invented.append(name)
            else:
                named[column] = line
        lines = {}
        for column in columns:
            matching = [pattern for pattern in patterns if globs.fits(column, pattern)]
            if column in named:
                lines[column] = named[column]
            elif matching:
                lines[column] = patterns[max(matching, key=len)]
        return cls(lines, tuple(c for c in columns if c not in lines), tuple(invented))

    def says(self, column: str, word: str) -> bool:
        """Whether the line of a column says yes or no to a word such as "available".

        Raises:
            CheckFailed: there is no such line, or it says neither.
        """
        line = self._line(column)
        value = line.get(word)
        if isinstance(value, bool):
            return value
        text = str(value).strip().lower()
        if text in _YES | _NO:
            return text in _YES
        actual = "nothing" if _is_blank(value) else value
        return fail(f"the line of {column} does not say whether it is {word}", expected="yes or no", actual=actual)

    def reason(self, column: str, word: str = "why") -> str:
        """The text that the line of a column gives as its reason.

        Raises:
            CheckFailed: there is none, or only one word.
        """
        line = self._line(column)
        if _is_blank(line.get(word)):
            fail(f"the line of {column} gives no reason", hint=f"write `{word}: …` in it, in a few words of your own")
        # between braces a comma ends the text: {why: late, and often changed} has a key "and often changed"
        rest = [str(key) for key, value in line.items() if value is None and key not in ("useful", "available")]
        return _words(", ".join([_flat(line[word]), *rest]), f"`{word}` of {column}", 2)

    def agrees(self, word: str, truth: Mapping[str, bool], because: Mapping[str, str]) -> None:
        """Pass if every line says of a word what is true.

        Args:
            word: such as "available".
            truth: column → what is true of it.
            because: column → why, as half a sentence that follows its name.

        Raises:
            CheckFailed: the first line that does not, with the reason; and how many more there are.
        """
        wrong = [column for column, true in truth.items() if self.says(column, word) is not true]
        if not wrong:
            return
        column, more = wrong[0], len(wrong) - 1
        others = "" if not more else f"; {more} more line{'s' * (more > 1)} of this group should be thought over, too"
        yes = {True: f"{word}: yes", False: f"{word}: no"}
        raise CheckFailed(
            f"{column} {because[column]}{others}",
            expected=yes[truth[column]],
            actual=yes[not truth[column]],
        )

    def _line(self, column: str) -> dict[Any, Any]:
        if column not in self.lines:
            fail(f"the audit lacks the column {column}", hint="add a line for it")
        line = self.lines[column]
        if not isinstance(line, dict):
            shape = "{useful: yes, available: no, why: a few words}"
            fail(f"the line of {column} is not complete", expected=shape, actual="nothing" if line is None else line)
        return line


def amount(value: Any, name: str) -> float:
    """A finite number, also when it is written with its unit as in "40 EUR".

    Raises:
        CheckFailed: it is none.
    """
    if isinstance(value, str) and (match := re.fullmatch(r"[^\d.,-]*(-?\d{1,100}(?:\.\d{1,100})?)[^\d.,]*", value)):
        value = float(match[1])
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) < float("inf"):  # a whole number may be too large for a float
        fail(f"{name} is no number", expected="a number such as 12.5", actual=value)
    try:
        return float(value)
    except OverflowError:
        fail(f"{name} is far too large", expected="a number such as 12.5", actual=value)


def _spread(written: Mapping[Any, Any], tables: set[str]) -> Iterable[tuple[str, Any]]:
    """Name and line of each entry; `column:` below `table:` becomes `table.column`."""
    for name, line in written.items():
        if str(name) in tables and isinstance(line, dict) and not {"useful", "available", "why"} & set(line):
            for column, inner in line.items():
                yield f"{name}.{column}", inner
        else:
            yield str(name) + (".*" if str(name) in tables else ""), line


def _words(value: Any, name: str, least: int) -> str:
    if isinstance(value, dict) or value is None:
        fail(f"{name} is no text", expected="a sentence", actual=value)
    text = _flat(value).strip()
    if any(stub in text for stub in _STUBS) or not re.search(r"\w", text):
        fail(f"{name} is still empty", hint=_BLANK)
    if len(text.split()) < least:
        fail(f"{name} is too short", expected=f"{least} words or more", actual=text)
    return text


def _flat(item: Any) -> str:
    if isinstance(item, dict):
        return " ".join(f"{key} {_flat(value)}" for key, value in item.items() if not _is_blank(value))
    if isinstance(item, list):
        return " ".join(_flat(value) for value in item)
    return "" if _is_blank(item) else str(item)


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip() or any(stub in value for stub in _STUBS)
    return value is None or value == {} or value == []
