"""Questions, their results, what a check can expect, and the processes behind which student code runs."""
