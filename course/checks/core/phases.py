"""The two phases of a question: first all visible checks, then the hidden ones, with processes of their own.

A student's code may remember what it is asked. So nothing that it runs in goes on from a hidden check to a visible one,
whose result may show what the code returns. Rooms that keep something running register here how it ends.
"""

from __future__ import annotations

from collections.abc import Callable

_before_hidden: list[Callable[[], None]] = []
_after_hidden: list[Callable[[], None]] = []
_hidden = [False]


def before_hidden(end: Callable[[], None]) -> Callable[[], None]:
    """Have a function called between the visible and the hidden checks, so that the hidden ones start afresh."""
    _before_hidden.append(end)
    return end


def after_hidden(end: Callable[[], None]) -> Callable[[], None]:
    """Have a function called after the hidden checks, before anything visible runs again. It must end what runs."""
    _after_hidden.append(end)
    return end


def is_hidden() -> bool:
    """Whether hidden checks run now."""
    return _hidden[0]


def begin_hidden() -> None:
    """The visible checks of a question are done."""
    _call(_before_hidden)
    _hidden[0] = True


def end_hidden() -> None:
    """The hidden checks of a question are done."""
    _hidden[0] = False
    _call(_after_hidden)


def _call(functions: list[Callable[[], None]]) -> None:
    for function in functions:
        function()
