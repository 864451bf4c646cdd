"""`nbgrader export` writes what `course export` writes.

nbgrader's own exporter leaves formulas as they are, and counts work that waits for a person as 0.
"""

from __future__ import annotations

from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin

from course.grading.reports import grades_csv


class ExportGrades(ExportPlugin):
    """Takes the place of nbgrader's CsvExportPlugin."""

    def export(self, gradebook: Gradebook) -> None:
        """Write the grades of all, or of the assignments and students that the command names."""
        target = Path(self.to or "grades.csv")
        students, labs = (frozenset(map(str, names)) for names in (self.student, self.assignment))
        lines, warned = grades_csv.export(Path(self.parent.coursedir.root), target, labs=labs, students=students)
        self.log.info("Exported %d lines to %s", lines, target)
        for sentence in warned:
            self.log.warning(sentence)
