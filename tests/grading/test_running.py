"""Notebooks run in a lab's folder."""

from __future__ import annotations

import json

import pytest

from course.base.names import UnknownName
from course.labs import notebooks, running

pytestmark = pytest.mark.timeout(300)  # kernels start


def test_a_failing_cell_stops_a_solution_with_its_error(make_notebook, tmp_path):
    with pytest.raises(running.RunError, match="ZeroDivisionError"):
        running.execute(make_notebook(("py", "1 / 0")), tmp_path)


def test_a_syntax_error_does_not_take_the_rest_with_it(make_notebook, tmp_path):
    done = running.execute(make_notebook(("py", "def f(:"), ("py", "6 * 7")), tmp_path, allow_errors=True)
    assert done.cells[1].outputs[0].data["text/plain"] == "42"


def test_a_kernel_works_in_the_labs_folder_with_one_thread(make_notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", "/elsewhere")
    code = """import os\nfrom course import shipping\nf'{shipping.folder()} {os.environ["OMP_NUM_THREADS"]}'"""
    done = running.execute(make_notebook(("py", code)), tmp_path)
    assert done.cells[0].outputs[0].data["text/plain"] == repr(f"{tmp_path / 'shipped'} 1")


def test_the_original_is_not_changed(make_notebook, tmp_path):
    notebook = make_notebook(("py", "1"))
    running.execute(notebook, tmp_path)
    assert notebook.cells[0].outputs == []


def test_an_answer_replaces_the_solution_only_where_there_is_one(course_root):
    original = notebooks.read(course_root / "solutions" / "01_tiny" / "01_answer.ipynb")
    result = running.with_answers(original, {"01-1-sum-answer": "answers['sum'] = 1\n"})
    assert "answers['sum'] = 1" in [cell.source for cell in result.cells]
    with pytest.raises(running.RunError, match="'01-1-sum'; there are: 01-1-file-answer, 01-1-sum-answer"):
        running.with_answers(original, {"01-1-sum": "x"})


def test_notebooks_are_picked_by_name_number_or_path(course_root):
    lab = course_root / "solutions" / "01_tiny"
    for name in ("2", "02", "02_module", "02_module.ipynb", str(lab / "02_module.ipynb")):
        assert [path.name for path in running.pick(lab, [name])] == ["02_module.ipynb"]
    assert len(running.pick(lab)) == 2
    with pytest.raises(UnknownName, match="there are: 01_answer, 02_module"):
        running.pick(lab, ["9"])
    with pytest.raises(running.RunError, match="no notebooks in"):
        running.pick(lab / "shipped")


def test_stored_outputs_come_from_a_clean_folder_in_the_order_of_the_lab(course_root, tmp_path):
    lab = course_root / "solutions" / "01_tiny"
    second = lab / "02_module.ipynb"
    before = second.read_text(), (lab / "01_answer.ipynb").read_text()
    notebook = notebooks.read(second)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    notebooks.write(notebook, second)
    running.store_outputs([second], tmp_path / "work")
    assert (second.read_text(), (lab / "01_answer.ipynb").read_text()) == before
    assert not (lab / "shipped").exists()


@pytest.mark.slow
def test_check_runs_only_the_grade_cells(released_root, run_course):
    folder = released_root / "labs" / "01_tiny"
    blank = run_course(released_root, "check", str(folder))
    assert blank.exit_code == 1
    assert "✗ answers['sum'] is shipped" in blank.output
    assert "01_tiny: 0 of 50 points, 40 more are decided by hidden checks" in blank.output
    (folder / "shipped").mkdir()
    (folder / "shipped" / "answers.json").write_text('{"sum": 42}')
    (folder / "shipped" / "project.yaml").write_text("name: x\n")
    (folder / "shipped" / "doubling.py").write_text("def double(x):\n    return 2 * x\n")
    full = run_course(released_root, "check", "01", "--json")
    assert full.exit_code == 0, full.output
    record = json.loads(full.output)
    assert (record["score"], [one["grade_id"] for one in record["questions"]]) == (
        50,
        ["01-1-sum", "01-1-file", "01-2-double"],
    )


@pytest.mark.parametrize(("switch", "shown"), [("off", 0), ("", 1)])
def test_progress_can_be_left_out_for_programs_that_keep_every_output(
    make_notebook, tmp_path, monkeypatch, switch, shown
):
    monkeypatch.setenv("COURSE_PROGRESS", switch)
    code = "from course.checks.core import progress\nprogress.show('version 3 of 12')"
    done = running.execute(make_notebook(("py", code)), tmp_path)
    assert len(done.cells[0].outputs) == shown
