"""The far side of the zygote: imports the libraries once, then forks a process for each request. See `zygote`.

It runs no student code and reads no request: each fork reads its own. It is started as a program.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from course.grading.sandbox import entry_points, namespaces
from course.grading.sandbox.namespaces import View
from course.grading.sandbox.resource_monitor import Limits
from course.grading.sandbox.zygote import MAX_REQUEST

WARM = (
    *("pandas", "pyarrow", "numpy", "sklearn.pipeline", "sklearn.linear_model", "sklearn.ensemble", "sklearn.metrics"),
    *("sklearn.compose", "sklearn.preprocessing", "sklearn.impute", "sklearn.calibration", "sklearn.model_selection"),
    *("sklearn.datasets", "sklearn.dummy", "sklearn.inspection", "sklearn.tree", "pandas.io.formats.html"),
    *("matplotlib.pyplot", "matplotlib_inline.backend_inline", "PIL.PngImagePlugin", "scipy.stats", "joblib", "yaml"),
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "tornado.platform.asyncio"),
    # what IPython imports only when a shell starts, shows an error or sees its first magic
    *("IPython.core.completer", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger"),
    *("IPython.core.oinspect", "IPython.core.pylabtools", "IPython.extensions.storemagic", "IPython.utils.wildcard"),
    *("IPython.core.magics.execution", "IPython.core.magics.extension", "IPython.core.magics.pylab"),
    *("IPython.core.magics.ast_mod", "stack_data", "pygments.formatters.terminal256"),
    *("course.flights", "course.shipping", "course.student.submit_magic", "course.figures", "course.checks"),
    "course.sandboxed.worker",
    *("course.checks.core.serving", "course.grading.sandbox.entry_points", "course.grading.sandbox.launcher"),
)
_MAX_DESCRIPTORS = 16
_LARGE = 2 << 20
_OBJECTS_MB = 110  # what the small objects of all that is imported take
_MADV_COLLAPSE = 25


def _serve(path: str, ready: int, modules: list[str]) -> NoReturn:
    """Import, listen, fork.

    A module that is not installed is passed over: the notebook that needs it says so. The client of Kubernetes must not
    be among them: it reads KUBECONFIG when it is imported, and here there is none.
    """
    namespaces.die_with_parent()
    together = _objects_side_by_side()
    entry_points.warm_up()
    for name in WARM:
        importlib.import_module(name)
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    del together
    gc.collect()
    gc.freeze()
    _use_large_pages()
    os.write(ready, b"!")
    os.close(ready)
    here = os.getpid()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):  # the one who asks notices that nobody answers
            if os.fork() == 0:
                listener.close()
                _answer(connection, here)


def _objects_side_by_side() -> list[bytes]:
    """Have Python take the memory for its objects in one piece, not bit by bit between the libraries' own.

    Returns:
        A few objects all over it, which make Python keep it. What is imported then fills it.
    """
    return [bytes(464) for _ in range(_OBJECTS_MB * 2000)][::1000]  # of 512 bytes each with what Python adds


def _use_large_pages() -> None:
    """Put the heap into pages of 2 MiB, whose tables a fork copies in less time. A kernel before Linux 6.1 refuses."""
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, _, _, inode, *_ = line.split()
        start, end = (int(number, 16) for number in place.split("-"))
        start, end = -(-start // _LARGE) * _LARGE, end // _LARGE * _LARGE
        if rights == "rw-p" and inode == "0" and start < end:
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)


def _view_from_json(data: dict[str, Any]) -> View:
    paths = {key: tuple(map(Path, data[key])) for key in ("readable", "writable", "hidden")}
    return View(**paths, limits=Limits(**data["limits"]), uid=data["uid"], bwrap=data["bwrap"])


def _answer(connection: socket.socket, parent: int) -> NoReturn:
    """In the fork: read what is asked for, and be it. The zygote reads nothing, so no fork remembers others."""
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST, _MAX_DESCRIPTORS)
        if not message:  # somebody looked whether we are here
            os._exit(0)
        request = json.loads(message)
        connection.send(struct.pack("<i", os.getpid()))
        connection.close()
        _become(request, descriptors, parent)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(namespaces.SETUP_FAILED)


def _become(request: dict[str, Any], descriptors: list[int], parent: int) -> NoReturn:
    """Set the file descriptors, enter the sandbox, and be what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control = _arrange(request["numbers"], descriptors)
    kind, arguments, env, cwd = request["kind"], request["arguments"], request["env"], Path(request["cwd"])

    def payload() -> NoReturn:
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        tempfile.tempdir = None  # the zygote's own is remembered
        getattr(entry_points, kind)(arguments)
        os._exit(0)

    if request["view"] is None:
        namespaces.run_trusted(cwd, payload, control, parent)
    view = _view_from_json(request["view"])
    if view.bwrap is not None:
        namespaces.run_bwrap(view, cwd, entry_points.cold(kind, arguments), env, control, parent)
    namespaces.run(view, cwd, payload, control, parent)


def _arrange(numbers: list[int], descriptors: list[int]) -> int:
    """Put each received descriptor at its number, /dev/null at the rest of 0 to 2, and close all others."""
    high = 1000  # out of the way of every wanted number
    control, *given = [os.dup2(descriptor, high + place) for place, descriptor in enumerate(descriptors)]
    null = os.open(os.devnull, os.O_RDWR)
    wanted = dict.fromkeys((0, 1, 2), null) | dict(zip(numbers, given, strict=True))
    for number, descriptor in wanted.items():
        os.dup2(descriptor, number, inheritable=True)
    for descriptor in range(3, high + len(descriptors)):
        if descriptor not in wanted and descriptor != control:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    return control


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
