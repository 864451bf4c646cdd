"""Workers that grade many submissions at once: processes of this machine, or a Dask cluster by address.

A worker that dies is replaced. As nobody can tell whose submission killed it, each of those that were being graded is
tried again on its own; one that kills its worker again is handed to a person.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from course.base.errors import UserError
from course.grading.pipeline.scratch import scratch
from course.grading.sandbox import policy, zygote

if TYPE_CHECKING:
    from course.grading.pipeline.submission import SubmissionOutcome, Work

CONNECT_S = 10  # how long a Dask scheduler may take to answer
FATAL = (policy.NoSandbox, KeyboardInterrupt)


class WorkerPoolError(UserError):
    """The workers cannot be started or reached; the message says what to do."""


class WorkerPool:
    """Workers for submissions. Use it as a context manager.

    Args:
        workers: how many; by default one more than there are processors, for each also waits for its kernels.
        cluster: the address of a Dask scheduler, such as tcp://host:8786; by default processes of this machine.
        grade: what a worker does; by default :func:`course.grading.pipeline.submission.grade`.
        warm: keep a zygote for the workers of this machine.
        modules: what the zygote imports besides what every notebook needs.

    Raises:
        WorkerPoolError: there is no cluster at that address, or dask.distributed is not installed.
    """

    def __init__(
        self,
        workers: int | None = None,
        cluster: str | None = None,
        grade: Callable[[Work], SubmissionOutcome] | None = None,
        warm: bool = True,
        modules: Sequence[str] = (),
    ) -> None:
        self.warm = warm
        self.modules = modules
        self.grade: Callable[[Work], SubmissionOutcome] = grade or _grade
        self.cluster = cluster
        self.width = workers or processors() + 1
        self._client: Any = None
        self._executor: Executor | None = None
        self._zygote: zygote.Zygote | None = None
        self._scratch = contextlib.ExitStack()
        self._starved: deque[tuple[Work, str]] = deque()  # for which the machine had no time
        self._lifeline: Any = None  # workers end when it is closed

    def __enter__(self) -> WorkerPool:
        with contextlib.ExitStack() as begun:
            begun.enter_context(scratch())
            if self.cluster:
                self._client = _client(self.cluster)
                self.width = max(1, sum(self._client.nthreads().values()))
            elif self.warm:
                # it gets warm while there is other work, such as to import what grades
                self._zygote = zygote.Zygote(self.modules, wait=False)
            self._scratch = begun.pop_all()  # whatever fails above, the folder goes at once
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._scratch:
            self._stop(now=kind is not None)
            if self._client is not None:
                self._client.close()
            if self._zygote is not None:
                self._zygote.close()

    def outcomes(self, works: Iterable[Work]) -> Iterator[tuple[Work, SubmissionOutcome]]:
        """Grade all; yield each as soon as it is done, in no particular order.

        Raises:
            sandbox.NoSandbox: there is no sandbox, and the settings want one.
            ZygoteError: warm processes cannot be started here.
            OSError: a worker's disk is full.
        """
        source = iter(works)
        running: dict[Future, Work] = {}
        again: deque[tuple[Work, str]] = deque()
        self._starved.clear()
        for work in source:
            running[self._submit(work)] = work
            if len(running) < self.width + 1:  # one more, so that no worker waits for the next
                continue
            yield from self._finished(running, again)
            yield from self._retried(again)
        while running:
            yield from self._finished(running, again)
        yield from self._retried(again)
        yield from self._retried(self._starved)  # now each has the machine to itself

    def _finished(self, running: dict[Future, Work], again: deque) -> Iterator[tuple[Work, SubmissionOutcome]]:
        """Wait for at least one; when a worker died, all that were running wait for their second try."""
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        broken = False
        for future in done:
            work = running.pop(future)
            try:
                outcome = future.result()
            except FATAL:
                raise
            except BrokenExecutor:
                broken = True
                again.append((work, "the worker died"))
            except Exception as error:
                if _is_full(error):
                    raise
                again.append((work, f"{type(error).__name__}: {error}"))
            else:
                if outcome.starved or outcome.late:
                    self._starved.append((work, "a given cell or a question was stopped"))
                else:
                    yield work, outcome
        if broken:
            for future in list(running):
                with contextlib.suppress(Exception):
                    if future.done() and not future.cancelled() and not future.exception():
                        continue
                again.append((running.pop(future), "the worker died"))
            self._stop()

    def _retried(self, again: deque) -> Iterator[tuple[Work, SubmissionOutcome]]:
        """The second try, each on its own; what fails again goes to a person."""
        while again:
            work, _ = again.popleft()
            try:
                outcome = self._submit(work).result()
                if outcome.starved:
                    outcome.hand_to_person()
                yield work, outcome
            except (*FATAL, zygote.ZygoteError):  # twice: it is not the submission
                raise
            except BrokenExecutor:
                self._stop()
                yield work, _given_up(work, "grading it ended the worker process twice; a person must look")
            except Exception as error:
                if _is_full(error):
                    raise
                reason = f"grading it failed twice ({type(error).__name__}: {error}); a person must look"
                yield work, _given_up(work, reason[:500])

    def _submit(self, work: Work) -> Future:
        if self._executor is None:
            self._executor = self._start()
        try:
            return self._executor.submit(self.grade, work)
        except BrokenExecutor:
            failed: Future = Future()
            failed.set_exception(BrokenExecutor())
            return failed

    def _start(self) -> Executor:
        if self._client is not None:
            return self._client.get_executor(pure=False, retries=0)
        if self._zygote is not None:
            with contextlib.suppress(zygote.ZygoteError):  # each worker tries for itself, and says so
                self._zygote.wait_until_ready()
        from course.grading.pipeline import submission  # noqa: F401  each fork has it imported

        # there are no threads here, and no open connections
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        end, self._lifeline = context.Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks where a test runner has threads
            executor = ProcessPoolExecutor(
                self.width,
                mp_context=context,
                initializer=_begin,
                initargs=(self._zygote.path if self._zygote else "", tempfile.gettempdir(), end, self._lifeline),
            )
            executor.submit(os.getpid).result()  # all workers start now, before anything else does
        end.close()
        return executor

    def _stop(self, *, now: bool = False) -> None:
        """End the workers: when they are done or, where that may take long, at once."""
        if now and self._lifeline is not None:
            self._lifeline.close()
        if self._executor is not None:
            if self._client is None:
                self._executor.shutdown(cancel_futures=True)
            else:
                self._executor.shutdown(wait=False)
            self._executor = None
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None


# What grades takes long to import, and the zygote starts before it.
def _grade(work: Work) -> SubmissionOutcome:
    from course.grading.pipeline import submission

    return submission.grade(work)


def _given_up(work: Work, reason: str) -> SubmissionOutcome:
    from course.grading.pipeline import submission

    return submission.given_up(work, reason)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _begin(path: str, scratch: str, lifeline: Any, far_end: Any) -> None:
    """In a new worker: use the parent's zygote and scratch folder, and end when the parent ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and decides
    far_end.close()
    os.environ[zygote.ENVIRONMENT] = path
    tempfile.tempdir = scratch

    def end_with_parent() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _client(address: str) -> Any:
    try:
        from dask.distributed import Client
    except ModuleNotFoundError:
        raise WorkerPoolError("grading on a cluster needs dask.distributed, which make env installs") from None
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkerPoolError(f"no Dask scheduler answers at {address} ({error}); start one: dask scheduler") from None
