"""A student's model store, tried in a worker: `store("store.py").trial()` is a new store, with artifacts made for it.

The near side of `store_trials`: it makes the artifacts, knows what they hold, and puts into words what went wrong.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from course import shipping
from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.model.models import _unmet
from course.checks.python.modules import ask, explain

SUMS = "SHA256SUMS"
MOST_STEPS = 60
MAX_BYTES = 200 * 2**20
_TRIALS = "course.sandboxed.store_trials"
_METHODS = {"add", "names", "find", "promote", "demote", "production"}


def store(name: str = "store.py", *, timeout: float = 12.0) -> Stores:
    """A shipped module with a `ModelStore`; it is started at the first trial.

    Args:
        name: the module, below the folder of shipped files.
        timeout: how long one call may take, in seconds.
    """
    return Stores(name, timeout=timeout)


class Stores:
    """The near side of a shipped `ModelStore`."""

    def __init__(self, name: str, *, timeout: float = 12.0) -> None:
        self.name, self.module = name, name.removesuffix(".py").replace("/", ".")
        self._timeout = timeout
        self._worker: Worker | None = None
        self._count = itertools.count(1)

    def trial(self) -> Trial:
        """A new, empty store."""
        return Trial(self, f"trial{next(self._count)}")

    def shipped(self, folder: str = "store") -> Trial:
        """A copy of a store that was shipped.

        Raises:
            Unmet: there is no such folder.
        """
        reading.listing(folder, most=5000, links=True)
        trial = self.trial()
        self.request("take", folder=str(shipping.folder() / folder), trial=trial.key)
        return trial

    def locate(self, digests: dict[str, str], folder: str = "store") -> str:
        """The folder below a shipped store that holds exactly some files.

        Args:
            digests: name → SHA-256, as :meth:`Trial.find` returns them.
            folder: the shipped store.

        Raises:
            CheckFailed: no folder does.
        """
        groups: dict[str, dict[str, str]] = {}
        for path in reading.listing(folder, most=5000, links=True):
            place, _, name = path.rpartition("/")
            if name in digests:
                content = reading.read(f"{folder}/{path}", max_bytes=MAX_BYTES)
                groups.setdefault(place, {})[name] = hashlib.sha256(content).hexdigest()
        for place, found in groups.items():
            if found == digests:
                return f"{folder}/{place}" if place else folder
        fail(f"find() does not lead to a folder in {folder}", hint="keep each artifact as a folder of its files")

    def request(self, function: str, **arguments: Any) -> Any:
        """Call a function of `store_trials`.

        Raises:
            Unmet: the module is missing or cannot be imported.
        """
        reading.read(self.name)
        try:
            if self._worker is None or self._worker.process.poll() is not None:
                self._worker = Worker(timeout=self._timeout)
                started = ask(self._worker, self.name, "use", name=_TRIALS)
                if "error" in started:
                    raise RuntimeError(f"the course's trials did not start: {started['error']}")
            answer = ask(self._worker, self.name, "call", function=function, args=[], kwargs=arguments)
            if "error" in answer:
                raise explain(answer["error"], self.name, self.name)
        except CheckFailed as error:
            raise _unmet(f"{self.name} can be used", error) from None
        return answer["ok"]


class Sample:
    """An artifact made for a trial.

    Attributes:
        name: of its folder.
        files: name → content.
        digests: name → SHA-256, for all files.
    """

    def __init__(self, name: str, contents: dict[str, bytes]) -> None:
        self.name, self.files = name, contents
        self.digests = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}


class Trial:
    """One store in a folder of its own. Each call opens it anew, as another program would."""

    def __init__(self, stores: Stores, key: str) -> None:
        self._stores, self.key = stores, key
        self._made = itertools.count(1)

    def artifact(self, *, size: int = 3000, change: dict[str, bytes | None] | None = None) -> Sample:
        """Make an artifact folder with checksums that agree.

        Args:
            size: of its model, in bytes.
            change: files that are changed, added or (None) taken away after the checksums were written.
        """
        number = next(self._made)
        content = random.Random(f"{self.key} {number}").randbytes(size)
        contents = {"model.joblib": content, "metrics.json": b'{"number": %d}\n' % number, "card.md": b"# A model\n"}
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())]
        contents[SUMS] = "".join(lines).encode()
        for name, data in (change or {}).items():
            if data is None:
                del contents[name]
            else:
                contents[name] = data
        sample = Sample(f"{self.key}-{number}", contents)
        encoded = {name: base64.b64encode(data).decode() for name, data in contents.items()}
        self._stores.request("artifact", name=sample.name, files=encoded)
        return sample

    def lines_for(self, folder: str, sample: Sample) -> bytes:
        """A SHA256SUMS that names the files of an artifact by their way through a folder, such as "../other"."""
        names = [name for name in sample.digests if name != SUMS]
        return "".join(f"{sample.digests[name]}  {folder}/{name}\n" for name in names).encode()

    def promoted(self, *names: str) -> None:
        """Promote one after the other, whatever comes of it."""
        for name in names:
            self._raw("promote", [name])

    def add(self, name: str, sample: Sample) -> None:
        """Add an artifact; fail if it is refused."""
        self._call("add", [name, sample.name])

    def names(self) -> list[str]:
        """The names of its models."""
        value = self._call("names", [])
        if not isinstance(value, list):
            fail("names() returns no list", expected="a list of names", actual=value)
        return value

    def find(self, which: str) -> dict[str, str]:
        """The files that are found under a name: name → digest.

        Raises:
            CheckFailed: it is refused, or what comes is no folder.
        """
        answer = self._answer("find", [which])
        if not isinstance(answer.get("files"), dict):
            fail(f"find({which!r}) leads to no folder", actual=answer.get("value"), hint="it returns the folder's path")
        return answer["files"]

    def promote(self, name: str) -> None:
        """Put a model into production."""
        self._call("promote", [name])

    def demote(self) -> None:
        """Take back the last promotion."""
        self._call("demote", [])

    def production(self) -> str | None:
        """The name of the model in production."""
        return self._call("production", [])

    def refuses(self, method: str, *args: Any, because: str) -> None:
        """Fail unless a call raises a StoreError.

        Args:
            method, args: the call; an artifact among the arguments stands for its folder.
            because: what is wrong with the call, as the student reads it.
        """
        answer = self._raw(method, self._plain(args))
        shown = f"{method}({', '.join(repr(arg) if isinstance(arg, str) else 'an artifact' for arg in args)})"
        if "raised" not in answer:
            got = answer.get("value", answer.get("files", "done"))
            fail(
                f"{shown} raises nothing, though {because}", expected="StoreError", actual=f"it returned {got!r}"[:300]
            )
        if not answer.get("store_error"):
            got = f"{answer.get('raised')}: {answer.get('message')}"[:300]
            fail(
                f"{shown} raises something else than a StoreError, though {because}", expected="StoreError", actual=got
            )

    def links(self) -> list[str]:
        """The links in the store's folder: their paths below it."""
        found = self._stores.request("links", trial=self.key)
        return [str(path) for path in found] if isinstance(found, list) else []

    def tamper(self, sample: Sample, file: str = "model.joblib", content: bytes = b"changed") -> None:
        """Change a file of an added artifact inside the store."""
        encoded = base64.b64encode(content).decode()
        count = self._stores.request("tamper", trial=self.key, digest=sample.digests[file], content=encoded)
        if not count:
            fail(f"{file} of an added artifact is nowhere in the store's folder", hint="the store keeps a copy of it")

    def holds(self, name: str, sample: Sample) -> None:
        """Fail unless a name leads to all files of an artifact, unchanged."""
        found = self.find(name)
        for file, digest in sample.digests.items():
            if file not in found:
                fail(f"find({name!r}) leads to a folder without {file}", actual=", ".join(found)[:200] or "nothing")
            if found[file] != digest:
                fail(f"{file} of {name} is not the file that was added")

    def killed(self, method: str, *args: Any) -> Iterator[int]:
        """Kill a writer before its first, its second, … operation on files, until one gets to its end.

        Yields:
            The number of the operation, after each kill.
        """
        for step in range(1, MOST_STEPS):
            place = {"method": method, "args": self._plain(args), "step": step}
            outcome = self._process("killed_at", **place)
            if not outcome.get("killed"):
                self._no_error(outcome, method)
                return
            yield step
        fail(f"{method}() does not finish", hint="it makes more and more files, or tries again without end")

    def full_disk(self, method: str, *args: Any, room: int, kill: bool = False) -> dict[str, Any]:
        """Call a method while files cannot grow over some bytes; with `kill` the writer is killed at that moment."""
        return self._process("full_disk", method=method, args=self._plain(args), room=room, kill=kill)

    def at_once(self, *writers: Sequence[tuple], pause: float = 0.002) -> None:
        """Let several processes make calls at the same moment; fail if a call of theirs fails.

        Args:
            writers: for each the calls that it makes: ("add", name, artifact), ("promote", name), …
            pause: how long each waits before each of its operations on files, in seconds.
        """
        steps = [[[method, self._plain(args)] for method, *args in writer] for writer in writers]
        about = {"module": self._stores.module, "trial": self.key, "writers": steps, "pause": pause}
        for outcome in self._stores.request("at_once", **about):
            if outcome.get("hangs"):
                fail("two writers at the same time wait for each other without end")
            self._no_error(outcome, "a call, made by two processes at the same time,")

    def rivals(self, *calls: tuple, pause: float = 0.01) -> list[dict[str, Any]]:
        """Let several processes make one call each at the same moment, of which some must be refused.

        Args:
            calls: ("add", name, artifact), …
            pause: how long each waits before each of its operations on files, in seconds.

        Returns:
            For each call an empty dictionary where it ended well, else what it raised: {"raised", "store_error", …}.
        """
        steps = [[[method, self._plain(args)]] for method, *args in calls]
        about = {"module": self._stores.module, "trial": self.key, "writers": steps, "pause": pause}
        outcomes = self._stores.request("at_once", **about)
        if not isinstance(outcomes, list) or len(outcomes) != len(calls):
            raise Unmet(f"{self._stores.name} can be used", "it answered in a form that the check cannot read")
        if any(outcome.get("hangs") for outcome in outcomes):
            fail("two writers at the same time wait for each other without end")
        return [outcome if "raised" in outcome else {} for outcome in outcomes]

    def _process(self, function: str, **details: Any) -> dict[str, Any]:
        outcome = self._stores.request(function, module=self._stores.module, trial=self.key, **details)
        if not isinstance(outcome, dict):
            fail(f"{self._stores.name} answered in a form that the check cannot read")
        if outcome.get("hangs"):
            fail(
                f"{details['method']}() waits without end after another writer was killed",
                hint="whose lock does it wait for? A lock of flock ends with its process; a lock file stays",
            )
        return outcome

    def _plain(self, args: Sequence[Any]) -> list[Any]:
        return [arg.name if isinstance(arg, Sample) else arg for arg in args]

    def _raw(self, method: str, args: list[Any]) -> dict[str, Any]:
        if method not in _METHODS:
            raise ValueError(f"{method!r} is no method of a store")
        answer = self._stores.request("call", module=self._stores.module, trial=self.key, method=method, args=args)
        if not isinstance(answer, dict):
            raise Unmet(f"{self._stores.name} can be used", "it answered in a form that the check cannot read")
        return answer

    def _answer(self, method: str, args: list[Any]) -> dict[str, Any]:
        answer = self._raw(method, args)
        self._no_error(answer, f"{method}({', '.join(repr(arg) for arg in args[:1])})")
        return answer

    def _call(self, method: str, args: list[Any]) -> Any:
        return self._answer(method, args).get("value")

    def _no_error(self, answer: dict[str, Any], what: str) -> None:
        if "raised" not in answer:
            return
        kind, message, line = (answer.get(key) for key in ("raised", "message", "line"))
        if kind == "NotImplementedError":
            fail(f"{what} is not written yet", hint="this is the place for your code")
        place = f" (line {line})" if isinstance(line, int) else ""
        fail(f"{what} raises {str(kind)[:100]}{place}: {str(message)[:300]}".rstrip(": "))
