"""The sandbox: namespaces of its own, a file system of its own, no privileges, limits, and someone who watches.

Linux only, standard library only. `policy` decides what is visible; this module makes it so, with `system_calls` and
`resource_monitor`. The process that calls :func:`run` must have one thread. docs/security.md says what this promises.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from course.grading.sandbox import system_calls
from course.grading.sandbox.resource_monitor import DEFAULT, Limits, ProcessTree, Watch
from course.grading.sandbox.system_calls import check, libc

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
AT_RECURSIVE, AT_FDCWD = 0x8000, -100
SETUP_FAILED = 113  # exit status when the sandbox could not be made: never the student's fault
FREEZE, THAW = signal.SIGRTMIN + 1, signal.SIGRTMIN + 2  # asked of the supervisor, and by it of the first process
USED = signal.SIGRTMIN + 3  # asks the supervisor how much processor time was used
FREEZE_S = 10.0  # how long a stopped process may take to stop
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
DEVICES = ("null", "zero", "full", "random", "urandom")

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442


@dataclass(frozen=True)
class View:
    """What is visible inside: each path at its own place, and nothing else.

    Attributes:
        readable: files and folders to read.
        writable: folders to write. Each is a mount of its own: it cannot be renamed, removed or replaced inside.
        hidden: folders below a readable one that are empty inside.
        limits: what may be used.
        uid: the user id inside when the caller is root; an ordinary user keeps their own.
        bwrap: the bubblewrap program, where namespaces of our own are refused but its are not; None elsewhere.
    """

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()
    limits: Limits = DEFAULT
    uid: int = 1_900_000_000
    bwrap: str | None = None

    def tops(self) -> list[str]:
        """The writable folders that lie in no other one."""
        return [str(path) for path in self.writable if not set(path.parents) & set(self.writable)]


class SetupError(OSError):
    """The sandbox could not be made; the message names the step."""


def run(view: View, cwd: Path, payload: Callable[[], NoReturn], control: int, parent: int) -> NoReturn:
    """Run a function in a new sandbox, and end this process with it.

    Args:
        view: what is visible.
        cwd: the folder in which it starts, one of the visible ones.
        payload: what runs inside; it must not return.
        control: a connected socket. The other end gets `b"s"`, the status (4 bytes) and, if it was stopped, the reason;
            each byte that it sends is a signal number for the payload, or FREEZE or THAW, which stop and continue all
            that runs inside and are answered with `b"f"` and `b"t"`, or USED, answered with `b"u"` and the seconds of
            processor time (a double of 8 bytes); when it closes, everything inside is killed.
        parent: the process id of the one that forked this process; when that ends, everything inside is killed, too.
    """
    root = os.geteuid() == 0
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)  # ours, in which what is inside can be seen
    _unshare(user=not root)
    die_with_parent(parent)  # not before: a change of user clears it
    reading, telling = os.pipe()
    init = os.fork()
    if init == 0:
        for descriptor in (control, reading, proc):
            os.close(descriptor)
        _init(view, cwd, payload, root, telling)
    os.close(telling)
    _supervise(init, control, Watch(view.limits, view.tops(), proc, init, has_init=True), reading)


def run_bwrap(
    view: View, cwd: Path, command: Sequence[str], env: dict[str, str], control: int, parent: int
) -> NoReturn:
    """Run a program in a sandbox that bubblewrap makes; the rest is as for :func:`run`, without Landlock."""
    die_with_parent(parent)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(control)
        die_with_parent(supervisor)
        _limit(view.limits, processes=False)  # bubblewrap's user has other processes, too
        with tempfile.TemporaryFile() as file:
            file.write(system_calls.program())
            file.seek(0)
            os.set_inheritable(file.fileno(), True)
            arguments = bwrap_arguments(view, cwd, file.fileno())
            os.execve(view.bwrap, [view.bwrap, *arguments, "--", *command], env)
    _supervise(child, control, Watch(view.limits, view.tops(), proc, child))


def bwrap_arguments(view: View, cwd: Path, filter_from: int) -> list[str]:
    """How bubblewrap is told what is visible.

    Args:
        view: what is visible.
        cwd: where the program starts.
        filter_from: the file descriptor that holds the filter of system calls.
    """
    size = ("--size", str(view.limits.scratch_mb << 20), "--tmpfs")
    words = ["--unshare-all", "--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    words += ["--proc", "/proc", "--dev", "/dev", *size, "/dev/shm", *size, "/tmp", "--dir", "/run"]
    for path in sorted(set(view.readable)):
        link = os.path.islink(path)
        words += ["--symlink", os.readlink(path), str(path)] if link else ["--ro-bind-try", str(path), str(path)]
    for path in view.hidden:
        words += ["--tmpfs", str(path), "--remount-ro", str(path)] if path.is_dir() else []
    for path in view.writable:
        words += ["--bind", str(path), str(path)]
    return [*words, "--remount-ro", "/", "--seccomp", str(filter_from), "--chdir", str(cwd)]


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when its parent ends.

    Args:
        parent: the process id of the parent. When it has ended before the kernel was asked, this process ends now.
            None where the namespace or a pipe sees to that.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def run_trusted(cwd: Path, payload: Callable[[], NoReturn], control: int, parent: int) -> NoReturn:
    """Run a trusted function without a sandbox, in a session of its own, under the same control."""
    die_with_parent(parent)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(control)
        os.close(proc)
        die_with_parent(supervisor)
        os.setsid()
        os.chdir(cwd)
        payload()
    _supervise(child, control, ProcessTree(proc, child))


def _supervise(child: int, control: int, tree: ProcessTree, told: int | None = None) -> NoReturn:
    """Wait for a child and tell its status; pass signals on to it; kill it for an excess, or when nobody listens."""
    _keep_only(control, tree.proc, *([told] if told is not None else []))
    status, reason = _attend(child, control, tree)
    code = os.waitstatus_to_exitcode(status)
    if told is not None and reason is None:
        code, reason = _what_was_told(told, code)
    with contextlib.suppress(OSError):
        os.write(control, b"s" + struct.pack("<i", code) + (reason or "").encode()[:200])
    os._exit(0)


def _attend(child: int, control: int, tree: ProcessTree) -> tuple[int, str | None]:
    """The status of the child when it has ended, and why it was killed if it was."""
    watch = tree if isinstance(tree, Watch) else None
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll(watch.wait_ms() if watch else None):
            if descriptor == ended:
                return os.waitpid(child, 0)[1], None
            try:
                message = os.read(control, 1)
            except OSError:
                message = b""
            if message and message[0] == USED:
                with contextlib.suppress(OSError):
                    os.write(control, b"u" + struct.pack("<d", tree.processor_s()))
                continue
            if watch and message and message[0] in (FREEZE, THAW):
                if reason := _stop_or_continue(child, watch, message[0]):
                    os.kill(child, signal.SIGKILL)
                    return os.waitpid(child, 0)[1], reason
                with contextlib.suppress(OSError):
                    os.write(control, b"f" if message[0] == FREEZE else b"t")
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, message[0] if message else signal.SIGKILL)
            if not message:
                return os.waitpid(child, 0)[1], None
        if watch and watch.is_due() and (reason := watch.excess()):
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1], reason


def _stop_or_continue(init: int, watch: Watch, order: int) -> str | None:
    """Stop every process inside but the first, or let them go on; why that failed, in words that end a sentence."""
    if order == THAW:
        _ask(init, watch, THAW, signal.SIGCONT)
        return None
    deadline = time.monotonic() + FREEZE_S
    while True:
        _ask(init, watch, FREEZE, signal.SIGSTOP)
        for _ in range(5):
            if not watch.running():
                return None
            time.sleep(0.002)
        if time.monotonic() > deadline:
            return "could not be stopped while a question ran"


def _ask(init: int, watch: Watch, number: int, plain: int) -> None:
    """Have the first process signal all others at once, so that none escapes by forking; else signal each."""
    if watch.has_init:
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, number)
        return
    for pid in watch.others():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, plain)


def _what_was_told(told: int, code: int) -> tuple[int, str | None]:
    """The first process inside tells when all is ready, then the status of the payload, or what went wrong before."""
    message = os.read(told, 1000)
    if message[:1] == b"r":
        return (struct.unpack("<i", message[1:5])[0] if len(message) >= 5 else code), None
    return SETUP_FAILED, f"the sandbox could not be made: {message[1:].decode(errors='replace') or f'status {code}'}"


def _init(view: View, cwd: Path, payload: Callable[[], NoReturn], root: bool, telling: int) -> NoReturn:
    """The first process inside: builds the file system, starts the payload, reaps; all ends when it ends."""
    try:
        die_with_parent()
        os.umask(0o022)
        _build(view, view.uid if root else os.getuid())
        _loopback()
        libc.sethostname(b"sandbox", 7)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.chdir(cwd)
            _limit(view.limits)
            _give_up(view, root)
            for number in (*FORWARDED, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.write(telling, b"r")
            os.close(telling)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(telling, b"e" + str(error).encode()[:300])
        os._exit(SETUP_FAILED)
    if child == 0:
        payload()
        os._exit(0)
    for number in FORWARDED:
        signal.signal(number, lambda got, _: os.kill(child, got))
    signal.signal(FREEZE, lambda *_: _signal_all(signal.SIGSTOP))
    signal.signal(THAW, lambda *_: _signal_all(signal.SIGCONT))
    _keep_only(telling)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            os.write(telling, struct.pack("<i", os.waitstatus_to_exitcode(status)))
            os._exit(0)


def _signal_all(number: int) -> None:
    """Signal all processes of this namespace at once, but for this one, which is its first."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def _keep_only(*descriptors: int) -> None:
    """Close every file descriptor but the standard error and these, so that nothing inherited stays open."""
    keep = sorted({2, *descriptors})
    low = 0
    for descriptor in keep:
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0] if low < 65536 else low)


