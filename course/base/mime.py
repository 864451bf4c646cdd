"""The media types of what cells of notebooks show."""

RESULT = "application/vnd.course.result+json"
"""The record of a question's result; docs/results.md describes it."""
