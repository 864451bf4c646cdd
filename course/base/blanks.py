"""What stands in a notebook where a student has not answered yet: release writes it, handing in looks for it."""

from __future__ import annotations

STUB = "YOUR WORK HERE"
"""What a release puts where a file is to be written."""

STUBS = ("YOUR CODE HERE", STUB, "raise NotImplementedError()")
"""What tells that a cell is as it was given."""

NO_ANSWER = "YOUR ANSWER HERE"
"""What a release puts where text is to be written."""
