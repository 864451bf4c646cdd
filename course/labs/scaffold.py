"""Makes the files of a new lab or a new question, which pass their tests as they are. Used by `course new`.

The files come from `templates/` beside this module. A new lab is a draft (see `description`): its tests run, and
students do not get it. A new question has a text, a blank, a solution, two checks, a wrong answer and a right one.
"""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import jupytext
from nbformat import NotebookNode

from course.base.errors import UserError
from course.base.names import LAB
from course.checks.core.loading import FOLDER
from course.labs import description, notebooks, running, source

TEMPLATES = Path(__file__).with_name("templates")
FIRST = "01_first_steps"
GRADE_ID = re.compile(r"(?P<lab>\d\d)-(?P<notebook>[1-9]\d?)-(?P<words>[a-z0-9]+(?:-[a-z0-9]+)*)")


class ScaffoldError(UserError):
    """Nothing was made; the message says why, and what to do."""


@dataclass(frozen=True)
class _Place:
    """Where a new question belongs."""

    grade_id: str
    notebook: Path
    words: str

    @property
    def key(self) -> str:
        """A name that Python and YAML take."""
        return self.words.replace("-", "_")


def new_lab(root: Path, name: str, title: str, notebook: str = FIRST) -> list[Path]:
    """Make a draft of a lab with one notebook, in which no question is asked yet.

    Args:
        root: the course's folder.
        name: the lab's folder: two digits and words, such as 06_monitoring.
        title: its name for people.
        notebook: the file name of its first notebook, without a suffix, such as 01_metrics.

    Returns:
        The files written.

    Raises:
        ScaffoldError: the name is none for a lab, or is taken; or the title is none.
    """
    if not LAB.fullmatch(name):
        raise ScaffoldError(f"expected a lab's name of two digits and words, such as 06_monitoring; got {name!r}")
    if not re.fullmatch(r"01_[a-z0-9_]+", notebook):
        raise ScaffoldError(f"expected a first notebook's name such as 01_metrics; got {notebook!r}")
    title = _title(title)
    taken = [lab.name for lab in source.labs(root) if lab.name[:2] == name[:2]]
    if taken:
        raise ScaffoldError(f"there is a lab of this number already: {taken[0]}; choose another number")
    folder = root / "solutions" / name
    if folder.exists():
        raise ScaffoldError(f"there is a folder {folder} already; remove it or choose another name")
    values = {
        "title": json.dumps(title, ensure_ascii=False),  # which is YAML, too
        "short": json.dumps(" ".join(textwrap.wrap(title, 16)[:2])[:32], ensure_ascii=False),
        "line": json.dumps(f"{title}.", ensure_ascii=False),
        "notebook": notebook,
        "notebook_title": notebook[3:].replace("_", " ").capitalize(),
    }
    folder.mkdir(parents=True)
    described, chapter = folder / description.FILE, folder / f"{notebook}.ipynb"
    described.write_text(_render("lab.yaml.tpl", values), encoding="utf-8", newline="\n")
    notebooks.write(_cells("notebook.py.tpl", values), chapter)
    return [described, chapter]


def new_question(root: Path, grade_id: str, title: str | None = None) -> list[Path]:
    """Add an exercise above the summary of a notebook, with its question and a wrong and a right answer to it.

    Args:
        root: the course's folder.
        grade_id: lab, notebook and words, such as 06-1-metrics. The gradebook knows the question by it for ever.
        title: its name for people; the words of its id by default.

    Returns:
        The files written; the notebook has no outputs of the new cells yet, see :func:`run`.

    Raises:
        ScaffoldError: there is no such notebook, it has no summary, or the id is taken.
        NotebookError: the notebook cannot be read.
    """
    place = _place(root, grade_id)
    title = _title(title or place.words.replace("-", " ").capitalize())
    notebook = notebooks.read(place.notebook)
    lab = place.notebook.parent
    module = lab / FOLDER / f"{grade_id}.py"
    kept = root / "tests" / "labs" / lab.name
    wrong, right = kept / "wrong" / f"{place.key}_adds.yaml", kept / "right" / f"{place.key}_by_a_sum.yaml"
    names = {notebooks.grade_id(cell) for cell in notebook.cells}
    taken = [path for path in (module, wrong, right) if path.exists()]
    if taken or {grade_id, f"{grade_id}-answer"} & names:
        raise ScaffoldError(f"the question {grade_id!r} is there already ({(taken or [place.notebook])[0]})")
    values = {
        "title": title,
        "key": place.key,
        "grade_id": grade_id,
        "notebook": place.notebook.stem,
        "grade_cell": source.grade_cell(grade_id),
    }
    end = _summary(place.notebook, notebook)
    notebook.cells[end:end] = _cells("exercise.py.tpl", values).cells
    for path, template in ((module, "question.py.tpl"), (wrong, "wrong.yaml.tpl"), (right, "right.yaml.tpl")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(template, values), encoding="utf-8", newline="\n")
    notebooks.write(notebook, place.notebook)
    return [place.notebook, module, wrong, right]


def run(paths: Iterable[Path]) -> None:
    """Run the notebooks among new files in clean folders, and store their outputs.

    Raises:
        RunError: a notebook does not run to its end.
    """
    for path in [path for path in paths if path.suffix == ".ipynb"]:
        with tempfile.TemporaryDirectory(prefix="course-new-") as workplace:
            running.store_outputs([path], Path(workplace))


def _title(title: str) -> str:
    """A title that can stand in a heading, in YAML and in Python.

    Raises:
        ScaffoldError: it is none.
    """
    title = title.strip()
    if not re.fullmatch(r'[^"\\\n]{1,60}', title):
        raise ScaffoldError(f"expected a title of 1 to 60 characters without quotes and backslashes; got {title!r}")
    return title


def _place(root: Path, grade_id: str) -> _Place:
    form = GRADE_ID.fullmatch(grade_id)
    if form is None:
        raise ScaffoldError(f"expected lab, notebook and words, such as 06-1-metrics; got {grade_id!r}")
    labs = {lab.name[:2]: lab for lab in source.labs(root)}
    if form["lab"] not in labs:
        raise ScaffoldError(f'there is no lab {form["lab"]}; make it: course new lab {form["lab"]}_words "Its title"')
    there = {int(path.name[:2]): path for path in source.sources(labs[form["lab"]])}
    if int(form["notebook"]) not in there:
        names = ", ".join(path.stem for path in there.values())
        raise ScaffoldError(
            f"{labs[form['lab']].name} has no notebook {form['notebook']}; it has {names}. To add one, copy one, "
            f"take out its exercises, and name it in {description.FILE}"
        )
    return _Place(grade_id, there[int(form["notebook"])], form["words"])


def _summary(path: Path, notebook: NotebookNode) -> int:
    """The place of the cell that a new exercise stands above."""
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and (2, "Summary") in notebooks.headings(cell.source):
            return place
    raise ScaffoldError(f"{path} has no section '## Summary', above which a new exercise would stand; add it first")


def _cells(template: str, values: dict[str, str]) -> NotebookNode:
    """A notebook from a template in jupytext's percent format."""
    return notebooks.normalise(jupytext.reads(_render(template, values), fmt="py:percent"))


def _render(template: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
