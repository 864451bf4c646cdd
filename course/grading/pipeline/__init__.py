"""From a submission to its outcome: one submission, a class, the workers."""
