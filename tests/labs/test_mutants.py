"""Small edits of the solution: a question that still gives all points to one of them lacks a check.

    python -m pytest tests/labs/test_mutants.py --all -k 02-2-store          # a sample of the edits of one answer
    python -m pytest tests/labs/test_mutants.py --all -k 02 --mutants all    # every edit of every answer of a lab

docs/authoring.md tells how to read what it prints, and how to justify an edit that no check can notice.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course import shipping
from course.base import atomic
from course.labs import notebooks, runner, running
from course.labs.examiner import Examiner
from course.labs.judgement import Judgement, judge

from . import answers
from .conftest import LIVE, NEEDS, REPOSITORY, Answer, Stages
from .mutation import Mutant, mutants

FILES, CELLS = 40, 12  # edits that are tried of an answer that is a file, and of one that a kernel has to run
CELL_S = 60.0  # how long an edited cell may take
KEPT = REPOSITORY / "build" / "mutants"  # what was found before, so that a run that was stopped goes on
JUSTIFIED = "mutants.yaml"
UNJUDGED = "goes to a person: "
NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "KUBECONFIG": "/nowhere/config"}

Ask = Callable[[Path], Examiner]


# ------------------------------------------------------------------------------------------------- the edits themselves


def test_edits_of_python_change_operators_bounds_and_statements_and_leave_prose_alone():
    source = '''
def late(delay, limit=15):
    """Whether it is late."""
    if delay is None:
        raise ValueError("a delay is a number of minutes")
    ### BEGIN SOLUTION
    return delay >= limit and not delay > 600
    ### END SOLUTION
'''
    names = {mutant.name for mutant in mutants(source, "late.py")}
    line = "late: return delay >= limit and not delay > 600 => "
    assert names == {
        line + "return delay > limit and not delay > 600",
        line + "return delay < limit and not delay > 600",
        line + "return (delay >= limit) or (not delay > 600)",
        line + "return (delay >= limit)",
        line + "return (not delay > 600)",
        line + "return delay >= limit and (delay > 600)",
        line + "return delay >= limit and not delay >= 600",
        line + "return delay >= limit and not delay <= 600",
        line + "return delay >= limit and not delay > 601",
        line + "return delay >= limit and not delay > 599",
        line + "return None",
    }


def test_edits_of_yaml_are_read_back_as_other_data():
    found = mutants("a: 1  # one\nb: [x, y]\nc: words for people, not programs\n", "some.yaml")
    assert {mutant.name for mutant in found} >= {"a: removed", "a: 1 => 2", "b.0: removed", "c: removed"}
    assert not any(mutant.name.startswith("c: 'words") for mutant in found)
    assert len({repr(yaml.safe_load(mutant.text)) for mutant in found}) == len(found)


def test_edits_of_a_dockerfile_take_lines_and_options_away():
    source = 'FROM a\n# why\nRUN x --quiet && \\\n    y\nCMD ["b", "c"]\n'
    assert {mutant.name for mutant in mutants(source, "Dockerfile")} == {
        "FROM a: removed",
        "RUN x --quiet && \\ y: removed",
        'CMD ["b", "c"]: removed',
        "RUN x --quiet && \\ y => RUN x && \\ y",
        "RUN x --quiet && \\ y => y",
        "RUN x --quiet && \\ y => RUN x --quiet",
        "RUN x --quiet && \\ y: below the next line",
        'CMD ["b", "c"] => CMD b c',
    }


def test_every_edit_is_another_text_with_a_name_of_its_own(answer):
    found = mutants(*_body(_cell(answer)))
    assert len({mutant.name for mutant in found}) == len({mutant.text for mutant in found}) == len(found)


def test_a_justified_edit_is_an_edit_of_the_solution_and_has_a_reason(lab):
    known = {}
    for path in lab.notebooks:
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "code" and notebooks.is_a(cell, "solution"):
                known[notebooks.grade_id(cell)] = {mutant.name for mutant in mutants(*_body(cell.source))}
    for grade_id, reasons in _justified(lab).items():
        assert set(reasons) <= known.get(grade_id, set()), "take out what the solution no longer has"
        assert all(len(str(reason).split()) >= 3 for reason in reasons.values())


# -------------------------------------------------------------------------------------------- what questions notice


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)  # the first to ask runs the notebooks before it, too; it goes on where it was stopped
def test_questions_notice_small_edits_of_the_solution(answer, stages, examiner, tmp_path, monkeypatch, request, capsys):
    monkeypatch.setenv(LIVE, "off")
    trial = Trial(answer, stages, examiner, tmp_path, monkeypatch)
    chosen, edits = _chosen(trial.edits, request.config.getoption("--mutants"), trial.is_file), len(trial.edits)
    book = Book(KEPT / f"{answer.grade_id}.json", trial.context())
    reasons = _justified(answer.chapter.lab).get(answer.grade_id, {})
    open_edits = [mutant for mutant in chosen if mutant not in book]
    with capsys.disabled():
        print(f"\n{answer.grade_id}: {len(chosen)} of {edits} edits, {len(open_edits)} to try", flush=True)
        for tried, (mutant, noticed) in enumerate(trial.results(open_edits), start=1):
            book.note(mutant, noticed)
            if _survives(noticed) and mutant.name not in reasons:
                print(f"  survives: {mutant.name}{noticed and f' ({noticed})'}", flush=True)
            elif tried % 10 == 0:
                print(f"  {tried} of {len(open_edits)} tried", flush=True)
    left = [mutant.name for mutant in chosen if _survives(book[mutant]) and mutant.name not in reasons]
    advice = yaml.safe_dump({answer.grade_id: dict.fromkeys(left, "why no check can notice it")}, width=1000)
    assert not left, (
        f"{len(left)} of {len(chosen)} edits of {answer.grade_id} earn all points. Add a check for each, or, where it "
        f"changes nothing, a reason in {answer.chapter.lab.submissions / JUSTIFIED}:\n{advice}"
    )


class Trial:
    """One answer, edited again and again, and the questions that judge it.

    Asked first are the questions that judge this answer, without an engine and a cluster; only what survives these is
    worth the time of the others: live ones, those further down in the lab, and cells below that use the answer.
    """

    def __init__(
        self, answer: Answer, stages: Stages, examiner: Ask, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.answer, self.stages, self.examiner = answer, stages, examiner
        self.place, self.monkeypatch = place, monkeypatch
        self.lab = answer.chapter.lab
        self.original = notebooks.read(answer.chapter.path)
        self.source = _cell(answer)
        self.edits = mutants(*_body(self.source))
        case = {"cells": {answer.grade_id: self.source}, "grades": {}}
        self.cells, judging = answers.what_it_reaches(running.with_answers(self.original, {}), case)
        self.judging = [str(notebooks.grade_id(cell)) for cell in judging.cells]
        self.file = notebooks.shipped_name(self.source) if self.source.startswith("%%ship") else None
        shipped = [notebooks.shipped_name(cell.source) for cell in self.original.cells]
        self.is_file = self.file is not None and shipped.count(self.file) == 1
        self.last = self._last_stage()
        self.folder = self._stage(self.last, "solution")
        self.others = [name for name in self._questions() if name not in self.judging]
        self.worth = self._solution()

    def results(self, edits: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
        """Each edit with what noticed it; an empty text where nothing did."""
        if self.is_file:
            for mutant in edits:
                yield mutant, self._of_file(mutant)
        else:
            for begin in range(0, len(edits), CELLS):
                yield from self._of_cells(edits[begin : begin + CELLS])

    def context(self) -> str:
        """What a result depends on besides the edit: questions, checks and the notebook."""
        rooms = [self.lab.folder / "checks", REPOSITORY / "course" / "checks", REPOSITORY / "course" / "sandboxed"]
        data = [path.read_bytes() for room in rooms for path in sorted(room.rglob("*.py"))]
        data += [cell.source.encode() for cell in self.original.cells if cell.cell_type == "code"]
        return hashlib.sha256(b"\0".join(data)).hexdigest()

    # -- an answer that is a file

    def _of_file(self, mutant: Mutant) -> str:
        path = self.folder / "shipped" / str(self.file)
        before = path.read_bytes()
        self.monkeypatch.setenv("COURSE_SHIPPED", str(self.folder / "shipped"))
        try:
            shipping.ship_cell(f"--no-run {self.file}", mutant.text)
            noticed = self._noticed(self.folder)
            return self._noticed_below(mutant, noticed) if _survives(noticed) else noticed
        finally:
            path.write_bytes(before)

    def _noticed_below(self, mutant: Mutant, noticed: str) -> str:
        """What questions notice about that which cells below made with an edited file."""
        place = next(
            i for i, cell in enumerate(self.original.cells) if notebooks.grade_id(cell) == self.answer.grade_id
        )
        below = [cell for cell in self.original.cells[place + 1 :] if not cell.source.startswith("%%ship")]
        names = {name for cell in below for name in re.findall(r"[^\W\d]\w*", cell.source) if cell.cell_type == "code"}
        if not answers.SHIPS & names:
            return noticed
        (result,) = self._of_cells([mutant], self._whole(), self._questions(self.answer.chapter.place + 1))
        return result[1]

    def _whole(self) -> NotebookNode:
        """The notebook without what is graded, to its end."""
        notebook = running.with_answers(self.original, {})
        notebook.cells = [c for c in notebook.cells if c.cell_type == "code" and not notebooks.is_graded(c)]
        return notebook

    # -- an answer that a kernel runs

    def _of_cells(
        self, edits: list[Mutant], notebook: NotebookNode | None = None, questions: list[str] | None = None
    ) -> list[tuple[Mutant, str]]:
        """Run one kernel for several edits: what is above the answer once, then each edit, from the same state."""
        folder = self._stage(self.answer.chapter.place, "kernel")
        cells = (notebook or self.cells).cells
        place = next(i for i, cell in enumerate(cells) if notebooks.grade_id(cell) == self.answer.grade_id)
        program = running.with_answers(self.original, {})
        program.cells = [*map(_copied, cells[:place]), new_code_cell(_REMEMBER)]
        for number, mutant in enumerate(edits):
            program.cells += [
                new_code_cell(_RESTORE),
                new_code_cell(self.source.removesuffix(_body(self.source)[0]) + mutant.text),
                *map(_copied, cells[place + 1 :]),
                new_code_cell(_KEEP.format(name=f"made-{number}")),
            ]
        with runner.local_manager() as manager:
            runner.run(program, folder, runner.Policy(manager, runner.environment(), cell_s=CELL_S))
        results = []
        for number, mutant in enumerate(edits):
            made = folder.parent / f"made-{number}"
            if not made.is_dir():
                results.append((mutant, "the kernel ended"))
                continue
            lab = self._stage(self.answer.chapter.place, "judged")
            shutil.rmtree(lab / "shipped", ignore_errors=True)
            made.rename(lab / "shipped")
            results.append((mutant, self._noticed(lab, questions or self.judging)))
            shutil.rmtree(lab.parent)
        shutil.rmtree(folder.parent)
        return results

    # -- the questions

    def _noticed(self, folder: Path, questions: list[str] | None = None) -> str:
        """The first question that gives less than all points, and the points; empty where none does.

        Where none does, but one could not judge it, that one and why.
        """
        asked, unjudged = questions or [*self.judging, *self.others], ""
        needs = NEEDS.get(self.lab.name, [])
        for environment in [NOWHERE, {}] if needs else [{}]:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environment.items():
                    patch.setenv(name, value)
                with self.examiner(folder) as examiner:
                    for name in asked:
                        judgement = self._judgement(examiner, name)
                        if judgement.score is not None and judgement.score < judgement.points:
                            return f"{name}: {judgement.score:g} of {judgement.points:g}"
                        if judgement.score is None and name in self.worth and not environment:
                            unjudged = unjudged or f"{UNJUDGED}{name}: {judgement.text[-300:]}"
        return unjudged

    def _judgement(self, examiner: Examiner, name: str) -> Judgement:
        cell = _copied(self.graded[name])
        cell.outputs = examiner.outputs(name)
        return judge(cell)

    def _solution(self) -> set[str]:
        """The questions that can be judged on this machine: to these the solution earns all points."""
        with self.examiner(self.folder) as examiner:
            found = {name: self._judgement(examiner, name) for name in [*self.judging, *self.others]}
        lost = [name for name, one in found.items() if one.score is not None and one.score < one.points]
        assert not lost, f"the solution itself loses points: {', '.join(lost)}; is the folder of --stages out of date?"
        if all(found[name].score is None for name in self.judging):
            pytest.skip(f"not judged here: {found[self.judging[0]].text[-300:]}")
        return {name for name, one in found.items() if one.score is not None}

    def _questions(self, end: int | None = None) -> list[str]:
        """The questions from the answer's notebook to the last one that ran, or to the end that is given."""
        self.graded = {
            str(notebooks.grade_id(cell)): cell
            for path in self.lab.notebooks
            for cell in notebooks.read(path).cells
            if notebooks.is_graded(cell)
        }
        return [
            str(notebooks.grade_id(cell))
            for path in self.lab.notebooks[self.answer.chapter.place : end or self.last]
            for cell in notebooks.read(path).cells
            if notebooks.is_graded(cell)
        ]

    def _last_stage(self) -> int:
        """The stage with the most of the lab in which the answer's file is what this notebook shipped."""
        here, end = self.answer.chapter.place + 1, len(self.lab.notebooks)
        if not self.is_file:
            return here
        data = [
            (self.stages.folder(self.lab, count) / "shipped" / str(self.file)).read_bytes() for count in (here, end)
        ]
        return end if data[0] == data[1] else here

    def _stage(self, count: int, name: str) -> Path:
        """A copy of the lab's folder after some notebooks."""
        place = self.place / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return self.stages.copy(self.lab, count, place)


