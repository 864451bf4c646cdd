"""What the tests of labs share: which labs there are, their notebooks run once per session, and kept submissions.

Two courses are tested: the repository itself, and a very small one under tests/fixtures on which the tools prove
themselves. Running a lab's solution takes long, so each notebook is run once a session, whatever the number of pytest
workers: the folder as it is after each notebook is kept and copied where it is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import pytest
import yaml
from jupyter_client.provisioning import KernelProvisionerFactory
from nbformat import NotebookNode

from course.base.threads import ONE_THREAD
from course.checks.core.loading import FOLDER
from course.grading.pipeline.execute import trusted_examiner
from course.grading.sandbox import policy, zygote
from course.labs import description, notebooks, release, runner, running, source
from course.labs.examiner import Examiner, plain

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = REPOSITORY / "tests" / "fixtures" / "course"
# what running a lab's notebooks needs: an engine, a cluster, packages of its own
NEEDS = {
    lab.name: [*lab.needs, *(["extras"] if lab.extra else [])] for lab in description.of_course(REPOSITORY, drafts=True)
}
LIVE = "COURSE_LIVE"  # "off": a notebook's own cells find no engine and no cluster, as when it is graded
RUN = {"stages", "blank_scores"}  # fixtures that run notebooks


@dataclass(frozen=True)
class Lab:
    """A lab under test: its source folder, and the folder of its kept submissions."""

    folder: Path
    submissions: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def root(self) -> Path:
        """The course that it belongs to."""
        return self.folder.parents[1]

    @property
    def notebooks(self) -> list[Path]:
        return source.sources(self.folder)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Chapter:
    """One notebook of a lab: its path and its place in the order, from 0."""

    lab: Lab
    path: Path

    @property
    def place(self) -> int:
        return self.lab.notebooks.index(self.path)

    def __str__(self) -> str:
        return f"{self.lab.name}/{self.path.stem}"


@dataclass(frozen=True)
class Answer:
    """A code cell that holds an answer of the solution."""

    chapter: Chapter
    grade_id: str

    def __str__(self) -> str:
        return f"{self.chapter}/{self.grade_id}"


@dataclass(frozen=True)
class Kept:
    """A kept submission: a YAML file in the folder `wrong` or `right` of a lab.

    Attributes:
        says: one sentence: what this person did.
        notebook: the notebook that it is about.
        cells: the new source of answer cells, by grade id; all others hold the solution.
        grades: the exact points of grade cells, by grade id; all others must earn everything.
        messages: what the rendered results must say, whatever the white space.
        costly: true where images, pods or load take more than some twenty seconds; else left out.
    """

    lab: Lab
    path: Path

    def __str__(self) -> str:
        return f"{self.lab.name}/{self.path.parent.name}/{self.path.stem}"

    @functools.cached_property
    def case(self) -> dict[str, Any]:
        """The file, checked.

        Raises:
            ValueError: it does not have the form above.
        """
        data = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        given = set(data) if isinstance(data, dict) else set()
        needed, more = {"says", "notebook", "cells"}, {"grades", "messages", "costly"}
        if not needed <= given <= needed | more:
            raise ValueError(f"{self.path}: expected says, notebook, cells and perhaps {', '.join(more)}; got {given}")
        if not isinstance(data["cells"], dict) or not all(isinstance(text, str) for text in data["cells"].values()):
            raise ValueError(f"{self.path}: cells is a mapping from grade id to the cell's source")
        return {"grades": {}, "messages": [], "costly": False, **data}

    @property
    def chapter(self) -> Chapter:
        """The notebook that it is about.

        Raises:
            ValueError: the lab has no such notebook.
        """
        for path in self.lab.notebooks:
            if self.case["notebook"] in (path.name, path.stem):
                return Chapter(self.lab, path)
        raise ValueError(f"{self.path}: there is no notebook {self.case['notebook']!r}")


def _labs() -> list[Lab]:
    ours = [Lab(folder, REPOSITORY / "tests" / "labs" / folder.name) for folder in source.labs(REPOSITORY)]
    return ours + [Lab(folder, TINY / "submissions" / folder.name) for folder in source.labs(TINY)]


LABS = _labs()
CHAPTERS = [Chapter(lab, path) for lab in LABS for path in lab.notebooks]
KEPT = [Kept(lab, path) for lab in LABS for path in sorted(lab.submissions.glob("*/*.yaml"))]
COSTLY = {kept for kept in KEPT if kept.case["costly"]}


def _sample() -> set[Kept]:
    """As few as cover each question with a wrong submission that loses points there, each notebook with a right one.

    The one that covers most of what is still uncovered comes first; of several, the first by name.
    """
    covers = {
        kept: set(kept.case["grades"]) if kept.path.parent.name == "wrong" else {str(kept.chapter)}
        for kept in KEPT
        if kept not in COSTLY
    }
    uncovered = set().union(*covers.values())
    chosen = set()
    while uncovered:
        best = max(covers, key=lambda kept: len(covers[kept] & uncovered))
        chosen.add(best)
        uncovered -= covers[best]
    return chosen


SAMPLE = _sample()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its labs, chapters, graded cells, answers or kept submissions.

    A test that runs notebooks of a lab that needs an engine or a cluster carries that mark. Of the kept submissions
    that run, all are `exhaustive` but those of the sample, which covers each question and each notebook; of the
    answers that are edited, all but those of the very small lab.
    """
    runs = bool(RUN & set(metafunc.fixturenames))

    def marked(value: Any, lab: Lab) -> Any:
        marks = []
        if runs:
            marks += [getattr(pytest.mark, needed) for needed in NEEDS.get(lab.name, [])]
        if runs and value in COSTLY:
            marks += [pytest.mark.exhaustive, pytest.mark.costly]
        left_out = value not in SAMPLE if isinstance(value, Kept) else isinstance(value, Answer) and lab.root != TINY
        if runs and left_out and value not in COSTLY:
            marks.append(pytest.mark.exhaustive)
        return pytest.param(value, marks=marks)

    if "graded" in metafunc.fixturenames:
        cells = [
            (chapter, notebooks.grade_id(cell))
            for chapter in CHAPTERS
            for cell in notebooks.read(chapter.path).cells
            if notebooks.is_graded(cell)
        ]
        values = [marked(cell, cell[0].lab) for cell in cells]
        metafunc.parametrize("graded", values, ids=[f"{chapter}/{name}" for chapter, name in cells])
    if "answer" in metafunc.fixturenames:
        found = [
            Answer(chapter, str(notebooks.grade_id(cell)))
            for chapter in CHAPTERS
            for cell in notebooks.read(chapter.path).cells
            if cell.cell_type == "code" and notebooks.is_a(cell, "solution")
        ]
        values = [marked(answer, answer.chapter.lab) for answer in found]
        metafunc.parametrize("answer", values, ids=list(map(str, found)))
    for name, values in (("lab", LABS), ("chapter", CHAPTERS), ("kept", KEPT)):
        if name in metafunc.fixturenames:
            marks = [marked(value, value if name == "lab" else value.lab) for value in values]
            metafunc.parametrize(name, marks, ids=list(map(str, values)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First the tests that run the last notebook of each lab, last labs first; at the end those that copy a stage.

    Each lab starts from what the one before shipped, so the first of them runs all solutions, one after the other.
    Other workers begin elsewhere in the list, and need a stage only when most of them have been made.
    """
    items.sort(key=lambda item: _stages_needed(item) or 0)
    makers = {item.callspec.params["chapter"].lab: item for item in items if _makes_all_stages(item)}
    first = sorted(makers.values(), key=lambda item: -(_stages_needed(item) or 0))
    items[:] = [*first, *(item for item in items if item not in first)]


def _makes_all_stages(item: pytest.Item) -> bool:
    chapter = item.callspec.params.get("chapter") if hasattr(item, "callspec") else None
    runs = "stages" in getattr(item, "fixturenames", ())
    return runs and chapter is not None and chapter.place == len(chapter.lab.notebooks) - 1


def _stages_needed(item: pytest.Item) -> int | None:
    """How many notebooks must have run before a test can begin; None where it runs none."""
    names, params = getattr(item, "fixturenames", ()), item.callspec.params if hasattr(item, "callspec") else {}
    if not RUN & set(names):
        return None
    if (starting := params.get("starting")) is not None:  # a lab that starts from what an earlier one ships
        return next(place for place, chapter in enumerate(CHAPTERS) if chapter.lab.name == starting)
    about = params.get("kept") or params.get("answer")
    chapter = about.chapter if about is not None else params.get("chapter") or params.get("graded", (None,))[0]
    if chapter is None:
        return None
    return 1 if "blank_scores" in names else CHAPTERS.index(chapter) + 1


class Once:
    """Builds a folder once per session, also when several pytest workers ask for it at the same time."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.waited = 0.0  # seconds, while another worker built what was asked for

    def __call__(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder `name`, built by `build(folder)` at the first call; a failure is told to all who ask."""
        place = self.top / name
        place.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with _locked(place.with_name(f"{place.name}.lock")):
            self.waited += time.monotonic() - began
            failed, done = place.with_name(f"{place.name}.failed"), place.with_name(f"{place.name}.done")
            if failed.exists():
                pytest.fail(f"{name} failed before: {failed.read_text()}", pytrace=False)
            if not done.exists():
                place.mkdir()
                try:
                    build(place)
                except BaseException as error:
                    failed.write_text(f"{type(error).__name__}: {error}")
                    raise
                done.touch()
        return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str, request: pytest.FixtureRequest) -> Once:
    """Build a folder once per session; with --stages, once until somebody removes the folder that it names."""
    if (kept := request.config.getoption("--stages")) is not None:
        Path(kept).mkdir(parents=True, exist_ok=True)
        return Once(Path(kept).resolve())
    base = tmp_path_factory.getbasetemp()
    top = (base if worker_id == "master" else base.parent) / "labs"
    top.mkdir(exist_ok=True)
    return Once(top)


@pytest.fixture(autouse=True)
def _waiting(once: Once, tell_waiting: Callable[[float], None]) -> Iterator[None]:
    """Tell the table of minutes how long this test waited for a notebook that another worker ran."""
    before = once.waited
    yield
    if (waited := once.waited - before) > 0.1:
        tell_waiting(waited)


@pytest.fixture(scope="session")
def _zygote() -> Iterator[zygote.Zygote | None]:
    """What kernels are forked from; None where there is no sandbox."""
    if policy.why_not() is not None:
        yield None
        return
    with zygote.Zygote(description.warm_modules(REPOSITORY)) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick_kernels(_zygote: zygote.Zygote | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels started here use one thread each and ship into the folder in which they run.

    Where there is a sandbox, they are forked warm, and what checks run of a student's runs sandboxed, as when grading:
    papermill, nbval and nbclient all start them through jupyter_client, which is told whom to ask. It remembers that,
    so it is made to forget before other tests start kernels.
    """
    KernelProvisionerFactory.clear_instance()
    for key, value in ONE_THREAD.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("COURSE_SHIPPED", raising=False)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    if _zygote is not None:
        monkeypatch.setenv("COURSE_SANDBOX", "1")
        monkeypatch.setenv(zygote.ENVIRONMENT, _zygote.path)
        monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "course-warm")
    yield
    KernelProvisionerFactory.clear_instance()


class Stages:
    """A lab's folder after some of its solution notebooks have run, and the notebooks as they ran.

    It is the one run of the solutions, which all tests share: each lab starts from what the one before shipped.
    """

    def __init__(self, once: Once) -> None:
        self.once = once

    def folder(self, lab: Lab, count: int) -> Path:
        """The folder after the first `count` notebooks; do not change it, copy it."""
        return self._stage(lab, count) / lab.name

    def ran(self, chapter: Chapter) -> NotebookNode:
        """A solution notebook with the outputs that papermill stored."""
        return notebooks.read(self._stage(chapter.lab, chapter.place + 1) / chapter.path.name)

    def copy(self, lab: Lab, count: int, target: Path) -> Path:
        """A copy of :meth:`folder` to work in, with the lab's questions as they are now."""
        copied = Path(shutil.copytree(self.folder(lab, count), target / lab.name, symlinks=True))
        shutil.rmtree(copied / FOLDER)
        shutil.copytree(lab.folder / FOLDER, copied / FOLDER)
        return copied

    def _stage(self, lab: Lab, count: int) -> Path:
        key = f"{lab.name}-{count}"
        if count == 0:
            return self.once(key, lambda place: self._begin(lab, place))
        before = self.folder(lab, count - 1)

        def build(place: Path) -> None:
            shutil.copytree(before.parent, place, symlinks=True, dirs_exist_ok=True)
            folder = place / lab.name
            path = lab.notebooks[count - 1]
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv(LIVE, raising=False)  # the test that asks first may have switched it off for itself
                papermill.execute_notebook(
                    path, place / path.name, cwd=folder, kernel_name="python3", progress_bar=False, log_output=False
                )

        return self.once(key, build)

    def _begin(self, lab: Lab, place: Path) -> None:
        """The lab's folder before anything ran and, beside it, what the lab that it starts from shipped."""
        running.clean_copy(lab.folder, place / lab.name)
        described = description.find(lab.folder)
        origin = described.starts_from if described else None
        earlier = next((one for one in LABS if origin and one.name == origin.lab and one.root == lab.root), None)
        if earlier is not None:
            shipped = self.folder(earlier, len(earlier.notebooks)) / "shipped"
            shutil.copytree(shipped, place / earlier.name / "shipped", symlinks=True)


@pytest.fixture
def examiner(_zygote: zygote.Zygote | None) -> Callable[[Path], Examiner]:
    """Ask the questions in a lab's folder about what is shipped there: as when grading, where there is a sandbox."""

    def make(folder: Path) -> Examiner:
        environment = runner.environment() | {"COURSE_SHIPPED": str(folder / "shipped")}
        return trusted_examiner(folder, environment) if _zygote is not None else plain(folder, environment)

    return make


@pytest.fixture(scope="session")
def labs() -> list[Lab]:
    """All labs under test."""
    return LABS


@pytest.fixture(scope="session")
def stages(once: Once) -> Stages:
    """Lab folders with the solution run up to some notebook."""
    return Stages(once)


@pytest.fixture(scope="session")
def released(once: Once) -> Callable[[Lab], Path]:
    """A fresh release of a lab, made outside the repository and without a gradebook."""

    def of(lab: Lab) -> Path:
        def build(place: Path) -> None:
            root = place / "root"
            shutil.copytree(lab.folder, root / "solutions" / lab.name)
            shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
            release.generate(root, lab.name, place / "labs")

        return once(f"{lab.name}-released", build) / "labs" / lab.name

    return of


@pytest.fixture
def blank_scores(
    once: Once, released: Callable[[Lab], Path], examiner: Callable[[Path], Examiner]
) -> Callable[[Lab], dict[str, Any]]:
    """What the untouched release earns, with the hidden tests put back: grade id → score, text.

    As when grading, a notebook's own cells have no engine and no cluster; questions have.
    """

    def of(lab: Lab) -> dict[str, Any]:
        def build(place: Path) -> None:
            folder = running.clean_copy(lab.folder, place / lab.name)  # its questions with their hidden checks
            scores: dict[str, Any] = {}
            for path in lab.notebooks:
                blank = notebooks.read(released(lab) / path.name)
                with (
                    pytest.MonkeyPatch.context() as patch,
                    runner.local_manager() as manager,
                    examiner(folder) as questions,
                ):
                    patch.setenv(LIVE, "off")
                    runner.run(blank, folder, runner.Policy(manager, runner.environment(), questions))
                for cell in running.judged(blank):
                    scores[cell.grade_id] = {"score": cell.judgement.score, "text": cell.judgement.text}
            (place / "scores.json").write_text(json.dumps(scores))

        return json.loads((once(f"{lab.name}-blank", build) / "scores.json").read_text())

    return of


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a child process."""
    return dict(os.environ)
