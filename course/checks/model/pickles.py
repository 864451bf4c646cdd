"""Pickles for and against students' code: hostile ones are put together here, and each is opened only in a worker.

What is hostile here does no harm: it makes an empty file in the folder in which it is opened, the worker's own. Uses
`files`, `modules`, `models` and `processes`. Lab 02 judges with it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pickle
import pickletools
import tempfile
import uuid
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.base.removal import remove
from course.checks.core.expectations import Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.python.modules import Function, Module, Reply, ask, explain, family_of, module

MAX_BYTES = 50 * 2**20
MAX_OPCODES = 1_000_000
_READER = "course.sandboxed.artifact_reader"
SUMS = "SHA256SUMS"
READING_FAILS = ("ValueError", "UnpicklingError")  # what reading a damaged pickle may raise
_ALARMING = {"os", "posix", "nt", "subprocess", "builtins.eval", "builtins.exec", "runpy", "shutil", "socket"}
_FORMS = {
    b"PK\x03\x04": "a zip file",
    b"\x1f\x8b": "compressed (gzip)",
    b"x\x01": "compressed (zlib)",
    b"x^": "compressed (zlib)",
    b"x\x9c": "compressed (zlib)",
    b"x\xda": "compressed (zlib)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"]\x00\x00": "compressed (lzma)",
    b"\x93NUMPY": "a NumPy file",
    b"\x08\x08\x12": "an ONNX file",
}


# -- what was shipped --------------------------------------------------------------------------------------------------


def shipped(name: str) -> bytes:
    """The bytes of a shipped file that is one whole, plain pickle which does not ask for anything alarming.

    Nothing is opened. This tells mistakes apart; it does not prove that a pickle is harmless.

    Raises:
        Unmet: it is missing, or something else; the message says what.
    """
    data = reading.read(name, max_bytes=MAX_BYTES)
    if (problem := what_is_wrong(data)) is not None:
        hint = "write it with pickle.dump(model, file), and ship all of it"
        raise Unmet(f"{name} is one whole pickle", f"{name} {problem}", hint=hint)
    return data


def what_is_wrong(data: bytes) -> str | None:
    """Why bytes are no plain, whole, harmless-looking pickle, as the end of a sentence; None when they are one."""
    if not data:
        return "is empty"
    for start, form in _FORMS.items():
        if data.startswith(start):
            return f"is {form}, not a plain pickle"
    texts, end, last = [], 0, ""
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if count == MAX_OPCODES:
                return f"holds more than {MAX_OPCODES:,} steps, far more than a model of this course"
            end, last = (position or 0) + 1, opcode.name
            if isinstance(argument, str):
                texts.append(argument)
    except Exception:  # whatever pickletools stumbles over
        cut = f"is damaged or cut off: after byte {end:,} of {len(data):,} it cannot be read"
        return cut if data.startswith(b"\x80") and end > 2 else "is no pickle"
    if last != "STOP":
        return "is cut off: it has no end"
    if end != len(data):
        more = len(data) - end
        return f"goes on for {more:,} bytes after its end, which readers of pickles do not see (joblib.dump does so)"
    for first, second in itertools.pairwise([*texts, ""]):
        asked = first.replace(" ", ".", 1) if " " in first else f"{first}.{second}"
        if first in _ALARMING or asked in _ALARMING or asked.split(".")[0] in _ALARMING:
            return f"names {asked.rstrip('.')}, which no model needs: it may run any program when it is opened"
    return None


def opened(name: str) -> Any:
    """What a shipped pickle gives when a process of its own opens it: plain data.

    Raises:
        Unmet: it is missing, or opening it raises an error, or it is something else than plain data.
    """
    data = reading.read(name, max_bytes=2**16)
    title = f"{name} can be opened"
    worker = Worker()
    try:
        ask(worker, name, "use", name="pickle")
        answer = ask(worker, f"opening {name}", "call", function="loads", args=[data], kwargs={})
    finally:
        worker.close()
    if "error" in answer:
        error = explain(answer["error"], f"opening {name}", name)
        raise Unmet(title, error.reason, hint="disassemble it with pickletools.dis: what is on the stack at the end?")
    return answer["ok"]


# -- hostile ones ------------------------------------------------------------------------------------------------------


class _Call:
    """Pickles as a call of a function, the usual way of those who mean harm."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def text(value: str) -> bytes:
    """The opcode that puts a text on the stack."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + len(data).to_bytes(4, "little") + data


def name(module_name: str, attribute: str) -> bytes:
    """The opcodes that put what a module calls by a name on the stack, as protocol 4 does."""
    return text(module_name) + text(attribute) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """The opcodes that call a function and leave what it returns."""
    return function + b"(" + b"".join(arguments) + b"tR"


def whole(body: bytes) -> bytes:
    """Opcodes as a pickle of protocol 4."""
    return b"\x80\x04" + body + b"."


def command(marker: str) -> str:
    """A harmless command for a shell: it makes an empty file."""
    return f"echo ran > {marker}"


def statement(marker: str) -> str:
    """A harmless expression of Python: it makes an empty file."""
    return f"open({marker!r}, 'w').close()"


def protocols(marker: str) -> dict[str, tuple[bytes, str]]:
    """One call of os.system in each protocol: title → pickle, the name that it asks for ("posix.system" on Linux)."""
    found = {}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(_Call(os.system, command(marker)), protocol=protocol)
        found[f"os.system, protocol {protocol}"] = data, f"{os.system.__module__}.system"
    return found


def disguised(marker: str) -> dict[str, tuple[bytes, str]]:
    """Calls written in other ways: title → pickle, a name that it asks for and that no model needs."""
    shell, line = text(command(marker)), statement(marker).encode()
    memo = text("system") + b"\x94" + b"0" + text("os") + b"\x940" + b"h\x01h\x00\x93"  # put aside, fetched by number
    decoy = text("os") + text("system") + text("numpy") + text("ndarray") + b"00\x93"
    numbered = b"\x8c\x02osr\x05\x00\x01\x000\x8c\x06systemq\x070j\x05\x00\x01\x00h\x07\x93"
    system = call(name("builtins", "getattr"), call(name("builtins", "__import__"), text("os")), text("system"))
    doubled = text("os") + b"2" + b"0" + text("system") + b"\x93"
    return {
        "builtins.eval": (pickle.dumps(_Call(eval, statement(marker))), "builtins.eval"),
        "builtins.exec": (pickle.dumps(_Call(exec, statement(marker))), "builtins.exec"),
        "builtins.getattr": (whole(call(system, shell)), "builtins.getattr"),
        "INST": (b"(V" + line + b"\nibuiltins\neval\n.", "builtins.eval"),
        "OBJ": (b"(cbuiltins\neval\nV" + line + b"\no.", "builtins.eval"),
        "names from the memo": (whole(call(memo, shell)), "os.system"),
        "names from the memo, by long numbers": (whole(call(numbered, shell)), "os.system"),
        "a decoy on the stack": (whole(call(decoy, shell)), "os.system"),
        "a text twice on the stack": (whole(call(doubled, shell)), "os.system"),
        "in an allowed package": (
            whole(call(name("sklearn._config", "os.system"), shell)),
            "sklearn._config.os.system",
        ),
        "a helper of NumPy": (
            whole(call(name("numpy.testing._private.utils", "runstring"), text(statement(marker)), b"}")),
            "numpy.testing._private.utils.runstring",
        ),
        "a program of its own": (
            whole(call(name("subprocess", "call"), b"(" + text("touch") + text(marker) + b"l")),
            "subprocess.call",
        ),
    }


def inside(model: bytes, payload: bytes) -> bytes:
    """A model's pickle that also does something else when it is opened, and is the same model then.

    Args:
        model: a plain, whole pickle.
        payload: opcodes that leave one value on the stack.
    """
    return model[:-1] + payload + b"0."


# -- a student's loading.py --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """What came of letting a student's code load a folder.

    Attributes:
        reply: what it returned or raised.
        ran: whether the code in the folder's files left its mark.
    """

    reply: Reply
    ran: bool

    @property
    def refused(self) -> bool:
        """It raised the exception that the exercise names."""
        return self.reply.raised("Refused")

    def must_be_refused(self, what: str, *, hint: str | None = None) -> None:
        """Pass if the folder was refused and nothing in it ran.

        Args:
            what: what was wrong with it, as the beginning of a sentence.
        """
        if self.ran:
            fail(f"{what}: the code in it ran", expected="refused before anything runs", hint=hint)
        if self.reply.error is None:
            fail(f"{what}: it was loaded", expected="Refused", hint=hint)
        if not self.refused:
            actual = f"{self.reply.error}: {self.reply.message}" if self.reply.message else self.reply.error
            fail(f"{what}: it failed in another way", expected="Refused, with a reason", actual=actual, hint=hint)


class Loading:
    """Lays out folders of files, and lets a function of a shipped module load them: `Loading("loading.py", "predict")`.

    Args:
        module_name: the shipped module.
        function: a function of it that takes the path of a folder, as text, and flights.
        timeout: how long each call may take, in seconds.
    """

    def __init__(self, module_name: str, function: str, *, timeout: float = 20.0) -> None:
        self._top = Path(tempfile.mkdtemp(prefix="course-"))
        self._top.chmod(0o755)
        self._remove = weakref.finalize(self, remove, self._top)
        self._module = module(module_name, timeout=timeout, readable=[self._top])
        self._function = Function(self._module, function)
        self._name = module_name
        self._timeout = timeout
        self._steps: Worker | None = None
        self._count = itertools.count(1)

    def marker(self) -> str:
        """A new name for the file by which code betrays that it ran."""
        return f"ran-{next(self._count)}"

    def attempt(
        self, content: Mapping[str, bytes], flights: Any, *, marker: str = "", sums: Mapping[str, bytes] | None = None
    ) -> Attempt:
        """Lay out a folder and let the student's code load it.

        Args:
            content: the folder's files, by name.
            flights: planned flights to predict.
            marker: what the code in it would leave behind if it ran.
            sums: the files by which SHA256SUMS is made; those of the folder by default. Empty: there is none.

        Raises:
            CheckFailed: the module cannot be imported, or the process ended.
        """
        folder = self._lay_out(content, sums)
        reply = self._function.reply(str(folder), flights)
        return Attempt(reply, bool(marker) and ran(self._module, marker))

    def step(
        self, function: str, content: Mapping[str, bytes], *, marker: str = "", sums: Mapping[str, bytes] | None = None
    ) -> Attempt | None:
        """Lay out a folder, and let one of the module's functions look at it, such as `check_sums(folder)`.

        Args:
            function: it takes the folder as a path.
            content, marker, sums: see :meth:`attempt`.

        Returns:
            What came of it; None where the module has no such function.

        Raises:
            CheckFailed: the module cannot be imported, or the process ended.
        """
        folder = self._lay_out(content, sums)
        if self._steps is None or self._steps.process.poll() is not None:
            self._steps = Worker(timeout=self._timeout, readable=[self._top])
            ask(self._steps, self._name, "use", name=_READER)
        module_name = self._name.removesuffix(".py").replace("/", ".")
        arguments = {"module": module_name, "function": function, "folder": str(folder)}
        answer = ask(self._steps, f"{function}()", "call", function="step", args=[], kwargs=arguments)
        left = bool(marker) and os.path.lexists(self._steps.home / marker)
        error = answer.get("error")
        if isinstance(error, dict):
            about = (str(error.get("type"))[:100], str(error.get("message") or "")[:500])
            return Attempt(Reply(None, *about, answer, family_of(error)), left)
        found = answer.get("ok")
        absent = isinstance(found, dict) and found.get("absent") is True
        return None if absent else Attempt(Reply(found, None, "", answer), left)

    def _lay_out(self, content: Mapping[str, bytes], sums: Mapping[str, bytes] | None) -> Path:
        folder = self._top / uuid.uuid4().hex[:12]
        folder.mkdir(mode=0o755)
        everything = {**content, SUMS: checksums(content if sums is None else sums)}
        if sums == {}:
            del everything[SUMS]
        for name_, data in everything.items():
            (folder / name_).write_bytes(data)
            (folder / name_).chmod(0o644)
        return folder


def checksums(content: Mapping[str, bytes]) -> bytes:
    """The text of SHA256SUMS for some files, as sha256sum writes it."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items()))
    return "".join(lines).encode()


