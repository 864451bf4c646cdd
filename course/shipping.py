"""How a student's work leaves the notebook: answers, files, modules, artifact folders, repositories.

`%load_ext course.shipping` gives a notebook the cell magics `%%ship` and `%%draft`. All that is shipped lies in one
folder, `shipped/` beside the notebook; grades are given to what is there and to nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import linecache
import math
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from course.base import atomic
from course.base.blanks import STUB
from course.base.errors import UserError

ANSWERS = "answers.json"
MAX_ANSWERS_BYTES = 2**20
SUBMIT_MAGIC = "course.student.submit_magic"  # %submit, known here by its name alone


class ShippingError(UserError):
    """Something could not be shipped; the message says what to do."""

    heading = "Not shipped"


def folder() -> Path:
    """The folder of shipped files: `shipped/` in the current folder, or what COURSE_SHIPPED names."""
    path = Path(os.environ.get("COURSE_SHIPPED") or Path.cwd() / "shipped")
    return (
        path.parent.resolve() / path.name
    )  # the folder itself may not be a link: whoever reads it with care sees that


def save(name: str, content: str | bytes) -> Path:
    """Ship one file, whole or not at all.

    Args:
        name: its path below the folder of shipped files, with `/`.
        content: text (stored as UTF-8) or bytes.

    Returns:
        Where it is.

    Raises:
        ShippingError: the path leads out of the folder.
    """
    return _write(folder(), name, content)


def _write(top: Path, name: str, content: str | bytes) -> Path:
    path = _below(top, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ShippingError(
            f"{name!r} needs a folder where there is a file; move that file or choose another name."
        ) from None
    atomic.write(path, content.encode() if isinstance(content, str) else content, concurrent=True, mode=0o644)
    return path


@contextlib.contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Let one process at a time change what is in a folder, where the system has such locks."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _below(top: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "~")) or ".." in parts or "\\" in name:
        raise ShippingError(
            f"{name!r} must be a path inside the lab's folder, such as features.py or late-flights/Makefile."
        )
    path = top.joinpath(*parts)
    if path.is_dir():
        raise ShippingError(f"{name!r} is a folder; name a file in it.")
    return path


class Answers(MutableMapping[str, Any]):
    """The student's short answers, kept in shipped/answers.json: `answers["late_rate"] = 0.24`.

    Numbers, text, True, False, None, dates, and lists, dictionaries, arrays and Series of them can be an answer.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or not key:
            raise ShippingError(f"an answer has a name, such as answers['late_rate']; got {key!r}.")
        plain = _plain(value, key)
        with _one_at_a_time(folder()):
            answers = self._load()
            answers[key] = plain
            self._save(answers)

    def __getitem__(self, key: str) -> Any:
        return self._load()[key]

    def __delitem__(self, key: str) -> None:
        with _one_at_a_time(folder()):
            answers = self._load()
            del answers[key]
            self._save(answers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __repr__(self) -> str:
        return f"answers({self._load()!r})"

    def _load(self) -> dict[str, Any]:
        path = folder() / ANSWERS
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            stored = None
        if not isinstance(stored, dict):
            kept = path.with_name("answers.broken.json")
            os.replace(path, kept)
            raise ShippingError(
                f"{path} was not readable and is now {kept.name}; run the cells that set the answers again."
            )
        return stored

    def _save(self, answers: dict[str, Any]) -> None:
        text = json.dumps(answers, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        if len(text.encode()) > MAX_ANSWERS_BYTES:
            raise ShippingError(
                "the answers take more than 1 MiB together; an answer is a number, a word or a short table."
            )
        save(ANSWERS, text)


answers = Answers()


def _plain(value: Any, key: str) -> Any:
    """A value as JSON holds it, or a ShippingError that names the answer."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        value = value.item() if not isinstance(value, np.datetime64 | np.timedelta64) else pd.Timestamp(value)
        return _plain(value, key)
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        raise ShippingError(
            f"answers[{key!r}] would be {value}; an answer must be a value. Look for missing data on the way."
        )
    if isinstance(value, int | float):
        return value
    if isinstance(value, pd.Timestamp) or hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, np.ndarray | pd.Index):
        items = value.tolist()
        return [_plain(item, key) for item in items] if isinstance(items, list) else _plain(items, key)
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item, key) for item in items]
    if isinstance(value, dict | pd.Series):
        plain = {str(label): _plain(item, key) for label, item in value.items()}
        if len(plain) < len(value):
            raise ShippingError(f"answers[{key!r}] has the same label twice, so one value would be lost.")
        return plain
    raise ShippingError(
        f"answers[{key!r}] is of type {type(value).__name__}, which an answer cannot hold; "
        "use a number, a text, a list or a dictionary of these."
    )


@contextlib.contextmanager
def artifact(name: str) -> Iterator[Path]:
    """A new folder that replaces the shipped folder `name` when the block ends well.

    Example:
        with artifact("model") as folder:
            joblib.dump(model, folder / "model.joblib")

    Yields:
        The empty folder to fill. When the block raises, what was shipped before stays as it was.
    """
    target = _below(folder(), f"{name}/_").parent
    if target == folder():
        raise ShippingError(f"an artifact has a folder of its own, such as 'model'; got {name!r}.")
    with atomic.replacing_folder(target, concurrent=True) as fresh:
        yield fresh
        if not any(fresh.iterdir()):
            raise ShippingError(f"the folder for {name!r} is still empty; write its files inside the with block.")


def ship_repository(path: str) -> None:
    """Ship the committed history of a git work tree as one file, shipped/<its name>.bundle.

    Args:
        path: the folder of the work tree, below the lab's folder.

    Raises:
        ShippingError: there is no git, no repository at that very place, or no commit in it.
    """
    tree = _below(Path.cwd(), f"{path}/_").parent
    if not (tree / ".git").exists():
        raise ShippingError(f"{path} is no git repository yet; run git init in it, add the files and commit.")
    if _git(tree, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode:
        raise ShippingError(f"{path} has no commit yet; git add what belongs to the project, then git commit.")
    target = _below(folder(), f"{tree.name}.bundle")
    with atomic.replacing(target, concurrent=True) as fresh:
        _git(tree, "bundle", "create", "--quiet", str(fresh), "HEAD", "--branches")
    count = _git(tree, "rev-list", "--count", "HEAD").stdout.strip()
    print(f"shipped {target.name}: {count} commit{'s' * (count != '1')}")
    left = _git(tree, "status", "--porcelain").stdout.splitlines()
    if left:
        names = ", ".join(line[3:] for line in left[:5]) + (", …" if len(left) > 5 else "")
        print(f"not shipped, because not committed: {names}")


def _git(tree: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise ShippingError("git is not installed; `make doctor` says how to get it.") from None
    if check and done.returncode:
        raise ShippingError(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done


def load_ipython_extension(shell) -> None:
    """Give a notebook `%%ship`, `%%draft` and `%submit`, and let it import shipped modules (after all others)."""

    def ship(line: str, cell: str) -> None:
        __tracebackhide__ = True  # IPython shows no frame of it
        _ship_magic(shell, line, cell)

    shell.register_magic_function(ship, "cell", "ship")
    shell.register_magic_function(_draft_magic, "cell", "draft")
    shell.extension_manager.load_extension(SUBMIT_MAGIC)
    shell.set_custom_exc((NotImplementedError,), _not_solved_yet)
    shell.events.register("post_run_cell", _keeper_of_answers(shell))
    place = str(folder())
    if place not in sys.path:
        sys.path.append(place)


def _keeper_of_answers(shell) -> Callable[[Any], None]:
    """After each cell: a dictionary that took the place of `answers` ships what it holds, and gives the place back."""
    bound = False

    def after(_result: Any) -> None:
        nonlocal bound
        now = shell.user_ns.get("answers")
        if now is answers:
            bound = True
        elif bound and isinstance(now, Mapping):
            shell.user_ns["answers"] = answers
            try:
                answers.update(now)
            except ShippingError as error:
                print(f"not shipped: {error}")
            else:
                names = ", ".join(map(str, now)) or "nothing"
                print(f"answers = … would have replaced what ships; it was kept, and took over: {names}.")
                print('Better: answers["name"] = …')

    return after


def _ship_magic(shell, line: str, cell: str) -> None:
    """%%ship [--no-run] PATH: write this cell to shipped/PATH; run it here too, if it is a Python module."""
    __tracebackhide__ = True  # an error in the cell is shown from the cell's own line on
    path, name, run = ship_cell(line, cell)
    if path.suffix != ".py" or not path.stem.isidentifier():  # gunicorn.conf.py is Python, and no module
        print(f"shipped {name}")
        if STUB in cell:
            print(f"Not solved yet: it still holds {STUB}.")
        return
    _forget(path)
    if run:
        code = compile(cell, str(path), "exec", dont_inherit=True)  # this module's __future__ is not the student's
        exec(code, shell.user_ns)
    print(f"shipped {name}")


def ship_cell(line: str, cell: str) -> tuple[Path, str, bool]:
    """Write the file that a `%%ship` cell holds; nothing is run.

    Args:
        line: what stands behind `%%ship`: the file's path below the folder of shipped files, perhaps `--no-run`.
        cell: the rest of the cell.

    Returns:
        Where the file is, its name, and whether the cell asks to be run, too.

    Raises:
        ShippingError: the line does not name one file, or it cannot be written.
    """
    words = _words(line)
    names = [word for word in words if not word.startswith("--")]
    if len(names) != 1 or set(words) - set(names) - {"--no-run"}:
        raise ShippingError(f"write %%ship and the name of one file, such as %%ship features.py; got %%ship {line}")
    return save(names[0], _for_make(names[0], cell)), names[0], "--no-run" not in words


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ShippingError(f"the name of the file cannot be read ({error}); got {line}") from None


def _forget(path: Path) -> None:
    """Make the next import of a shipped module read what was just shipped, and leave modules of the same name alone.

    Other shipped modules are read again, too: they may hold functions of the old edition, which pickle refuses.
    """
    top = f"{folder()}{os.sep}"
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(top):
            del sys.modules[name]
    # bytecode is told apart by size and second only, too coarse for two runs of a cell
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    importlib.invalidate_caches()
    linecache.checkcache(str(path))


def _draft_magic(line: str, cell: str) -> None:
    """%%draft PATH: write this cell to PATH in the lab's folder; a draft is not shipped."""
    words = _words(line)
    if len(words) != 1:
        raise ShippingError(
            f"write %%draft and the name of one file, such as %%draft late-flights/Makefile; got %%draft {line}"
        )
    _write(Path.cwd(), words[0], _for_make(words[0], cell))
    print(f"wrote {words[0]}")


def _not_solved_yet(shell, kind, error, trace, tb_offset=None) -> list[str]:
    """What IPython shows of NotImplementedError: for a blank that nobody filled in, a sentence and no traceback."""
    frames = traceback.extract_tb(trace)
    if error.args or not frames or "raise NotImplementedError()" not in (frames[-1].line or ""):
        shown = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    elif frames[-1].name == "<module>":
        shown = [
            "Not solved yet: this cell is yours.",
            "Put your answer in place of the line raise NotImplementedError(), and run it again.",
            "Run All stops here; the cells below run one at a time with Shift+Enter.",
        ]
    else:
        shown = [f"Not solved yet: {frames[-1].name}() still holds raise NotImplementedError(); write its body."]
    shell._showtraceback(kind, error, shown)
    return shown


def _for_make(name: str, cell: str) -> str:
    """make wants a tab before each command, and a notebook's editor writes spaces: set the tabs in a Makefile."""
    if PurePosixPath(name).name != "Makefile":
        return cell
    text, count = re.subn(r"^(?: {8}| {4}|\t)[ ]*(?=\S)", "\t", cell, flags=re.MULTILINE)
    if count and text != cell:
        print("spaces before commands became tabs, as make wants them")
    return text
