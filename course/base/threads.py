"""How many threads numerical libraries may use in processes that the course starts: one.

Many processes run beside each other already; several threads on few processors make small models many times slower.
"""

from __future__ import annotations

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}
"""Environment variables for a child process."""
