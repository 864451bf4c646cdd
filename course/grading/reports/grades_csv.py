"""What the loop needs besides its steps: which labs have work, and grades as CSV. Used by the `course` command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from course.base import atomic
from course.base.errors import UserError
from course.labs import release


class NothingToDo(UserError):
    """A step cannot begin; the message says what to do first."""


def labs_with_work(root: Path, step: str = "submitted") -> list[str]:
    """The labs for which a step's folder holds something.

    Raises:
        NothingToDo: there is none.
    """
    found = sorted({path.name for path in (root / "classroom" / step).glob("[!.]*/[!.]*") if path.is_dir()})
    if not found:
        before = {"submitted": "course collect LAB FOLDER_OR_ZIP", "autograded": "course grade"}
        raise NothingToDo(f"there is nothing in classroom/{step} yet; first: {before.get(step, step)}")
    return found


def export(root: Path, target: Path) -> int:
    """Write all grades as CSV, one line per student and lab, in order.

    Returns:
        The number of lines.

    Raises:
        NothingToDo: there is no gradebook yet.
    """
    config = release.configuration(root)
    if not (root / "classroom" / "gradebook.db").is_file() and config.CourseDirectory.db_url.startswith("sqlite"):
        raise NothingToDo("there is no gradebook yet; first: course grade LAB")
    with atomic.replacing(target) as temporary:
        with release.messages(), Gradebook(config.CourseDirectory.db_url) as gradebook:
            CsvExportPlugin(to=str(temporary)).export(gradebook)
        # nbgrader writes them as they came into the gradebook, which is as the workers were done
        grades = pd.read_csv(temporary, dtype=str, keep_default_na=False).sort_values(["assignment", "student_id"])
        grades.to_csv(temporary, index=False)
    return len(grades)
