"""What students find in place of a solution."""

from __future__ import annotations

import pytest

from course.labs.stubs import ClearShippedSolutions

REGION = "### BEGIN SOLUTION\n{}\n### END SOLUTION"


def cleared(make_notebook, text, role=None):
    notebook = make_notebook(("py", text, role or {"grade_id": "a", "solution": True, "grade": False, "locked": False}))
    result, _ = ClearShippedSolutions().preprocess(notebook, {})
    return result.cells[0].source


def test_a_module_gets_pythons_stub_as_deep_as_its_region(make_notebook):
    text = "%%ship features.py\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    stub = "%%ship features.py\ndef f():\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert cleared(make_notebook, text) == stub


def test_a_yaml_file_keeps_what_is_given_and_stays_yaml(make_notebook):
    text = "%%ship project.yaml\nversion: 1\n### BEGIN SOLUTION\nname: x\n### END SOLUTION\nend: 2"
    assert cleared(make_notebook, text) == "%%ship project.yaml\nversion: 1\n# YOUR WORK HERE\nend: 2"


@pytest.mark.parametrize(
    ("magic", "stub"),
    [
        ("%%ship --no-run cli.py", "# YOUR CODE HERE\nraise NotImplementedError()"),
        ("%%draft late-flights/Makefile", "# YOUR WORK HERE"),
        ("%%ship Dockerfile", "# YOUR WORK HERE"),
        ("%%draft late-flights/README.md", "YOUR WORK HERE"),
        ("%%ship config.json", "{}"),
    ],
)
def test_a_cell_that_is_all_solution_keeps_its_magic(make_notebook, magic, stub):
    assert cleared(make_notebook, f"{magic}\nsecret\nlines") == f"{magic}\n{stub}"


def test_a_cell_without_a_magic_is_as_nbgrader_leaves_it(make_notebook):
    assert cleared(make_notebook, REGION.format("x = 1")) == "# YOUR CODE HERE\nraise NotImplementedError()"


def test_a_given_cell_is_left_alone(make_notebook):
    role = {"grade_id": "a", "solution": False, "grade": False, "locked": True}
    assert cleared(make_notebook, "%%ship given.yaml\na: 1", role) == "%%ship given.yaml\na: 1"


def test_one_stub_does_not_leak_into_the_next_cell(make_notebook):
    role = {"solution": True, "grade": False, "locked": False}
    notebook = make_notebook(
        ("py", "%%ship a.yaml\nx: 1", {**role, "grade_id": "a"}), ("py", "x", {**role, "grade_id": "b"})
    )
    result, _ = ClearShippedSolutions().preprocess(notebook, {})
    assert "NotImplementedError" in result.cells[1].source
