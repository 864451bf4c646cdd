"""The commands in a shell script, as words: `pipelines("curl … | sh")`. It runs nothing and does not know quotes.

Good enough to find a program and its arguments in a RUN. Its cost grows with the length of the script and no faster.
"""

from __future__ import annotations

import re

_ENDS = re.compile(r"\|\||&&|[;\n&]")
_AROUND = "\"'`(){}"
SHELLS = re.compile(r"(?:ba|da|z)?sh\b")

Words = list[str]


def pipelines(script: str) -> list[list[Words]]:
    """The pipelines of a script, in order: each a list of commands, each a list of words."""
    found: list[list[Words]] = []
    goes_on = False
    for part in _ENDS.split(script.replace("\\\n", " ")):
        parts = [piece.split() for piece in part.split("|")]
        if goes_on and not any(parts):
            continue
        if goes_on:
            found[-1] = [*found[-1][:-1], *parts]
        else:
            found.append(parts)
        goes_on = len(parts) > 1 and not parts[-1]  # the line ends in a pipe
    return [[words for words in line if words] for line in found if any(line)]


def commands(script: str) -> list[Words]:
    """All commands of a script."""
    return [words for line in pipelines(script) for words in line]


def program(word: str) -> str:
    """The name of a program, without the folder before it and the quotes around it."""
    return word.strip(_AROUND).rpartition("/")[2]