class Book:
    """What was found about the edits of one answer; each result is kept at once."""

    def __init__(self, path: Path, context: str) -> None:
        self.path, self.context = path, context
        self.found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def _key(self, mutant: Mutant) -> str:
        return hashlib.sha256(f"{self.context}\0{mutant.text}".encode()).hexdigest()

    def __contains__(self, mutant: Mutant) -> bool:
        return self._key(mutant) in self.found

    def __getitem__(self, mutant: Mutant) -> str:
        return self.found[self._key(mutant)]

    def note(self, mutant: Mutant, noticed: str) -> None:
        self.found[self._key(mutant)] = noticed
        atomic.write(self.path, json.dumps(self.found, indent=0))


# What the kernel does besides its cells: each edit begins with the names and the folder as they were above the answer
_REMEMBER = """
import shutil as _shutil
from pathlib import Path as _Path
_shell = get_ipython()
_before = _Path.cwd().parent / "before"
_shutil.copytree(_Path.cwd(), _before, symlinks=True)
_names = dict(_shell.user_ns)
"""
_RESTORE = """
_kept = _names
for _name in set(_shell.user_ns) - set(_kept) - {"_kept"}:
    _shell.user_ns.pop(_name, None)
_shell.user_ns.update(_kept, _names=_kept)
for _path in list(_Path.cwd().iterdir()):
    _shutil.rmtree(_path) if _path.is_dir() and not _path.is_symlink() else _path.unlink()
_shutil.copytree(_before, _Path.cwd(), symlinks=True, dirs_exist_ok=True)
"""
_KEEP = """
(_Path.cwd() / "shipped").mkdir(exist_ok=True)
_shutil.copytree(_Path.cwd() / "shipped", _Path.cwd().parent / "{name}", symlinks=True)
"""


def _survives(noticed: str) -> bool:
    """Whether nothing noticed an edit; also where it made a question break, so that a person would have to look."""
    return not noticed or noticed.startswith(UNJUDGED)


def _copied(cell: NotebookNode) -> NotebookNode:
    return NotebookNode(cell) if cell.cell_type != "code" else new_code_cell(cell.source, metadata=cell.metadata)


def _cell(answer: Answer) -> str:
    cells = notebooks.read(answer.chapter.path).cells
    return next(cell.source for cell in cells if notebooks.grade_id(cell) == answer.grade_id)


def _body(source: str) -> tuple[str, str]:
    """What is edited of a cell, and the name by whose ending it is read."""
    if not source.startswith("%%"):
        return source, "cell.py"
    line, _, body = source.partition("\n")
    return body, notebooks.shipped_name(source) or f"cell.{line.strip('%').split()[0]}"


def _chosen(edits: list[Mutant], wanted: str | None, is_file: bool) -> list[Mutant]:
    if wanted == "all":
        return edits
    return edits[: int(wanted) if wanted else FILES if is_file else CELLS]


def _justified(lab) -> dict[str, dict[str, str]]:
    path = lab.submissions / JUSTIFIED
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}
