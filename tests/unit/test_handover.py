"""A lab starts from the student's own work where that works, and else from the reference, and says which and why."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from course import handover
from course.labs import description, running, trials

SOLUTIONS = Path(__file__).resolve().parents[2] / "solutions"
REFERENCE = SOLUTIONS / "02_serialisation" / handover.REFERENCE


def a_lab(name: str, folder: Path) -> Path:
    """The folder of a lab as students have it, without its notebooks."""
    lab = folder / "labs" / name
    lab.mkdir(parents=True)
    shutil.copyfile(SOLUTIONS / name / description.FILE, lab / description.FILE)
    if (SOLUTIONS / name / handover.REFERENCE).is_dir():
        shutil.copytree(SOLUTIONS / name / handover.REFERENCE, lab / handover.REFERENCE)
    return lab


@pytest.fixture
def lab(tmp_path) -> Path:
    """The folder of lab 02 with its reference, and nothing of lab 01 beside it."""
    return a_lab("02_serialisation", tmp_path)


@pytest.fixture
def own(lab) -> Path:
    """What a student shipped in lab 01: here, the same as the reference."""
    return Path(shutil.copytree(REFERENCE, lab.parent / "01_python_model" / "shipped"))


def test_without_own_work_the_reference_is_taken_and_this_is_said(lab, capsys):
    start = handover.receive(lab)
    assert capsys.readouterr().out == "This lab starts from the reference, because yours is not there.\n"
    assert not start.own
    assert start.folder == lab / "handed_over"
    assert sorted(path.name for path in start.folder.iterdir()) == ["features.py", "model"]


def test_own_work_that_predicts_is_taken_with_its_modules(lab, own):
    (own / "helpers.py").write_text("")
    (own / "test_features.py").write_text("")
    start = handover.receive(lab)
    assert start.own
    assert start.why == "This lab starts from your own work of lab 01: it opens and predicts."
    assert sorted(path.name for path in start.folder.glob("*.py")) == ["features.py", "helpers.py"]


def test_what_was_tried_is_not_tried_again_until_it_changes(lab, own, monkeypatch):
    handover.receive(lab)
    tried = []
    monkeypatch.setattr(handover, "trial", lambda *arguments: tried.append(arguments))
    assert handover.receive(lab).own
    assert tried == []
    (own / "features.py").write_text((own / "features.py").read_text() + "\n# changed\n")
    handover.receive(lab)
    assert len(tried) == 1


def test_own_work_stays_when_a_lab_is_graded_without_the_one_before(lab, own, monkeypatch):
    handover.receive(lab)
    shutil.rmtree(own.parent)
    assert handover.receive(lab).own
    monkeypatch.setattr(handover, "trial", lambda *_: pytest.fail("it was tried before"))
    assert handover.receive(lab).own


def test_a_schema_is_handed_over_without_references_and_with_its_new_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "trial", lambda *_: None)
    lab = a_lab("03_flask_api", tmp_path)
    shutil.copytree(lab / handover.REFERENCE, shipped := lab.parent / "02_serialisation" / "shipped")
    path = shipped / "artifact" / "schema.json"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    plain = json.loads(path.read_text())
    dest = plain["properties"]["dest"]
    path.write_text(
        json.dumps(
            {**plain, "$defs": {"a": dest}} | {"properties": {**plain["properties"], "dest": {"$ref": "#/$defs/a"}}}
        )
    )
    sums = path.with_name("SHA256SUMS")
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest()))
    artifact = handover.receive(lab).folder / "artifact"
    data = (artifact / "schema.json").read_bytes()
    assert json.loads(data) == plain
    assert f"{hashlib.sha256(data).hexdigest()}  schema.json" in (artifact / "SHA256SUMS").read_text()
    assert handover.receive(lab).own


def test_a_copy_that_somebody_changed_is_tried_again(lab, own):
    handover.receive(lab)
    shutil.rmtree(own.parent)
    (lab / "handed_over" / "features.py").write_text("")
    assert not handover.receive(lab).own


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda own: (own / "model" / "model.joblib").write_bytes(b""), "does not open: EOFError"),
        (lambda own: (own / "features.py").unlink(), "does not open: ModuleNotFoundError"),
        (lambda own: (own / "features.py").write_text("schedule_features = print"), "does not predict planned flights"),
        (lambda own: (own / "model" / "model.joblib").unlink(), "lacks model.joblib"),
        (lambda own: shutil.rmtree(own / "model"), "is not there (no model among the shipped files)"),
        (lambda own: os.symlink("/etc/hosts", own / "other.py"), "holds something else than ordinary files"),
        (lambda own: os.mkfifo(own / "model" / "pipe"), "holds something else than ordinary files"),
    ],
)
def test_own_work_that_does_not_work_is_passed_over_with_the_reason(lab, own, spoil, why):
    spoil(own)
    start = handover.receive(lab)
    assert not start.own
    assert start.why.startswith(f"This lab starts from the reference, because yours {why}")
    assert str(lab) not in start.why
    assert (start.folder / "model" / "model.joblib").read_bytes() == (REFERENCE / "model/model.joblib").read_bytes()


CONSTANT = """
import numpy as np


class Constant:
    def predict_proba(self, planned):
        return np.full((len(planned), 2), 0.5)
