"""One line that shows a waiting student how far a slow check is; only a notebook has a place for it."""

from __future__ import annotations

import os
import sys


def show(line: str) -> None:
    """Show one line where the result will appear.

    COURSE_PROGRESS=off leaves it out, for programs that keep every line of output, such as nbval.
    """
    if _in_notebook():
        from IPython.display import clear_output, display

        clear_output(wait=True)
        display({"text/plain": line}, raw=True)


def clear() -> None:
    """Remove the line that :func:`show` showed, as soon as something else is shown."""
    if _in_notebook():
        from IPython.display import clear_output

        clear_output(wait=True)


def _in_notebook() -> bool:
    if os.environ.get("COURSE_PROGRESS") == "off" or "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None and hasattr(get_ipython(), "kernel")
