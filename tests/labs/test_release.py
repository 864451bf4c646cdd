"""`labs/` is what its source gives, and holds nothing that students must not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.labs import notebooks, release, source

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)  # nbgrader's generate step takes seconds a lab
def test_the_released_labs_are_what_their_source_gives():
    changes = release.release(REPOSITORY, check=True)
    assert changes == [], "run: make release\n" + "\n".join(map(str, changes))


def test_no_line_of_a_solution_or_hidden_test_survives(lab, released):
    assert release.survivors(lab.folder, released(lab)) == []


def test_a_release_keeps_every_cell_and_id(chapter, released):
    source_ids = [cell.id for cell in notebooks.read(chapter.path).cells]
    assert [cell.id for cell in notebooks.read(released(chapter.lab) / chapter.path.name).cells] == source_ids


def test_a_release_has_no_outputs_and_locks_the_grade_cells(chapter, released):
    notebook = notebooks.read(released(chapter.lab) / chapter.path.name)
    assert [cell.id for cell in notebook.cells if cell.get("outputs")] == []
    graded = [cell for cell in notebook.cells if notebooks.is_graded(cell)]
    assert [cell.id for cell in graded if cell.metadata.get("editable", True)] == []
    assert [cell.id for cell in graded if "checksum" not in cell.metadata.nbgrader] == []


def test_a_release_is_in_normal_form(chapter, released):
    assert notebooks.difference(released(chapter.lab) / chapter.path.name) == []


def test_an_answer_cell_of_a_release_is_a_stub(chapter, released):
    notebook = notebooks.read(released(chapter.lab) / chapter.path.name)
    answers = [cell for cell in notebook.cells if notebooks.is_a(cell, "solution")]
    stubs = ("YOUR CODE HERE", "YOUR WORK HERE", "YOUR ANSWER HERE")
    without = [cell.id for cell in answers if not any(stub in cell.source for stub in stubs)]
    assert without == []


def test_the_secrets_of_a_lab_are_found_at_all(lab):
    """The test above cannot pass because nothing was looked for."""
    secret, given = release.secrets(lab.folder)
    assert len(secret - given) >= len(source.sources(lab.folder))
