"""What people call a lab or a notebook: "01", "1", "01_python_model", or a path that ends in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from course.base.errors import UserError

LAB = re.compile(r"\d\d_[a-z0-9_]+")
"""The name of a lab's folder."""


class UnknownName(UserError):
    """There is no lab or notebook of that name; the message lists those that there are."""


def find(name: str, known: Iterable[Path], what: str = "lab") -> Path:
    """The folder of a lab, or a notebook, by what a person calls it.

    Args:
        name: its name, its number with or without the leading zero, or a path that ends in its name.
        known: those that there are; a suffix such as .ipynb is no part of a name.
        what: "lab" or "notebook", for the message.

    Raises:
        UnknownName: there is none.
    """
    there = list(known)
    last = Path(name).name.removesuffix(".ipynb")
    number = last.zfill(2) if last.isdigit() else None
    for path in there:
        if last == path.stem or (number and number == path.stem.partition("_")[0]):
            return path
    raise UnknownName(f"there is no {what} {name!r}; there are: {', '.join(path.stem for path in there) or 'none'}")
