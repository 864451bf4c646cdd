"""Handing in: what is in the zip, what the receipt proves, what is said about it, and where a student stands."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import zipfile

import nbformat
import pytest

from course.base.result import MIME, CheckRecord, Outcome, Result
from course.student import handing_in, receipts, saved_notebooks, status
from course.student.handing_in import HandingInError

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
RECORD = Result("Two numbers", 6, (CheckRecord("near", "it is near", Outcome.PASS, 1, 4),)).to_dict()


def code(source, outputs=(), **marks):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata={"nbgrader": marks} if marks else {})


def result(record):
    return nbformat.v4.new_output("execute_result", data={MIME: record, "text/plain": "1"}, execution_count=1)


@pytest.fixture
def lab(tmp_path):
    """A lab's folder with one notebook that ships features.py, and that file shipped."""
    folder = tmp_path / "labs" / "01_tiny"
    write(folder, code("%%ship features.py\nX = 1", solution=True, grade_id="a"))
    (folder / "shipped").mkdir()
    (folder / "shipped" / "features.py").write_text("X = 1\n")
    return folder


def write(folder, *cells, name="01_answer.ipynb"):
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), folder / name)


# -- the zip -----------------------------------------------------------------------------------------------------------


def test_the_zip_holds_the_work_and_the_receipt_and_leaves_out_what_instructors_have(lab):
    for name in (
        "given/data.csv",
        ".ipynb_checkpoints/a.ipynb",
        "__pycache__/a.pyc",
        "late-flights/src/a.py",
        "own.py",
    ):
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / name).write_text("x")
    done = handing_in.hand_in(lab, at=NOON)
    with zipfile.ZipFile(done.zip) as archive:
        names = set(archive.namelist())
        receipt = receipts.read(archive.read("01_tiny/receipt.json"))
    files = {"01_answer.ipynb", "shipped/features.py", "late-flights/src/a.py", "own.py"}
    assert names == {f"01_tiny/{name}" for name in {*files, "receipt.json"}}
    assert done.zip == lab.parent.parent / "handed_in" / "01_tiny-20260301-120000.zip"
    assert receipt == done.receipt == receipts.read(done.kept.read_bytes())
    assert (set(receipt.files), receipt.time) == (files, NOON)
    assert done.remarks == ()
    assert f"receipt {receipt.code}" in str(done)


def test_equal_work_at_an_equal_time_has_an_equal_code_and_any_change_another(lab, tmp_path):
    first = handing_in.hand_in(lab, tmp_path / "a", at=NOON).receipt.code
    assert handing_in.hand_in(lab, tmp_path / "b", at=NOON).receipt.code == first
    later = handing_in.hand_in(lab, tmp_path / "c", at=NOON + dt.timedelta(seconds=1)).receipt.code
    (lab / "shipped" / "features.py").write_text("X = 2\n")
    changed = handing_in.hand_in(lab, tmp_path / "d", at=NOON).receipt.code
    assert len({first, later, changed}) == 3


def test_links_and_pipes_stay_and_are_named(lab):
    (lab / "secret").symlink_to("/etc/passwd")
    (lab / "folder").symlink_to("/etc")
    os.mkfifo(lab / "pipe")
    done = handing_in.hand_in(lab)
    assert set(done.receipt.files) == {"01_answer.ipynb", "shipped/features.py"}
    assert sorted(remark.split()[0] for remark in done.remarks) == ["folder", "pipe", "secret"]


@pytest.mark.parametrize("year", [1970, 2500])
def test_a_wrong_clock_does_not_keep_anybody_from_handing_in(lab, year):
    done = handing_in.hand_in(lab, at=NOON.replace(year=year))
    assert zipfile.ZipFile(done.zip).testzip() is None
    assert done.receipt.time.year == year


def test_what_is_too_large_is_named(lab, monkeypatch):
    monkeypatch.setattr(handing_in, "MAX_TOTAL_BYTES", 2000)
    (lab / "large.bin").write_bytes(bytes(3000))
    with pytest.raises(HandingInError, match=r"largest: large.bin"):
        handing_in.hand_in(lab)
    monkeypatch.setattr(handing_in, "MAX_FILE_BYTES", 1000)
    with pytest.raises(HandingInError, match=r"large.bin has 0 MiB"):
        handing_in.hand_in(lab)


def test_a_notebook_that_cannot_be_read_is_named_and_nothing_is_made(lab):
    (lab / "02_more.ipynb").write_text("{")
    with pytest.raises(saved_notebooks.UnreadableNotebook, match=r"02_more.ipynb cannot be read.*save it"):
        handing_in.hand_in(lab)
    assert not (lab.parent.parent / "handed_in").exists()


def test_another_folder_is_no_lab(tmp_path):
    with pytest.raises(HandingInError, match="no lab's folder"):
        handing_in.hand_in(tmp_path)


