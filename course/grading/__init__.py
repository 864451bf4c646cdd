"""The engine behind grading, for instructors only: not in the students' zip. Notebooks never import it."""