"""


def test_a_model_that_ranks_like_a_coin_is_passed_over(lab, own):
    (own / "constant.py").write_text(CONSTANT)
    (own / "model" / "model.joblib").write_bytes(b"\x80\x04cconstant\nConstant\n)\x81.")
    assert "hardly better than a coin (AUC 0.50)" in handover.receive(lab).why


def test_a_pickle_of_something_else_is_passed_over(lab, own):
    (own / "model" / "model.joblib").write_bytes(pickle.dumps({"a": 1}))
    assert "does not give one probability for each flight" in handover.receive(lab).why


def test_own_work_is_opened_in_another_process_only(lab, own, tmp_path):
    mark = tmp_path / "mark"
    line = f"import os; open({str(mark)!r}, 'w').write(str(os.getpid()))"
    (own / "model" / "model.joblib").write_bytes(b"cbuiltins\nexec\n(V" + line.encode() + b"\ntR.")
    assert not handover.receive(lab).own
    assert not mark.exists() or int(mark.read_text()) != os.getpid()


def test_work_that_is_far_too_large_is_passed_over(lab, own, monkeypatch):
    monkeypatch.setattr(trials, "MAX_BYTES", 1000)
    start = handover.receive(lab)
    assert not start.own
    assert "is too large" in start.why


def test_what_was_handed_over_before_is_replaced_whole(lab):
    (lab / "handed_over").mkdir()
    (lab / "handed_over" / "old.txt").write_text("")
    handover.receive(lab)
    assert not (lab / "handed_over" / "old.txt").exists()
    assert sorted(path.name for path in lab.iterdir()) == ["given", "handed_over", "lab.yaml"]


def test_without_a_reference_it_says_what_is_missing(lab):
    shutil.rmtree(lab / "given")
    with pytest.raises(handover.HandoverError, match="02_serialisation/given/reference is not there"):
        handover.receive(lab)


def test_a_lab_that_starts_from_nothing_and_a_folder_that_is_no_lab_are_told_apart(tmp_path):
    with pytest.raises(handover.HandoverError, match="'01_python_model' starts from no other lab"):
        handover.receive(a_lab("01_python_model", tmp_path))
    with pytest.raises(handover.HandoverError, match=r"there is no lab\.yaml in labs, so this is no lab's folder"):
        handover.receive(tmp_path / "labs")


def whole(lab: Path) -> dict[str, bytes]:
    """What a lab receives, by path."""
    folder = handover.receive(lab).folder
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_reference_is_whole_though_earlier_labs_store_a_part_of_it(tmp_path):
    for name in ("03_flask_api", "04_docker", "05_k8s"):
        lab = a_lab(name, tmp_path)
    received = whole(lab)
    artifact = SOLUTIONS / "03_flask_api" / handover.REFERENCE / "artifact"
    assert received["image/artifact/model.onnx"] == (artifact / "model.onnx").read_bytes()
    assert {"image/Dockerfile", "image/production.py", "image/templates/ask.html"} <= received.keys()
    trials.trial(lab / "handed_over", handover.rule(lab))


def test_a_file_that_a_lab_stores_itself_comes_before_the_one_that_it_inherits(tmp_path):
    for name in ("03_flask_api", "04_docker"):
        lab = a_lab(name, tmp_path)
    (lab / handover.REFERENCE / "artifact").mkdir()
    (lab / handover.REFERENCE / "artifact" / "card.md").write_text("another card")
    received = whole(lab)
    assert received["artifact/card.md"] == b"another card"
    assert "artifact/model.joblib" in received


def test_a_lab_that_is_alone_says_which_folder_it_needs(tmp_path):
    with pytest.raises(
        handover.HandoverError, match=r"lacks artifact/model\.joblib\. .*put the folder 03_flask_api beside"
    ):
        handover.receive(a_lab("04_docker", tmp_path))


def test_a_lab_is_laid_out_with_its_whole_reference(tmp_path):
    alone = running.clean_copy(SOLUTIONS / "05_k8s", tmp_path / "05_k8s")
    assert "image/artifact/model.joblib" in whole(alone)


def test_the_flights_of_the_trial_are_the_same_each_time():
    plan, late = trials.trial_flights()
    again, _ = trials.trial_flights()
    assert plan.equals(again)
    assert len(plan) == len(late) == 2_000
    assert np.isin(late, [True, False]).all()


@pytest.fixture
def docker_lab(tmp_path) -> Path:
    """The folder of lab 04 with its reference, and a student's service of lab 03 beside it: the same."""
    before, lab = a_lab("03_flask_api", tmp_path), a_lab("04_docker", tmp_path)
    handover.copy_reference(lab, before / "shipped")
    return lab


def test_a_service_that_answers_as_its_model_does_is_taken_with_its_page(docker_lab):
    start = handover.receive(docker_lab)
    assert start.own, start.why
    assert {"api.py", "artifact", "choices.json", "gunicorn.conf.py", "production.py", "templates"} <= {
        path.name for path in start.folder.iterdir()
    }


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("production.py", None, "lacks production.py"),
        ("api.py", "raise NotImplementedError()", "does not start: NotImplementedError"),
        (
            "production.py",
            "from flask import Flask\napp = Flask(__name__)",
            "does not answer planned flights with predictions (status 404)",
        ),
        (
            "scoring.py",
            "class Scorer:\n def __init__(self, _): pass\n def probabilities(self, many): return [0.3] * len(many)",
            "answers with other probabilities than its model's",
        ),
    ],
)
def test_a_service_that_cannot_be_built_upon_is_passed_over(docker_lab, name, text, why):
    place = docker_lab.parent / "03_flask_api" / "shipped" / name
    place.unlink() if text is None else place.write_text(text)
    start = handover.receive(docker_lab)
    assert start.why == f"This lab starts from the reference, because yours {why}."
    assert "create_app" in (start.folder / "production.py").read_text()


def test_a_page_that_was_never_written_takes_nothing_from_a_service_that_answers(docker_lab):
    shutil.rmtree(docker_lab.parent / "03_flask_api" / "shipped" / "templates")
    assert handover.receive(docker_lab).own
