"""The commands in a shell script, as words: `pipelines("curl … | sh")`. It runs nothing and does not know quotes.

Good enough to find a program and its arguments in a RUN. Its cost grows with the length of the script and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ENDS = re.compile(r"\|\||&&|[;\n&]")
_AROUND = "\"'`(){}"
PIP = re.compile(r"pip(?:\d{1,3}(?:\.\d{1,3})?)?")
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


def arguments(words: Sequence[str], programs: re.Pattern[str], subcommands: Iterable[str]) -> Words | None:
    """What follows a subcommand of a program, such as `install` of pip; None where it is not called.

    Args:
        words: a command.
        programs: the whole name of the program.
        subcommands: any of these.
    """
    start = next((place for place, word in enumerate(words) if programs.fullmatch(program(word))), None)
    if start is None:
        return None
    wanted = set(subcommands)
    place = next((n for n in range(start + 1, len(words)) if words[n].strip(_AROUND) in wanted), None)
    return None if place is None else list(words[place + 1 :])
