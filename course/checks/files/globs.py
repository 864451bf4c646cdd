"""Patterns of file names, matched in a time that grows only with their length: `Globs`, for many patterns at once.

A student writes these patterns, so no regular expression is made of them: `*a*a*a*b` would try every way to place its
parts. Here all patterns are followed at once, one character after another, with one bit for each place in a pattern
that the text so far may have reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_PATTERNS = 500
MAX_CHARACTERS = 20_000  # of all patterns together


class BadPattern(ValueError):
    """A pattern cannot be read, or there are too many of them; the message says why."""


@dataclass(frozen=True)
class _Set:
    """A set of characters such as [a-z]."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def __contains__(self, sign: str) -> bool:
        return any(low <= sign <= high for low, high in self.ranges) != self.negated


class Globs:
    """Patterns in which `*` stands for any characters of a name, `?` for one, `**` for folders, `[a-z]` for a set.

    Args:
        patterns: each as .dockerignore and COPY write them; a backslash takes the next character as it is.

    Raises:
        BadPattern: see there.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > MAX_PATTERNS or sum(map(len, patterns)) > MAX_CHARACTERS:
            raise BadPattern(f"at most {MAX_PATTERNS} patterns of {MAX_CHARACTERS} characters together are read")
        self._length = 0
        self._signs: dict[str, int] = {}
        self._sets: list[tuple[int, _Set]] = []
        self._names = self._loops = self._name_loops = self._optional = self._folders = 0
        self._starts = 0
        self._ends: list[int] = []
        for pattern in patterns:
            self._starts |= 1 << self._length
            self._read(pattern)
            self._ends.append(1 << self._length)
            self._length += 1
        self._accepting = sum(self._ends)
        self._starts = self._close(self._starts)
        self._known: dict[str, tuple[int, int]] = {}

    def matching(self, path: str) -> list[int]:
        """The numbers of the patterns that match a path, or a folder above it, in order."""
        reached, accepted = self._starts, 0
        for sign in path:
            if sign == "/":
                accepted |= reached & self._accepting
            moves, stays = self._known.get(sign) or self._masks(sign)
            reached = self._close(((reached & moves) << 1) | (reached & stays))
            if not reached and not accepted:
                return []
        accepted |= reached & self._accepting
        return [number for number, end in enumerate(self._ends) if accepted & end] if accepted else []

    def _close(self, reached: int) -> int:
        """The same, with the places that are reached without a further character."""
        reached |= (reached & self._optional) << 1 | (reached & self._optional) << 2
        return reached | (reached & (self._loops | self._name_loops)) << 1

    def _masks(self, sign: str) -> tuple[int, int]:
        """The places from which a character leads on, and those at which it stays."""
        moves = self._signs.get(sign, 0)
        for place, signs in self._sets:
            if sign != "/" and sign in signs:
                moves |= place
        stays = self._loops | self._folders
        if sign == "/":
            moves |= self._folders
        else:
            moves |= self._names
            stays |= self._name_loops
        self._known[sign] = moves, stays
        return moves, stays

    def _add(self) -> int:
        self._length += 1
        return 1 << (self._length - 1)

    def _read(self, pattern: str) -> None:
        place, last = 0, ""
        while place < len(pattern):
            sign = pattern[place]
            if pattern.startswith("**", place):
                place += len(pattern) - place - len(pattern[place:].lstrip("*"))
                if pattern.startswith("/", place):
                    place += 1
                    if last != "**/":
                        self._optional |= self._add()
                        self._folders |= self._add()
                    last = "**/"
                else:
                    self._loops |= self._add()
                    last = "**"
                continue
            last = sign
            if sign == "*":
                self._name_loops |= self._add()
            elif sign == "?":
                self._names |= self._add()
            elif sign == "[":
                end, signs = _set(pattern, place)
                self._sets.append((self._add(), signs))
                place = end
            else:
                if sign == "\\" and place + 1 < len(pattern):
                    place += 1
                    sign = pattern[place]
                self._signs[sign] = self._signs.get(sign, 0) | self._add()
            place += 1


def _set(pattern: str, place: int) -> tuple[int, _Set]:
    """The set of characters that begins at a place, and the place of its end."""
    end = pattern.find("]", place + 2)
    inner = pattern[place + 1 : end]
    negated, inner = inner.startswith("^"), inner.removeprefix("^")
    if end < 0 or not inner:
        raise BadPattern(f"{pattern[:60]!r} opens a [ and does not close it")
    ranges, at = [], 0
    while at < len(inner):
        high = inner[at + 2] if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner) else inner[at]
        if high < inner[at]:
            raise BadPattern(f"in {pattern[:60]!r} the range {inner[at]}-{high} goes backwards")
        ranges.append((inner[at], high))
        at += 3 if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner) else 1
    return end, _Set(tuple(ranges), negated)


def is_pattern(text: str) -> bool:
    """Whether a text holds a character that means something in a pattern."""
    return any(sign in text for sign in "*?[\\")


def fits(text: str, pattern: str) -> bool:
    """Whether a whole text fits a pattern with `*` for any characters and `?` for one, whatever they are."""
    at = place = 0
    star, back = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, back = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            back += 1
            at, place = back, star + 1
        else:
            return False
    return not pattern[place:].strip("*")
