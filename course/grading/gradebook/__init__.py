"""nbgrader's database and its stock commands."""
