"""The course from end to end: from the flights to a cluster, each lab from what the one before shipped."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from course.cli import main
from course.grading import end_to_end
from course.labs import description

from .conftest import CHAPTERS, TINY


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_course_runs_and_is_shown(tmp_path):
    done = CliRunner().invoke(main, ["--root", str(TINY), "end-to-end", "--to", str(tmp_path / "way")])
    assert done.exit_code == 0, done.output
    shown = (tmp_path / "way" / end_to_end.PAGE).read_text()
    for stage in end_to_end.run(TINY, tmp_path / "again"):
        assert stage.title in shown
        assert stage.title in done.output
        assert stage.score == stage.worth
        for artifact in stage.artifacts:
            assert artifact.name in shown
            assert artifact.digest[:16] in shown or artifact.name == "answers.json"


def test_a_folder_with_something_else_is_not_emptied(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = CliRunner().invoke(main, ["--root", str(TINY), "end-to-end", "--to", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds something else" in done.output
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_artifact_is_known_by_its_content(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.json").write_text(json.dumps(1))
    (tmp_path / "f.py").write_text("x = 1\n")
    first = end_to_end.artifacts(tmp_path)
    assert [(one.name, one.size) for one in first] == [("f.py", 6), ("model/", 1)]
    (tmp_path / "model" / "a.json").write_text(json.dumps(2))
    second = end_to_end.artifacts(tmp_path)
    assert [one.name for one, two in zip(first, second, strict=True) if one.digest != two.digest] == ["model/"]
    assert end_to_end.artifacts(tmp_path / "nowhere") == []


@pytest.mark.slow
@pytest.mark.timeout(2700)  # the first to ask runs every notebook before it
def test_a_lab_starts_from_what_the_one_before_shipped(lab, stages):
    """The one run of the solutions is the whole course: from the data to the cluster."""
    ran = [stages.ran(chapter) for chapter in CHAPTERS if chapter.lab == lab]
    sentences = [sentence for notebook in ran if (sentence := end_to_end.start(notebook))]
    described = description.find(lab.folder)
    assert bool(sentences) == (described is not None and described.starts_from is not None)
    assert [sentence for sentence in sentences if "your own work" not in sentence] == []
