"""A bound on processor time and memory while something that somebody else wrote is read: `with budget(10, 512): …`.

Limits on size come first, and code whose cost grows no faster than its input. This is the net below both: it ends what
was overlooked. The time is the processor's, in the main thread, so a busy machine makes no difference. On Windows, and
in other threads, only the limits on size hold.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

SECONDS = 10.0
MEGABYTES = 768
_AGAIN_S = 0.05  # an exception that is raised within a finaliser is lost, so it is raised again
_active = False


class BudgetExceeded(Exception):
    """It took more than it may; the message says of what, such as "more than 10 seconds of processor time"."""


@contextlib.contextmanager
def budget(seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Iterator[None]:
    """Bound what a block may take. A block within a bounded one shares the bound of the outer one.

    Args:
        seconds: of processor time.
        megabytes: of memory, beyond what the process has (on Linux).

    Raises:
        BudgetExceeded: it took more.
    """
    global _active
    if _active:
        yield
        return
    _active = True
    try:
        with _memory(megabytes), _time(seconds):
            yield
    except MemoryError:
        raise BudgetExceeded(f"more than {megabytes} MiB of memory") from None
    finally:
        _active = False


@contextlib.contextmanager
def _time(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    started, running = time.thread_time(), True

    def end(_signal: int, _frame: FrameType | None) -> None:
        # the timer counts all threads of the process; this handler runs in the main thread
        if running and time.thread_time() - started >= seconds:
            raise BudgetExceeded(f"more than {seconds:g} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_S)
    try:
        yield
    finally:
        running = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if before is None else before)


@contextlib.contextmanager
def _memory(megabytes: int) -> Iterator[None]:
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + megabytes * 2**20
    lower = before[0] == resource.RLIM_INFINITY or most < before[0]
    if lower:
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        if lower:
            resource.setrlimit(resource.RLIMIT_AS, before)
