"""What a lab says of itself: read where it is sound, refused with the file, the key and the reason where it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from course.labs import description, extras, notebooks, source

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOK = {"title": "Metrics", "minutes": 30, "ships": "a number"}
SOUND = {
    "title": "A model that is watched",
    "short": "Watched",
    "line": "The model is watched.",
    "ships": "a monitor",
    "notebooks": {"01_metrics": NOTEBOOK},
}
ORIGIN = {"lab": "05_k8s", "takes": ["image"], "reference": ["image"], "model": "image/model.joblib"}


@pytest.fixture
def lab(tmp_path):
    """Writes the lab.yaml of 06_monitoring in a course, and gives its folder."""
    folder = tmp_path / "solutions" / "06_monitoring"
    folder.mkdir(parents=True)

    def write(**changes) -> Path:
        data = {key: value for key, value in (SOUND | changes).items() if value is not ...}
        (folder / description.FILE).write_text(yaml.safe_dump(data, sort_keys=False))
        return folder

    return write


def test_a_lab_is_named_by_its_folder_and_needs_nothing_that_it_does_not_name(lab):
    read = description.read(lab())
    assert (read.name, read.number, read.title) == ("06_monitoring", "06", "A model that is watched")
    assert (read.needs, read.extra, read.starts_from, read.ports, read.warm, read.draft) == (
        [],
        None,
        None,
        {},
        [],
        False,
    )
    assert read.notebooks["01_metrics"].minutes == 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ...}, "title: is missing"),
        ({"title": 5}, "title: expected text; got 5"),
        ({"tilte": "x"}, "tilte: is not a key here; expected one of title, short, line"),
        ({"name": "06_monitoring"}, "name: is not a key of this file"),
        ({"needs": ["gpu"]}, "needs.0: should be 'engine', 'cluster' or 'prometheus'; got 'gpu'"),
        ({"notebooks": {}}, "notebooks: expected at least one entry; got {}"),
        ({"notebooks": {"metrics": NOTEBOOK}}, "notebooks.metrics: should match pattern"),
        ({"notebooks": {"01_a": {**NOTEBOOK, "minutes": "60"}}}, "minutes: expected a whole number; got '60'"),
        (
            {"notebooks": {"01_a": {**NOTEBOOK, "ship": "x"}}},
            "ship: is not a key here; expected one of title, minutes, ships",
        ),
        ({"ports": {"web": "x"}}, "ports.web: expected a whole number; got 'web'"),
        ({"ports": {70000: "x"}}, "ports.70000: should be less than or equal to 65535; got 70000"),
        ({"draft": "yes"}, "draft: expected true or false; got 'yes'"),
        ({"warm": ["os; import this"]}, "warm.0: should match pattern"),
        (
            {"starts_from": {**ORIGIN, "lab": "07_later"}},
            "starts_from.lab: expected a lab before 06_monitoring; got '07_later'",
        ),
        (
            {"starts_from": {**ORIGIN, "takes": ["../classroom"]}},
            "expected a path inside of the folder; got '../classroom'",
        ),
        (
            {"starts_from": {**ORIGIN, "inherits": {"image": "/etc"}}},
            "expected a path inside of the folder; got '/etc'",
        ),
        ({"starts_from": {**ORIGIN, "service": "app"}}, "starts_from.service: should match pattern"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(lab, changes, said):
    with pytest.raises(description.DescriptionError) as caught:
        description.read(lab(**changes))
    assert str(caught.value).startswith("solutions/06_monitoring/lab.yaml")
    assert said in str(caught.value)


def test_all_that_is_wrong_is_named_at_once(lab):
    with pytest.raises(description.DescriptionError) as caught:
        description.read(lab(title=..., draft=1, ports={0: "x"}))
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("- a", "expected names with values; got list"),
        ("", "got NoneType"),
        (None, "is not there"),
    ],
)
def test_a_file_that_is_none_is_refused(lab, text, said):
    folder = lab()
    (folder / description.FILE).unlink() if text is None else (folder / description.FILE).write_text(text)
    with pytest.raises(description.DescriptionError, match=said):
        description.read(folder)


def test_drafts_are_left_out_unless_they_are_asked_for(lab):
    root = lab(draft=True, warm=["json"]).parents[1]
    assert description.of_course(root) == []
    assert [one.name for one in description.of_course(root, drafts=True)] == ["06_monitoring"]
    assert description.warm_modules(root) == ["json"]


def test_students_read_the_descriptions_of_the_labs_that_they_have(lab):
    root = lab().parents[1]
    (root / "solutions").rename(root / "labs")
    assert [one.name for one in description.of_course(root)] == ["06_monitoring"]


def test_a_module_that_two_labs_name_is_warmed_once():
    warm = description.warm_modules(REPOSITORY)
    assert "skops.io" in warm
    assert len(set(warm)) == len(warm)


# ------------------------------------------------------------------------------------------------------------ our labs


@pytest.mark.parametrize("folder", source.labs(REPOSITORY), ids=lambda folder: folder.name)
def test_each_lab_describes_itself(folder):
    """That its notebooks are what it says is a matter of release: see source.problems."""
    lab = description.read(folder)
    extras = re.search(
        r"\[project.optional-dependencies\](.*?)\n\[project", (REPOSITORY / "pyproject.toml").read_text(), re.S
    )
    assert lab.extra is None or re.search(rf"^{lab.extra} = \[", extras[1], re.MULTILINE)
    assert lab.starts_from is None or (folder.parent / lab.starts_from.lab).is_dir()


def test_a_description_that_its_notebooks_do_not_keep_to_is_a_problem(lab, make_lab_notebook):
    folder = lab()
    assert [str(problem) for problem in source.problems(folder) if problem.place == description.FILE] == [
        "lab.yaml: notebooks: expected ; got 01_metrics"
    ]
    make_lab_notebook(folder / "01_metrics.ipynb", "# Counters\n\n## Time\n\n40 minutes.")
    assert [str(problem) for problem in source.problems(folder) if problem.place == description.FILE] == [
        "lab.yaml: notebooks.01_metrics.title: expected the notebook's first heading, 'Counters'; got 'Metrics'",
        "lab.yaml: notebooks.01_metrics.minutes: expected 40, as the notebook says under Time; got 30",
    ]
    lab(draft="yes")
    assert any("draft: expected true or false" in str(problem) for problem in source.problems(folder))


@pytest.fixture
def make_lab_notebook():
    """Writes a notebook of one text: make_lab_notebook(path, text)."""
    import nbformat

    def make(path: Path, text: str) -> None:
        notebooks.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)]), path)

    return make


def test_a_lab_whose_packages_are_missing_says_which_command_installs_them(tmp_path):
    (tmp_path / "env_setup" / "extras").mkdir(parents=True)
    (tmp_path / "env_setup" / "extras" / "watching.lock").write_text(
        "pytest==0.1 \\\n    --hash=sha256:00\nno-such-package==1\nnever==1 ; python_version < '3'\n"
    )
    lab = description.Description(name="06_x", extra="watching", **SOUND)
    wrong = extras.missing(lab, tmp_path)
    assert [phrase.split()[0] for phrase in wrong] == ["pytest", "no-such-package"]
    with pytest.raises(extras.MissingExtra, match="make extra LAB=06"):
        extras.require(lab, tmp_path)
    assert extras.missing(lab.model_copy(update={"extra": None}), tmp_path) == []
