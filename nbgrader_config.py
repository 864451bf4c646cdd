"""nbgrader's settings for this course; stock commands such as `nbgrader autograde 01_python_model` use them too.

solutions/ is the source and labs/ the release. All that belongs to one class (submissions, grades, feedback) is under
classroom/, which git ignores. Students have this file too; without solutions/ only what they need is set.
"""

import os
import sysconfig
from pathlib import Path

from nbgrader.preprocessors import ClearOutput
from nbgrader.validator import Validator

from course.student.validate import ExecuteForValidation

ROOT = Path(__file__).resolve().parent
CLASSROOM = ROOT / "classroom"

# nbgrader calls `alembic` by name, which must work without an activated environment
os.environ["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"

c = get_config()  # noqa: F821, a name that traitlets gives

# -- for everyone: `nbgrader validate` and the Validate button ---------------------------------------------------------

Validator.preprocessors.tag(config=True)  # nbgrader has this list, but does not let it be set
c.Validator.preprocessors = [ClearOutput, ExecuteForValidation]
c.Validator.failed_warning = "{num_failed} QUESTION(S) DO NOT PASS YET. What follows says which checks, and why.\n"

# -- for instructors ---------------------------------------------------------------------------------------------------

if (ROOT / "solutions").is_dir():
    from nbconvert.preprocessors import ClearMetadataPreprocessor
    from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, IgnorePattern, LimitOutput

    from course.grading.gradebook.save_results import SaveResults
    from course.grading.gradebook.stock_commands import ExecuteInSandbox, RestoreCells, Sanitize
    from course.grading.reports.export_plugin import ExportGrades
    from course.labs.release import PREPROCESSORS

    CLASSROOM.mkdir(exist_ok=True)  # SQLite makes its file, not the folder

    c.CourseDirectory.root = str(ROOT)
    c.CourseDirectory.course_id = "late-flights"
    c.CourseDirectory.source_directory = "solutions"
    c.CourseDirectory.release_directory = "labs"
    c.CourseDirectory.submitted_directory = "classroom/submitted"
    c.CourseDirectory.autograded_directory = "classroom/autograded"
    c.CourseDirectory.feedback_directory = "classroom/feedback"
    c.CourseDirectory.db_url = f"sqlite:///{CLASSROOM / 'gradebook.db'}"
    c.CourseDirectory.ignore = [
        ".ipynb_checkpoints",
        "*.pyc",
        "__pycache__",
        ".pytest_cache",
        "checks",  # questions with hidden checks; ReleaseQuestions writes what students get of them
        # What running a source notebook in place left behind must never be copied over a submission: it is the
        # solution. nbgrader writes this path with the dot, and globs are compared as text.
        f"{ROOT}/solutions/./*/shipped",
        f"{ROOT}/solutions/./*/handed_over",
        f"{ROOT}/solutions/./*/late-flights",
    ]

    c.GenerateAssignment.preprocessors = PREPROCESSORS

    c.ExportApp.plugin_class = ExportGrades
    c.Autograde.sanitize_preprocessors = [ClearOutput, RestoreCells, CheckCellMetadata]
    c.Autograde.autograde_preprocessors = [
        ExecuteInSandbox,
        IgnorePattern,
        ClearMetadataPreprocessor,
        LimitOutput,
        SaveResults,
        AssignLatePenalties,
        Sanitize,
        CheckCellMetadata,
    ]
