"""Where student code runs when it is graded: namespaces, system calls, limits, warm processes."""
