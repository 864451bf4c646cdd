"""The one base class of errors that a user can put right. The `course` command shows their message, and no traceback.

An error that only the course's own code sees, and handles, has no need of it.
"""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right: the message states what was expected, what came, and what to do next.

    Attributes:
        exit_status: what the `course` command ends with.
        heading: what stands before the message in a notebook, where it takes the place of a traceback.
    """

    exit_status = 1
    heading = "Error"

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback."""
        return [f"{self.heading}: {self}"]
