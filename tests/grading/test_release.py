"""From solutions/ to labs/."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from nbgrader.utils import compute_checksum

from course.base.names import UnknownName
from course.labs import notebooks, release, source


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_release_strips_solutions_hidden_tests_mark_schemes_and_outputs(course_root):
    release.release(course_root)
    text = "".join(path.read_text() for path in (course_root / "labs").rglob("*") if path.is_file())
    for secret in ("sum([20, 22])", "is_the_sum_of_both", "late flights", "common factor", "BEGIN", '"output_type"'):
        assert secret not in text
    assert "# YOUR WORK HERE" in text
    assert (course_root / "labs" / "index.md").exists()


def test_a_release_is_the_same_each_time_and_changes_nothing_that_did_not_change(course_root):
    first = release.release(course_root)
    before = files(course_root / "labs")
    assert [change.kind for change in first] == ["missing"] * 6
    assert release.release(course_root) == []
    assert files(course_root / "labs") == before


def test_check_changes_nothing_and_shows_the_difference(course_root):
    release.release(course_root)
    path = course_root / "labs" / "01_tiny" / "02_module.ipynb"
    path.write_text(path.read_text().replace("Ship a module", "Ship anything"))
    (course_root / "labs" / "01_tiny" / "old.csv").write_text("1")
    before = files(course_root / "labs")
    changes = release.release(course_root, check=True)
    assert [(change.path, change.kind) for change in changes] == [
        ("01_tiny/02_module.ipynb", "differs"),
        ("01_tiny/old.csv", "has no source"),
    ]
    assert "Ship anything" in str(changes[0])
    assert files(course_root / "labs") == before
    release.release(course_root)
    assert release.release(course_root, check=True) == []
    assert not (course_root / "labs" / "01_tiny" / "old.csv").exists()


def test_what_a_student_shipped_in_labs_is_left_alone(course_root):
    release.release(course_root)
    shipped = course_root / "labs" / "01_tiny" / "shipped" / "answers.json"
    shipped.parent.mkdir()
    shipped.write_text("{}")
    assert release.release(course_root) == []
    assert shipped.exists()


def test_what_an_author_left_by_running_in_place_is_not_released(course_root):
    folder = course_root / "solutions" / "01_tiny"
    for name in ("shipped/doubling.py", "late-flights/secret.py", ".ipynb_checkpoints/01_answer-checkpoint.ipynb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "given.csv").write_text("a,b\n")
    release.release(course_root)
    released = set(files(course_root / "labs" / "01_tiny"))
    questions = {f"checks/{name}.py" for name in ("01-1-sum", "01-1-file", "01-2-double")}
    assert released == {"01_answer.ipynb", "02_module.ipynb", "given.csv"} | questions


def test_one_lab_is_released_by_name_or_number(course_root):
    notebooks = ["01_tiny/01_answer.ipynb", "01_tiny/02_module.ipynb"]
    changed = [change.path for change in release.release(course_root, ["01"]) if change.path.endswith(".ipynb")]
    assert changed == notebooks
    with pytest.raises(UnknownName, match=r"there is no lab '07'.*01_tiny"):
        release.release(course_root, ["07"])


def test_a_lab_with_problems_is_not_released_and_all_are_named(course_root):
    for name in ("01_answer", "02_module"):
        path = course_root / "solutions" / "01_tiny" / f"{name}.ipynb"
        path.write_text(path.read_text().replace("### END SOLUTION", "### END"))
    with pytest.raises(release.ReleaseError) as raised:
        release.release(course_root)
    assert str(raised.value).count("'END SOLUTION' is missing") == 3
    assert not (course_root / "labs").exists()


def test_checksums_are_those_of_what_students_get(course_root):
    """nbgrader compares them: an untouched answer is 'no response', a changed grade cell a warning."""
    release.release(course_root)
    for path in source.sources(course_root / "labs" / "01_tiny"):
        for cell in notebooks.read(path).cells:
            if "checksum" in cell.metadata.get("nbgrader", {}):
                assert cell.metadata.nbgrader.checksum == compute_checksum(cell), cell.id


def test_releasing_does_not_touch_the_gradebook(course_root):
    release.release(course_root)
    assert not (course_root / "classroom" / "gradebook.db").exists()


def test_registering_fills_the_gradebook_with_the_cells(course_root):
    from nbgrader.api import Gradebook

    release.register(course_root)
    with release.messages(), Gradebook(f"sqlite:///{course_root}/classroom/gradebook.db") as gradebook:
        cell = gradebook.find_source_cell("01-1-sum", "01_answer", "01_tiny")
        assert cell.source == source.grade_cell("01-1-sum")
        assert gradebook.find_assignment("01_tiny").max_score == 100


def test_a_solution_line_that_is_also_given_is_no_leak(course_root):
    lab = course_root / "solutions" / "01_tiny"
    release.release(course_root)
    assert release.survivors(lab, course_root / "labs" / "01_tiny") == []
    (course_root / "labs" / "01_tiny" / "notes.txt").write_text("return number + number  # an addition is enough")
    assert "an addition is enough" in release.survivors(lab, course_root / "labs" / "01_tiny")[0]


def test_without_settings_the_error_says_so(tmp_path):
    with pytest.raises(release.ReleaseError, match="nbgrader_config"):
        release.configuration(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)  # a process of nbgrader's own
def test_nbgraders_own_command_writes_the_same_bytes(course_root):
    release.release(course_root)
    ours = files(course_root / "labs" / "01_tiny")
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "01_tiny", "--force"]
    done = subprocess.run(command, cwd=course_root, capture_output=True, text=True, env=dict(os.environ), timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert files(course_root / "labs" / "01_tiny") == ours


def test_students_get_the_questions_without_their_hidden_checks(course_root):
    release.release(course_root)
    text = (course_root / "labs" / "01_tiny" / "checks" / "01-1-sum.py").read_text()
    assert "is_a_number" in text
    assert "is_the_sum_of_both" not in text
    assert "HIDDEN" not in text
    assert "\n\n\n\n" not in text
