"""What every room of the course stands on: errors, files, names. The standard library alone, and quick to import."""