def test_a_place_that_cannot_be_written_to_is_said(lab, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HandingInError, match=r"cannot be written to.*--to"):
        handing_in.hand_in(lab, tmp_path / "file" / "below")


# -- remarks -----------------------------------------------------------------------------------------------------------


def test_nothing_shipped_is_said(lab):
    (lab / "shipped" / "features.py").unlink()
    first, second = handing_in.hand_in(lab).remarks
    assert "not shipped yet, run the cell of features.py" in first
    assert "nothing is shipped yet" in second


def test_a_shipped_file_that_the_saved_notebook_does_not_hold_is_said(lab):
    (lab / "shipped" / "features.py").write_text("X = 2\n")
    (remark,) = handing_in.hand_in(lab).remarks
    assert remark.startswith("01_answer.ipynb: the saved notebook does not hold what was shipped as features.py")


def test_a_template_that_was_run_as_it_was_given_is_said(lab):
    template = "# YOUR CODE HERE\nraise NotImplementedError()"
    write(lab, code(f"%%ship a.py\n{template}", solution=True, grade_id="b"), name="02_more.ipynb")
    (lab / "shipped" / "a.py").write_text(template + "\n")
    (remark,) = handing_in.hand_in(lab).remarks
    assert remark.startswith("02_more.ipynb: what was shipped as a.py is the cell as it was given")


@pytest.mark.parametrize(
    ("source", "shipped"),
    [
        ("%%ship Makefile\ntest:\n    pytest\n", "test:\n\tpytest\n"),
        ('%%ship --no-run "my file.py"\nX = 1', "X = 1\n"),
        ("%%ship a.py\n# YOUR CODE HERE\nraise NotImplementedError()", "X = 1\n"),
    ],
    ids=["tabs in a Makefile", "a name with a space", "a blank"],
)
def test_what_shipping_itself_changes_is_no_difference(lab, source, shipped):
    write(lab, code(source, solution=True, grade_id="b"), name="02_more.ipynb")
    name = source.splitlines()[0].removeprefix("%%ship ").removeprefix("--no-run ").strip('"')
    (lab / "shipped" / name).write_text(shipped)
    assert handing_in.hand_in(lab).remarks == ()


# -- receipts ----------------------------------------------------------------------------------------------------------


def test_differences_name_what_is_missing_new_or_changed(lab, tmp_path):
    receipt = handing_in.hand_in(lab, tmp_path).receipt
    assert receipts.differences(lab, receipt) == []
    (lab / "shipped" / "features.py").write_text("X = 2\n")
    (lab / "new.py").write_text("")
    (lab / "01_answer.ipynb").unlink()
    assert receipts.differences(lab, receipt) == [
        "01_answer.ipynb is missing",
        "new.py is new",
        "shipped/features.py was changed",
    ]


def test_a_receipt_whose_times_or_hashes_were_edited_has_another_code(lab):
    done = handing_in.hand_in(lab, at=NOON)
    plain = json.loads(done.kept.read_text())
    plain["time"] = "2026-02-01T00:00:00Z"
    assert receipts.read(json.dumps(plain).encode()).code != plain["code"]


# -- where a student stands --------------------------------------------------------------------------------------------


def test_points_come_from_the_results_in_the_saved_notebook(lab):
    write(
        lab,
        code("...", [result(RECORD)], grade=True, grade_id="b", points=6),
        code('question = Question("The rule", points=4)', grade=True, grade_id="c", points=4),
        nbformat.v4.new_markdown_cell("## Exercise 3: why\n"),
        nbformat.v4.new_markdown_cell("YOUR ANSWER HERE", metadata={"nbgrader": {"grade": True, "points": 5}}),
        name="02_more.ipynb",
    )
    now = status.of(lab)
    assert status.points(now) == "1 of 8 points by visible checks (and 2 by hidden ones, 5 by a person)"
    assert [(question.title, question.missing) for question in now.questions] == [
        ("Two numbers", "1 of 4 points"),
        ("The rule", "not checked yet; run its check"),
        ("why", "not written yet"),
    ]
    assert "The rule: not checked yet" in status.text(now, details=True)
    assert now.started


def test_what_hidden_checks_decide_is_known_before_a_check_has_run(lab):
    source = (
        'question = Question("The rule", points=9)\n@question.check(points=2)\n@question.check(points=3, needs=one)\n'
    )
    made = 'question = Question("Mutants", points=4)\nfor one in variants:\n    question.check(points(one))(judge(one))'
    cells = [code(text, grade=True, grade_id=text[:9], points=worth) for text, worth in ((source, 9), (made, 4))]
    write(lab, *cells, name="02_more.ipynb")
    assert status.points(status.of(lab)) == "0 of 9 points by visible checks (and 4 by hidden ones)"


def test_a_blank_lab_is_not_started(lab):
    assert not status.of(lab).started


def test_it_needs_nothing_that_takes_long_to_import():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import course.student.status, sys; print({'pandas', 'nbformat', 'course.checks'} & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "set()"
