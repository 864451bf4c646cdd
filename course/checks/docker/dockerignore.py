"""The rules of a .dockerignore, as Docker reads them: `ignoring(text)` → a function that tells what is kept out."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath


def ignoring(source: str) -> Callable[[str], bool]:
    """The rules of a .dockerignore: a function that tells of a path whether it is kept out.

    As Docker reads it: the last pattern that matches a path, or a folder above it, decides; `!` lets in again; `*` and
    `?` stop at a slash, `**` does not; a pattern is about the top of the context, with or without a slash before it.
    """
    patterns: list[tuple[bool, re.Pattern[str]]] = []
    for line in source.removeprefix("\ufeff").splitlines():
        line = line if line.startswith("#") else line.strip()
        if not line or line.startswith("#"):
            continue
        lets_in = line.startswith("!")
        text = line[1:].strip() if lets_in else line
        text = posixpath.normpath(text).lstrip("/") if text else ""
        if text and text != ".":
            patterns.append((not lets_in, re.compile(pattern_as_regex(text[:1000]))))

    @functools.lru_cache(maxsize=20_000)
    def is_out(path: str) -> bool:
        parts = PurePosixPath(path).parts
        tops = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        out = False
        for keeps_out, pattern in patterns:
            if keeps_out != out and any(pattern.fullmatch(top) for top in tops):
                out = keeps_out
        return out

    return is_out


def pattern_as_regex(text: str) -> str:
    """One pattern of .dockerignore as a regular expression without nested repetition."""
    found: list[str] = []
    place = 0
    while place < len(text):
        sign = text[place]
        if text.startswith("**", place):
            while text.startswith("*", place):
                place += 1
            if text.startswith("/", place):
                place += 1
                if found[-1:] != ["(?:.*/)?"]:
                    found.append("(?:.*/)?")
            elif found[-1:] != [".*"]:
                found.append(".*")
            continue
        if sign == "*":
            found.append("[^/]*")
        elif sign == "?":
            found.append("[^/]")
        elif sign == "[" and (end := text.find("]", place + 2)) > 0:
            inner = text[place + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            found.append(f"[{inner}]")
            place = end
        elif sign == "\\" and place + 1 < len(text):
            place += 1
            found.append(re.escape(text[place]))
        else:
            found.append(re.escape(sign))
        place += 1
    return "".join(found)


def matching(source: str, paths: Iterable[str]) -> list[str]:
    """The paths that a source of COPY stands for: a file, all in a folder, or those that fit a pattern."""
    clean = posixpath.normpath(source.lstrip("/") or ".")
    if clean == ".":
        return list(paths)
    pattern = re.compile(pattern_as_regex(clean))
    tops = ((path, PurePosixPath(path)) for path in paths)
    return [path for path, place in tops if any(pattern.fullmatch(str(one)) for one in (place, *place.parents))]
