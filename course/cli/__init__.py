"""The `course` command: thin verbs over the modules that do the work, one file an audience. Nothing imports it.

What a verb needs is imported when it runs, so that `course --help` answers at once, and so that the students' bundle,
which has no instructors' modules, keeps the verbs that students use.
"""

from course.cli import author, instructor, student  # their verbs join the group
from course.cli.group import main

__all__ = ["author", "instructor", "main", "student"]
