"""What a confined process may ask of the kernel: a list of refused system calls (seccomp), and Landlock.

The second and third wall of the sandbox; the first are the namespaces of `namespaces`, which uses this module.
Linux only, standard library only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_SECCOMP = 22
_NEW_NAMESPACE = 0x7E020000  # every CLONE_NEW… flag that clone() takes
_EPERM, _ENOSYS = 1, 38
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}

# The same purpose in both columns: the numbers of x86_64, those of aarch64.
_REFUSED = (
    ((101, 310, 311, 312, 438), (117, 270, 271, 272, 438)),  # other processes: ptrace, process_vm_*, kcmp, pidfd_getfd
    ((165, 166, 155, 161, 442), (40, 39, 41, 51, 442)),  # mount, umount2, pivot_root, chroot, mount_setattr
    ((428, 429, 430, 431, 432, 433, 467), (428, 429, 430, 431, 432, 433, 467)),  # the newer kin of mount
    ((272, 308), (97, 268)),  # unshare, setns
    (
        (246, 320, 175, 176, 313, 169, 167, 168),
        (104, 294, 105, 106, 273, 142, 224, 225),
    ),  # kexec, modules, swap
    ((248, 249, 250, 298, 321, 323), (217, 218, 219, 241, 280, 282)),  # keys, perf, bpf, userfaultfd
    ((425, 426, 427), (425, 426, 427)),  # io_uring
    ((164, 227, 305, 159), (170, 112, 266, 171)),  # the clocks
    ((170, 171, 163, 153), (161, 162, 89, 58)),  # host name, domain name, accounting, vhangup
    ((304, 303), (265, 264)),  # files by handle
    ((103, 135, 179, 443), (116, 92, 60, 443)),  # the kernel's log, personality, quotas
    ((300, 301, 256, 279), (262, 263, 238, 239)),  # fanotify, moving the pages of processes
    ((29, 64, 68), (194, 190, 186)),  # System V shared memory, semaphores and queues: memory that no process shows
    ((154, 172, 173, 134, 180, 212), (42, 18)),  # relics of each machine
)
_ABSENT = (435, {"x86_64": 319, "aarch64": 279}, 447)  # clone3 (its flags cannot be looked at), memfd_*: fall back

_BLOCK, _CHARACTER = 1 << 11, 1 << 6
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_NEWEST = {1: 12, 2: 13, 3: 14, 4: 14}  # the highest right of each version; 15 from version 5 on


def is_known_machine() -> bool:
    """Whether there is a list of system calls for this machine."""
    return platform.machine() in _AUDIT


def refuse_system_calls() -> None:
    """Refuse, for good, system calls that no notebook needs and that kernel bugs like to live in.

    Raises:
        OSError: the kernel does not take the filter.
    """
    code = program()
    buffer = ctypes.create_string_buffer(code, len(code))
    block = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_SECCOMP, 2, block, 0, 0), "seccomp")


def program() -> bytes:
    """The filter as the kernel reads it."""
    machine = platform.machine()
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, refuse, absent = 0x7FFF0000, 0x80000000, 0x00050000 | _EPERM, 0x00050000 | _ENOSYS
    lines = [(load, 0, 0, 4), (equal, 1, 0, _AUDIT[machine]), (give, 0, 0, kill), (load, 0, 0, 0)]
    if machine == "x86_64":  # the x32 interface has other numbers
        lines += [(at_least, 0, 1, 0x40000000), (give, 0, 0, kill)]
    column = list(_AUDIT).index(machine)
    for number in sorted(number for row in _REFUSED for number in row[column]):
        lines += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    for number in (call if isinstance(call, int) else call[machine] for call in _ABSENT):
        lines += [(equal, 0, 1, number), (give, 0, 0, absent)]
    lines += [(equal, 0, 3, _CLONE[machine]), (load, 0, 0, 16), (any_bit, 0, 1, _NEW_NAMESPACE), (give, 0, 0, refuse)]
    lines += [(load, 0, 0, 0)]
    lines += [(equal, 0, 6, _SOCKET[machine]), (load, 0, 0, 16)]  # families: UNIX, INET, INET6 and NETLINK only
    lines += [(equal, 4, 0, 1), (equal, 3, 0, 2), (equal, 2, 0, 10), (equal, 1, 0, 16)]
    lines += [(give, 0, 0, refuse), (give, 0, 0, allow)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def landlock_version() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    return max(0, libc.syscall(444, None, 0, 1))


def confine_files(writable: Iterable[str]) -> None:
    """Allow, for good, to read everywhere and to write below the given paths only; keep signals among ourselves.

    What the kernel's version of Landlock does not know is left out; the mounts of `namespaces` say the same.

    Raises:
        OSError: the kernel has Landlock and does not take the rules.
    """
    version = landlock_version()
    if version == 0:
        return
    known = (2 << _NEWEST.get(version, 15)) - 1
    scoped = 3 if version >= 6 else 0  # abstract sockets and signals
    attributes = struct.pack("<QQQ", known, 0, scoped)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = libc.syscall(444, attributes, len(attributes), 0)
    check(min(rules, 0), "landlock_create_ruleset")
    all_but_devices = known & ~(_BLOCK | _CHARACTER)
    for path, rights in [("/", _READ), *((path, all_but_devices) for path in writable)]:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(path) else rights & _OF_FILES
        check(libc.syscall(445, rules, 1, struct.pack("<Qi", allowed & known, place), 0), f"landlock {path}")
        os.close(place)
    check(libc.syscall(446, rules, 0), "landlock_restrict_self")
    os.close(rules)


def check(result: int, what: str) -> None:
    """Raise what a system call complained about.

    Raises:
        OSError: the result is not 0.
    """
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
