"""`python -m course.cli` is the `course` command."""

from course.cli import main

main()
