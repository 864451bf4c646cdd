"""Programs that run in a clean environment, each alone by its path; none of them may import the course."""
