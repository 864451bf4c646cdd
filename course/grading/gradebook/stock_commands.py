"""nbgrader's own commands run on the same engine: preprocessors for `nbgrader autograde` and the formgrader's button.

`nbgrader_config.py` puts them in the place of nbgrader's. `course grade` does without: its workers need no database.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import sqlalchemy as sa
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float

from course.base.removal import remove
from course.grading.pipeline import assignment, outcomes, restore, sanitize, settlement, submission
from course.grading.pipeline.assignment import Assignment, SourceNotebook
from course.grading.pipeline.execute import Settings, execute
from course.grading.sandbox import zygote


class RestoreCells(NbGraderPreprocessor):
    """Give a submitted notebook its own grade cells back; takes the place of OverwriteCells and DeduplicateIds."""

    def preprocess(self, nb: NotebookNode, resources):
        """Restore one notebook; what was mended is logged."""
        restored, notes = restore.restore(nb, _asked(self, resources["nbgrader"])[1])
        for note in notes:
            self.log.warning("%s: %s", resources["nbgrader"]["notebook"], note)
        return restored, resources


class ExecuteInSandbox(NbGraderPreprocessor):
    """Run student cells in a sandbox and questions in a trusted process; takes the place of Execute."""

    cell_s = Float(Settings.cell_s, help="The longest processor time of one student cell, in seconds.").tag(config=True)
    cell_wall_s = Float(Settings.cell_wall_s, help="The longest time of one student cell by the clock.").tag(
        config=True
    )
    sandboxed = Bool(True, help="False runs students' code without a sandbox: it can do all that you can.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources):
        """Run one notebook in a copy of its folder that holds no notebook, for those have hidden tests by now."""
        asked, source = _asked(self, resources["nbgrader"])
        nb, _ = restore.restore(nb, source)  # again: what is run as trusted code must come from there
        place = Path(resources["metadata"]["path"])
        files = _without_notebooks(place)
        os.environ[zygote.ENVIRONMENT] = submission.warm()
        top = Path(tempfile.mkdtemp(prefix="course-work-"))  # nothing of this class lies above it
        try:
            folder = top / "work"
            submission.lay_out(folder, files)
            settings = Settings(self.cell_s, cell_wall_s=max(self.cell_s, self.cell_wall_s), sandboxed=self.sandboxed)
            notes = execute(nb, folder, settings, given=asked.given | asked.questions).notes
            work = submission.Work("", {}, asked, settings)
            notes += settlement.settle(nb, lambda: submission.of_solution(work, source))
            for note in notes:
                self.log.warning("%s: %s", resources["nbgrader"]["notebook"], note)
            _take_over(files, _without_notebooks(folder), place)
        finally:
            remove(top)
        return nb, resources


class Sanitize(NbGraderPreprocessor):
    """Take out of an executed notebook what an instructor's browser would run."""

    def preprocess(self, nb: NotebookNode, resources):
        """Clean one notebook; see `course.grading.pipeline.sanitize`."""
        sanitize.notebook(nb)
        return nb, resources


def _without_notebooks(folder: Path) -> dict[str, bytes]:
    found = outcomes.handed_in(folder).files
    return {name: data for name, data in found.items() if not name.lower().endswith(".ipynb")}


def _take_over(before: dict[str, bytes], after: dict[str, bytes], place: Path) -> None:
    """The next notebook goes on from here: bring a folder to what this one left, notebooks excepted."""
    for name in before.keys() - after.keys():
        with contextlib.suppress(OSError):
            (place / name).unlink()
            for parent in Path(name).parents[:-1]:
                (place / parent).rmdir()  # empty ones only, so that a file can take their place
    for name, data in after.items():
        if before.get(name) != data:
            try:
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)
            except (OSError, ValueError) as error:  # a name that is a notebook's, or cannot be written here
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise


def _asked(preprocessor: NbGraderPreprocessor, names: dict) -> tuple[Assignment, SourceNotebook]:
    """What the gradebook knows of the lab, and of the notebook that is graded."""
    engine = sa.create_engine(names["db_url"])
    with engine.connect() as connection:
        found = assignment.load(connection, _source(preprocessor, names["assignment"]))
    engine.dispose()
    source = next((notebook for notebook in found.notebooks if notebook.name == names["notebook"]), None)
    if source is None:
        raise LookupError(f"{names['notebook']} is no notebook of {names['assignment']}")
    return found, source


def _source(preprocessor: NbGraderPreprocessor, lab: str) -> Path:
    config = preprocessor.config.CourseDirectory
    return Path(config.root, config.source_directory, lab)
