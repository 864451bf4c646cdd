"""What the loop needs besides its steps: which labs have work, and grades as CSV. Used by the `course` command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from course.labs import release


class LoopError(Exception):
    """A step of the loop cannot begin; the message says what to do first."""


def labs_with_work(root: Path, step: str = "submitted") -> list[str]:
    """The labs for which a step's folder holds something.

    Raises:
        LoopError: there is none.
    """
    found = sorted({path.name for path in (root / "classroom" / step).glob("[!.]*/[!.]*") if path.is_dir()})
    if not found:
        before = {"submitted": "course collect LAB FOLDER_OR_ZIP", "autograded": "course grade"}
        raise LoopError(f"there is nothing in classroom/{step} yet; first: {before.get(step, step)}")
    return found


def export(root: Path, target: Path) -> int:
    """Write all grades as CSV, one line per student and lab, in order.

    Returns:
        The number of lines.

    Raises:
        LoopError: there is no gradebook yet.
    """
    config = release.configuration(root)
    if not (root / "classroom" / "gradebook.db").is_file() and config.CourseDirectory.db_url.startswith("sqlite"):
        raise LoopError("there is no gradebook yet; first: course grade LAB")
    target.parent.mkdir(parents=True, exist_ok=True)
    with release.messages(), Gradebook(config.CourseDirectory.db_url) as gradebook:
        CsvExportPlugin(to=str(target)).export(gradebook)
    # nbgrader writes them as they came into the gradebook, which is as the workers were done
    grades = pd.read_csv(target, dtype=str, keep_default_na=False).sort_values(["assignment", "student_id"])
    grades.to_csv(target, index=False)
    return len(grades)