def ran(loaded: Module, marker: str) -> bool:
    """Whether code that was not to run left its mark in the folder of a module's process."""
    return loaded._worker is not None and os.path.lexists(loaded._worker.home / marker)


def folder_of(name: str, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """The files of a shipped folder, without its checksums.

    Args:
        name: the folder, below that of shipped files.
        wanted: files that must be there.

    Raises:
        Unmet: one is missing, or the files are too large together.
    """
    sizes = reading.listing(name)
    if sum(sizes.values()) > MAX_BYTES:
        raise Unmet(f"{name} is shipped", f"{name} is too large", expected=f"at most {MAX_BYTES >> 20} MiB")
    for one in wanted:
        reading.read(f"{name}/{one}", max_bytes=MAX_BYTES)
    plain = [one for one in sizes if "/" not in one and one != SUMS and not one.startswith(".")]
    return {one: reading.read(f"{name}/{one}", max_bytes=MAX_BYTES) for one in plain}


def with_versions(content: Mapping[str, bytes], **changed: str | None) -> dict[str, bytes]:
    """A folder's files with other versions recorded: `python="3.8.1"`, `scikit_learn="0.24.2"`; None takes one out."""
    recorded = json.loads(content["versions.json"])
    packages = recorded["packages"]
    for key, version in changed.items():
        place, key = (recorded, key) if key == "python" else (packages, key.replace("_", "-"))
        if version is None:
            place.pop(key, None)
        else:
            place[key] = version
    return {**content, "versions.json": json.dumps(recorded).encode()}
