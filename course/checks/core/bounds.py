"""What a student wrote is read within bounds, and running out of them is the student's failure: `with bounded(…)`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from course.base.budgets import MEGABYTES, SECONDS, BudgetExceeded, budget
from course.checks.core.expectations import Unmet


@contextlib.contextmanager
def bounded(title: str, what: str, *, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Iterator[None]:
    """Bound what reading something takes; as a decorator, each call has a bound of its own.

    Args:
        title: the line that fails where it takes too much.
        what: what is read, as the beginning of a sentence.
        seconds: of processor time.
        megabytes: of memory.

    Raises:
        Unmet: it took too much.
    """
    try:
        with budget(seconds, megabytes):
            yield
    except BudgetExceeded as error:
        hint = "is it generated, or very large? What a person writes is read in well under a second"
        raise Unmet(title, f"{what} takes {error} to read", hint=hint) from None
