"""What a project says that it needs: requirements, the versions that a lock pins, and what is installed here."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from course.checks.core.expectations import CheckFailed, Unmet

MAX_LINES = 3000
MAX_LINE = 2000  # characters


def _read(line: Any) -> Requirement:
    """A line as packaging reads it.

    Raises:
        InvalidRequirement: it is none, or far too long.
        TypeError: it is no text.
    """
    if len(line) > MAX_LINE:
        raise InvalidRequirement(f"it has more than {MAX_LINE} characters")
    try:
        return Requirement(line)
    except RecursionError:
        raise InvalidRequirement("its marker is nested too deeply") from None


_OPTION = re.compile(r"(-[rc]|--(?:requirement|constraint))(?:\s*=\s*|\s*)(\S+)")
_MAX_DEPTH = 5  # of files that name files


def pins(
    text: str, name: str = "the lock", *, others: Callable[[str], str | None] = lambda _: None, depth: int = 0
) -> dict[str, str]:
    """What a requirements file pins: canonical name → version.

    Args:
        text: its lines; comments, hashes, markers, options of pip and blank lines may be among them.
        name: what to call it in messages.
        others: the text of another file that a line names with -r or -c, or None where there is no such file.
        depth: how many files led to this one.

    Raises:
        CheckFailed: a line is no requirement, or does not pin one version.
    """
    found: dict[str, str] = {}
    limits: dict[str, str] = {}  # what files of constraints pin
    left_open: dict[str, CheckFailed] = {}
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    if len(lines) > MAX_LINES:
        raise CheckFailed(f"{name} has more than {MAX_LINES} lines")
    for line in lines:
        line = re.sub(r"(^|\s)#.*", "", line).partition(" --hash")[0].strip()
        if line.startswith("-") and not line.startswith(("-e", "--editable")):
            if (option := _OPTION.match(line)) and depth < _MAX_DEPTH and (more := others(option[2])) is not None:
                there = pins(more, option[2], others=others, depth=depth + 1)
                (found if option[1] in ("-r", "--requirement") else limits).update(there)
            continue
        if not line:
            continue
        hint = "one package a line, such as tzdata==2025.2; put everything else behind a #"
        try:
            need = _read(line)
        except InvalidRequirement:
            raise CheckFailed(
                f"{name} has a line that names no package and version", actual=line[:200], hint=hint
            ) from None
        exact = [spec for spec in need.specifier if spec.operator in ("==", "===") and not spec.version.endswith(".*")]
        if exact:
            found[canonicalize_name(need.name)] = exact[0].version
        else:
            reason = f"{name} leaves the version of {need.name} open"
            left_open[canonicalize_name(need.name)] = CheckFailed(reason, actual=line[:200], hint=hint)
    for key, problem in left_open.items():
        if key not in limits and key not in found:
            raise problem
        found.setdefault(key, limits.get(key, ""))
    return found


def closure(wanted: Iterable[tuple[str, set[str]]]) -> dict[str, str]:
    """The installed distributions among these and all that they need: canonical name → version.

    Args:
        wanted: names with the extras that are asked for. What is not installed is left out.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(canonicalize_name(name), frozenset(extras)) for name, extras in wanted]
    while todo:
        name, extras = todo.pop()
        version = installed(name)
        if version is None or (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = version
        for line in importlib.metadata.requires(name) or []:
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                todo.append((canonicalize_name(need.name), frozenset(need.extras)))
    return found


def installed(name: str) -> str | None:
    """The version of a distribution that is installed here, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirement(line: Any, where: str, title: str | None = None) -> Requirement:
    """A line such as "pandas>=2.2" as packaging reads it.

    Args:
        line: the line, which may be anything.
        where: where it stands, for the message.
        title: the line of the check that it fails; by default the check at hand.

    Raises:
        CheckFailed: it cannot be read.
    """
    try:
        return _read(line)
    except (InvalidRequirement, TypeError) as error:
        reason = f"{where} names a dependency that cannot be read: {str(line)[:100]}"
        hint = 'a dependency is a text such as "pandas>=2.2"'
        raise (Unmet(title, reason, hint=hint) if title else CheckFailed(reason, hint=hint)) from error
