"""A shipped configuration of Alertmanager: `Routes("alertmanager.yml")`, and to whom it sends an alert.

It may be one file only: it may not name templates, or files with addresses and passwords.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.files import reading
from course.checks.prometheus import programs

MAX_TEXT = 500  # characters of one value
MAX_ENTRIES = 2000
_LABEL = re.compile(r"[A-Za-z_]\w*")


@dataclass
class Routes:
    """The routes of a shipped file. It is read when they are first asked for, inside a check.

    Attributes:
        file: its path below the folder of shipped files.
    """

    file: str

    @functools.cached_property
    def text(self) -> str:
        """The file, once nothing in it names another file.

        Raises:
            Unmet: it is missing, is not YAML, names files, or holds too much.
        """
        source = reading.text(self.file, max_bytes=reading.MAX_DOCUMENT_BYTES)
        data = reading.parse(source, self.file)
        if not isinstance(data, dict) or not isinstance(data.get("route"), dict):
            raise Unmet(
                f"{self.file} has a route",
                "it must have `route:` with a receiver and, below it, routes",
                hint="compare it with the example above the exercise",
            )
        for count, (key, value) in enumerate(_entries(data)):
            if (key == "templates" and value) or key.endswith("_file"):
                hint = "a rule of this exercise: the configuration is one file, and names no other"
                raise Unmet(f"{self.file} names no other file", f"it has the key {key!r}", hint=hint)
            if count > MAX_ENTRIES or (isinstance(value, str) and len(value) > MAX_TEXT):
                raise Unmet(f"{self.file} is of a size that can be read", "it holds too much, or too long a text")
        return source

    def check(self) -> None:
        """Fail the check unless amtool accepts the file."""
        done = programs.run("amtool", ["check-config", self.file], {self.file: self.text})
        if not done.ok:
            raise CheckFailed(f"amtool refuses {self.file}", actual=_reason(programs.last_words(done)))

    def receivers(self, labels: Mapping[str, str]) -> list[str]:
        """The receivers of an alert, as `amtool config routes test` tells them.

        Args:
            labels: the alert's labels.

        Raises:
            CheckFailed: amtool refuses the file.
        """
        assert all(map(_LABEL.fullmatch, labels))
        words = [f"{name}={value}" for name, value in labels.items()]
        command = ["config", "routes", "test", f"--config.file={self.file}", *words]
        done = programs.run("amtool", command, {self.file: self.text})
        if not done.ok:
            raise CheckFailed(f"amtool refuses {self.file}", actual=_reason(programs.last_words(done)))
        lines = [line for line in done.output.splitlines() if line.strip() and not line.startswith("Warning:")]
        return [name.strip() for name in lines[-1].split(",")] if lines else []


def _entries(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value in a document, with the name that it stands under."""
    yield key, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entries(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _reason(words: str) -> str:
    """What amtool says of a file, without its own name and its closing line."""
    lines = [line for line in words.splitlines() if "failed to validate" not in line]
    return re.sub(r"^(amtool: error: |Checking '[^']*'\s+FAILED: )", "", "\n".join(lines))
