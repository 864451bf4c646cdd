"""The arena of the attacks: a question with hidden checks, secrets that lie about, and someone who grades.

Every attack is a small notebook. `arena.grade` grades it as the engine does; `arena.unprotected` runs all its cells in
one ordinary kernel, as stock nbgrader would, which shows that the attack is real.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from course.base.removal import remove
from course.base.result import MIME
from course.grading.pipeline.execute import Settings, execute
from course.grading.sandbox import policy, zygote
from course.grading.sandbox.kernels import WarmKernelManager
from course.grading.sandbox.resource_monitor import Limits
from course.labs import runner, source
from course.labs.judgement import judge

CANARY = "canary-4f1d"
HIDDEN_NUMBER = "917.25"
QUESTION = f'''
from course.checks import Question, answer, expect, module

question = Question("Attacked", points=4)
f = module("f.py", timeout=3)

@question.check(1)
def answers():
    """the answer is right"""
    expect(answer("x")).is_close(41)

@question.check(1)
def doubles_two():
    """f doubles 2"""
    expect(f.f(2)).equals(4)

@question.check(2, hidden=True)
def doubles_all():
    """f doubles any number"""
    # {CANARY}-hidden-tests
    for number in (17, {HIDDEN_NUMBER}, -4):
        expect(f.f(number)).equals(2 * number)

'''
GRADE_CELL = source.grade_cell("q")
FILES = '''
from course.checks import Question, document, expect, model, text
import pandas as pd

question = Question("Files", points=4)

@question.check(1)
def a_document():
    """the document is right"""
    expect(document("project.yaml")).equals({"name": "late"})

@question.check(1)
def a_text():
    """the text is right"""
    expect(text("notes.txt")).contains("right")

@question.check(2)
def a_model():
    """the model predicts"""
    p = model("model", timeout=5).predict_proba(pd.DataFrame({"a": [1.0, 2.0, 3.0]}))
    expect(p).is_between(0.2, 0.8)

'''
HONEST = ["answers['x'] = 41", "%%ship f.py\ndef f(x):\n    return 2 * x"]
LIMITS = Limits(memory_mb=900, processes=64, scratch_mb=32, disk_mb=48, inodes=2000, file_mb=40, cpu_s=60)
SETTINGS = Settings(cell_s=2, notebook_s=16, cell_wall_s=5, notebook_wall_s=40, limits=LIMITS)
FIRST = "%load_ext course.shipping\nfrom course.shipping import answers"


@dataclass
class Graded:
    """What came of an attack: score, all that the student or the instructor could read, notes, how long, the record."""

    score: float | None
    printed: str
    shown: str
    notes: list[str]
    seconds: float
    record: str
    notebook: nbformat.NotebookNode


class Arena:
    """A place with secrets, a zygote, and a fresh folder for each attack."""

    QUESTION, FILES, SETTINGS, GRADE_CELL = QUESTION, FILES, SETTINGS, GRADE_CELL

    def __init__(self, top: Path) -> None:
        self.top = top
        self.tmp = top / "t"  # short: the path of a socket may have 107 characters
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self._plant()
        self._listen()
        secret = {"PATH": os.environ["PATH"], "SECRET": f"{CANARY}-environment"}
        self.bystander = subprocess.Popen(["sleep", "9999"], env=secret)
        self.zygote = zygote.Zygote()

    def _plant(self) -> None:
        self.tmp.mkdir()
        secrets = ("gradebook.db", "solutions/01.ipynb", "holdout.parquet", "neighbour/shipped/answers.json")
        for name in (*secrets, "neighbour/shipped/f.py"):
            place = self.top / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"# {CANARY}-{name}")
        (self.top / "neighbour/shipped/answers.json").write_text('{"x": 41}')
        (self.top / "neighbour/shipped/f.py").write_text("def f(x):\n    return 2 * x\n")
        (self.top / "neighbour/secret.txt").write_text(f"{CANARY}-neighbour")
        self.before = self.state()

    def _listen(self) -> None:
        self.heard: list[str] = []
        self.sockets = []
        self.unix = str(self.top / "engine.sock")
        self.abstract = f"course-arena-{os.getpid()}"
        places = [
            (socket.AF_UNIX, self.unix),
            (socket.AF_UNIX, f"\0{self.abstract}"),
            (socket.AF_INET, ("127.0.0.1", 0)),
        ]
        for family, address in places:
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.bind(address)
            listener.listen(16)
            self.sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        os.chmod(self.unix, 0o666)
        self.port = self.sockets[2].getsockname()[1]

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    self.heard.append(str(listener.getsockname()))
                    connection.sendall(f"{CANARY}-socket".encode())

    def state(self) -> dict[str, bytes]:
        """All that must not change."""
        found = {}
        for folder, folders, names in os.walk(self.top):
            folders[:] = [name for name in folders if Path(folder, name) != self.tmp]
            places = (Path(folder, name) for name in names)
            found.update({str(path): path.read_bytes() for path in places if path.is_file()})
        return found

    def close(self) -> None:
        self.zygote.close()
        self.bystander.kill()
        self.bystander.wait()
        for listener in self.sockets:
            listener.close()
        remove(self.top)

    def fill(self, attack: str) -> str:
        """Put the arena's places into an attack: an attacker may guess or know all of them."""
        names = {
            "TOP": self.top, "UNIX": self.unix, "ABSTRACT": self.abstract, "PORT": self.port, "CANARY": CANARY,
            "HIDDEN": HIDDEN_NUMBER, "ZYGOTE": self.zygote.path, "PID": os.getpid(),
        }  # fmt: skip
        for name, value in names.items():
            attack = attack.replace(f"@{name}@", str(value))
        return attack

    def folder(self) -> Path:
        place = self.tmp / f"w{next(self.numbers)}"
        place.mkdir()
        return place

    def notebook(self, cells: list[str], after: list[str]) -> nbformat.NotebookNode:
        code = nbformat.v4.new_code_cell
        marks = {"grade": True, "solution": False, "locked": True, "points": 4, "grade_id": "q", "schema_version": 3}
        graded = code(GRADE_CELL, metadata={"nbgrader": {**marks, "task": False}})
        made = [code(self.fill(text)) for text in (FIRST, *cells)]
        return nbformat.v4.new_notebook(cells=[*made, graded, *(code(self.fill(text)) for text in after)])

    def grade(self, cells: list[str], *, question: str = QUESTION, after=(), settings=SETTINGS, prepare=None) -> Graded:
        """Grade as the engine does."""
        nb, folder = self.notebook(cells, list(after)), self.folder()
        if prepare is not None:
            prepare(folder)
        began = time.monotonic()
        secret = {"COURSE_TEST_SECRET": f"{CANARY}-environment"}
        notes = execute(nb, folder, settings, secret, given={"checks/q.py": question.encode()}).notes
        seconds = time.monotonic() - began
        remove(folder)
        return self.read(nb, notes, seconds)

    def unprotected(self, cells: list[str], *, question: str = QUESTION, after=()) -> Graded:
        """Run everything in one ordinary kernel, as nbgrader does."""
        nb, folder = self.notebook(cells, list(after)), self.folder()
        secret = {**os.environ, "COURSE_TEST_SECRET": f"{CANARY}-environment", "TMPDIR": str(folder)}
        (folder / "checks").mkdir()
        (folder / "checks" / "q.py").write_text(question)
        began = time.monotonic()
        runner.run(nb, folder, runner.Policy(WarmKernelManager, secret, cell_s=60))
        return self.read(nb, [], time.monotonic() - began)

    def read(self, nb: nbformat.NotebookNode, notes: list[str], seconds: float) -> Graded:
        printed, shown = [], []
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                text = output.get("text") or "\n".join([output.get("evalue", ""), *output.get("traceback", [])])
                text += "\n".join(str(value) for value in output.get("data", {}).values())
                (shown if cell.metadata.get("nbgrader", {}).get("grade") else printed).append(text)
        graded = next(cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade"))
        records = [output.data[MIME] for output in graded.outputs if MIME in output.get("data", {})]
        record = json.dumps(records[-1]) if records else "{}"
        return Graded(judge(graded).score, "\n".join(printed), "\n".join(shown), notes, seconds, record, nb)

    def children(self) -> list[int]:
        """The processes that the zygote forked and that still live."""
        pid = self.zygote._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def check_nothing_is_left(self) -> None:
        """No process, no file but the attack's own folder, nothing changed, nobody called."""
        deadline = time.monotonic() + 5
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.children() == []
        left = [path.name for path in self.tmp.iterdir() if not re.fullmatch(r"w\d+|course-zygote-.*", path.name)]
        assert left == []
        assert self.state() == self.before
        assert self.heard == []


@pytest.fixture(scope="session")
def _arena():
    if sys.platform != "linux" or policy.why_not():
        pytest.skip(f"there is no sandbox here: {policy.why_not()}")
    top = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    top.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        _settle(patch, top / "t")
        made = Arena(top)
    yield made
    made.close()


def _settle(patch: pytest.MonkeyPatch, tmp: Path) -> None:
    """Temporary files go to the arena, and the environment holds a secret."""
    patch.setenv("TMPDIR", str(tmp))
    patch.setattr(tempfile, "tempdir", None)
    patch.setenv("COURSE_ARENA_SECRET", f"{CANARY}-environment")


@pytest.fixture
def arena(_arena, monkeypatch):
    """The arena, which must be as it was when the attack is over. Nothing of it reaches other tests."""
    _settle(monkeypatch, _arena.tmp)
    monkeypatch.setenv(zygote.ENVIRONMENT, _arena.zygote.path)
    monkeypatch.setattr(runner, "STOP_S", 2.0)
    _arena.heard.clear()
    yield _arena
    _arena.check_nothing_is_left()
