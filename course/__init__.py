"""What notebooks import (`flights`, `shipping`, `checks`, `figures`) and what instructors run (`grading`, `cli`)."""