def _unshare(user: bool) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    check(libc.unshare(flags | (CLONE_NEWUSER if user else 0)), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, options)]
    result = libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    check(result, f"mount {target}")


def _set_flags(target: str, *, read_only: bool) -> None:
    """Make a mount and those below it nosuid, nodev and, where wanted, read-only."""
    attributes = (1 if read_only else 0) | 2 | 4
    block = struct.pack("<QQQQ", attributes, 0, 0, 0)
    result = libc.syscall(_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, block, len(block))
    check(result, f"mount_setattr {target}")


def _pivot(new: str, old: str) -> None:
    check(libc.syscall(_PIVOT_ROOT[platform.machine()], new.encode(), old.encode()), "pivot_root")
    os.chdir("/")


def _build(view: View, uid: int) -> None:
    """Make a file system that holds what the view names, and make it the root."""
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    os.makedirs("/tmp/old")
    os.makedirs("/tmp/new")
    _pivot("/tmp", "/tmp/old")
    new, old = "/new", "/old"
    _mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    scratch = f"mode=1777,size={view.limits.scratch_mb}m,nr_inodes=20k"
    for place in ("/tmp", "/dev/shm"):
        os.makedirs(new + place, exist_ok=True)
        _mount("tmpfs", new + place, "tmpfs", MS_NOSUID | MS_NODEV, scratch)
    for path in sorted(set(view.readable)):
        _bind(old, new, path, read_only=True)
    for path in view.hidden:
        if os.path.isdir(new + str(path)):
            _mount("tmpfs", new + str(path), "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "mode=755,size=4k")
    for path in view.writable:
        _bind(old, new, path, read_only=False)
    _write_accounts(Path(new, "etc"), uid)
    for device in DEVICES:
        Path(new, "dev", device).touch()
        _mount(f"{old}/dev/{device}", f"{new}/dev/{device}", None, MS_BIND)
    os.makedirs(new + "/dev/pts")
    _mount("devpts", new + "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    links = {"fd": "/proc/self/fd", "ptmx": "pts/ptmx"}
    links |= {name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
    for name, target in links.items():
        os.symlink(target, f"{new}/dev/{name}")
    os.makedirs(new + "/proc", exist_ok=True)
    with contextlib.suppress(OSError):  # refused inside some containers; then there is none
        _mount("proc", new + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.makedirs(new + "/run", exist_ok=True)
    _mount("none", new, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(new)
    _pivot(".", ".")
    check(libc.umount2(b".", MNT_DETACH), "umount the old root")
    os.chdir("/")


def _write_accounts(folder: Path, uid: int) -> None:
    """Tell names for the two users that there are inside, and of no other user of this machine."""
    folder.mkdir(exist_ok=True)
    people = f"root:x:0:0:root:/:/bin/sh\nstudent:x:{uid}:{uid}:student:/tmp:/bin/sh\n" if uid else ""
    (folder / "passwd").write_text(people or "root:x:0:0:root:/tmp:/bin/sh\n")
    (folder / "group").write_text(f"root:x:0:\nstudent:x:{uid or 65534}:\n")


def _bind(old: str, new: str, path: Path, *, read_only: bool) -> None:
    source, target = old + str(path), new + str(path)
    if os.path.islink(source):
        if not read_only:
            raise SetupError(40, f"{path} is a link, and cannot be a folder to write")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.symlink(os.readlink(source), target)
        return
    if not os.path.exists(source):
        if read_only:
            return
        raise SetupError(2, f"{path} does not exist")
    if os.path.isdir(source):
        if not os.path.isdir(target):
            os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    _mount(source, target, None, MS_BIND | MS_REC)
    _set_flags(target, read_only=read_only)


def _loopback() -> None:
    """Bring up 127.0.0.1, the only network inside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14s", b"lo", 1 | 64, b"")  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


def _limit(limits: Limits, *, processes: bool = True) -> None:
    """Set what the kernel enforces for each process."""
    wanted = {
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_AS: _addresses() + limits.memory_mb * 2**20,
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_FSIZE: limits.file_mb * 2**20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 * 2**10,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if processes:
        wanted[resource.RLIMIT_NPROC] = limits.processes
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _addresses() -> int:
    """How many bytes of addresses this process has already: libraries take many, and hardly any memory."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 2 << 30


def _give_up(view: View, root: bool) -> None:
    """Give up the user, all capabilities, most places to write and dangerous system calls, for good."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if root:
        os.setgroups([])
        os.setresgid(view.uid, view.uid, view.uid)
        os.setresuid(view.uid, view.uid, view.uid)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # /proc/self belongs to it again
    header = struct.pack("<II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    check(libc.capset(header, b"\0" * 24), "capset")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    die_with_parent()  # a change of user cleared it
    places = ("/tmp", "/dev/shm", "/dev/pts", *(f"/dev/{name}" for name in DEVICES))
    system_calls.confine_files([*map(str, view.writable), *places])
    system_calls.refuse_system_calls()


def supported() -> str | None:
    """Why this machine cannot make such a sandbox, or None when it can (tried for real)."""
    if sys.platform != "linux":
        return f"namespaces are Linux's; this is {sys.platform}"
    if not system_calls.is_known_machine():
        return f"no list of system calls for {platform.machine()}"
    ours, theirs = socket.socketpair()
    here = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 2)
            view = View((Path("/usr"), Path("/etc/ld.so.cache")), ())
            run(view, Path("/"), lambda: os._exit(0), theirs.detach(), here)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(theirs.fileno(), b"e" + str(error).encode())
        finally:
            os._exit(1)
    theirs.close()
    with ours:
        answer = ours.recv(1000)
    os.waitpid(pid, 0)
    if answer[:1] == b"s" and answer[1:5] == bytes(4):
        return None
    return answer[5 if answer[:1] == b"s" else 1 :].decode(errors="replace") or "no answer came"
