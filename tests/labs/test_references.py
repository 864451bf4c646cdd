"""What labs start from is what the solutions of the lab before give today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from course import handover
from course.labs import description, trials

REPOSITORY = Path(__file__).resolve().parents[2]
STARTING = [lab.name for lab in description.of_course(REPOSITORY, drafts=True) if lab.starts_from]


@pytest.fixture(params=STARTING)
def starting(request, tmp_path) -> tuple[Path, description.Origin]:
    """The whole reference of a lab that starts from another, and what it takes."""
    lab, folder = REPOSITORY / "solutions" / request.param, tmp_path / "reference"
    handover.copy_reference(lab, folder)
    return folder, handover.rule(lab)


@pytest.mark.slow
@pytest.mark.timeout(2700)  # the first to ask runs the notebooks before it, too
def test_a_reference_predicts_what_a_fresh_run_of_the_solutions_predicts(starting, labs, stages, tmp_path):
    reference, rule = starting
    before = next(lab for lab in labs if lab.name == rule.lab)
    shipped = stages.folder(before, len(before.notebooks)) / "shipped"
    (fresh := tmp_path / "fresh").mkdir()
    trials.collect(shipped, fresh, rule.takes)
    fresh, kept = trials.trial(fresh, rule), trials.trial(reference, rule)
    np.testing.assert_allclose(kept, fresh, atol=1e-6, err_msg="run: make reference")


@pytest.mark.parametrize("name", STARTING)
def test_a_reference_stores_no_file_that_it_inherits(name):
    lab = REPOSITORY / "solutions" / name
    stored = {place: lab / description.REFERENCE / place for place in description.inherited(lab)}
    inherited = description.inherited(lab)
    twice = [
        place for place, own in stored.items() if own.exists() and own.read_bytes() == inherited[place].read_bytes()
    ]
    assert twice == [], "run: make reference"


def test_a_reference_was_made_with_the_locked_scikit_learn(starting):
    reference, rule = starting
    recorded = json.loads((reference / rule.model).with_name("versions.json").read_text())
    recorded = {**recorded, **recorded.get("packages", {})}
    locked = re.search(r"^scikit-learn==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert recorded.get("scikit-learn", recorded.get("sklearn")) == locked[1]
