"""The rules of a .dockerignore, as Docker reads them: `ignoring(text)` → a function that tells what is kept out."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from course.checks.core.expectations import Unmet
from course.checks.files.globs import BadPattern, Globs, is_pattern

TITLE = ".dockerignore can be read"


def ignoring(source: str) -> Callable[[str], bool]:
    """The rules of a .dockerignore: a function that tells of a path whether it is kept out.

    As Docker reads it: the last pattern that matches a path, or a folder above it, decides; `!` lets in again; `*` and
    `?` stop at a slash, `**` does not; a pattern is about the top of the context, with or without a slash before it.

    Raises:
        Unmet: a pattern is none, or there are too many.
    """
    patterns: list[str] = []
    keeping_out: list[bool] = []
    for line in source.removeprefix("\ufeff").splitlines():
        line = line if line.startswith("#") else line.strip()
        if not line or line.startswith("#"):
            continue
        lets_in = line.startswith("!")
        text = line[1:].strip() if lets_in else line
        text = posixpath.normpath(text).lstrip("/") if text else ""
        if text and text != ".":
            patterns.append(text)
            keeping_out.append(not lets_in)
    try:
        globs = Globs(patterns)
    except BadPattern as error:
        raise Unmet(
            TITLE, str(error), hint="the engine would not read it either, or it is far longer than any"
        ) from None

    @functools.lru_cache(maxsize=20_000)
    def is_out(path: str) -> bool:
        matching = globs.matching(str(PurePosixPath(path)))
        return bool(matching) and keeping_out[matching[-1]]

    return is_out


def matching(source: str, paths: Iterable[str]) -> list[str]:
    """The paths that a source of COPY stands for: a file, all in a folder, or those that fit a pattern.

    What is no pattern that can be read stands for none.
    """
    clean = posixpath.normpath(source.lstrip("/") or ".")
    if clean == ".":
        return list(paths)
    if not is_pattern(clean):
        return [path for path in paths if path == clean or path.startswith(f"{clean}/")]
    try:
        globs = Globs([clean])
    except BadPattern:
        return []
    return [path for path in paths if globs.matching(path)]
