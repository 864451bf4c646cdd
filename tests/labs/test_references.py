"""What labs start from is what the solutions of the lab before give today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from course import handover
from course.labs import source

REPOSITORY = Path(__file__).resolve().parents[2]
STARTING = [lab.name for lab in source.labs(REPOSITORY) if lab.name in handover.HANDOVERS]


@pytest.fixture(params=STARTING)
def starting(request) -> tuple[Path, handover.Handover]:
    """The reference of a lab that starts from another, and what it takes."""
    return REPOSITORY / "solutions" / request.param / handover.REFERENCE, handover.rule(request.param)


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first to ask runs the notebooks before it, too
def test_a_reference_predicts_what_a_fresh_run_of_the_solutions_predicts(starting, labs, stages, tmp_path):
    reference, rule = starting
    before = next(lab for lab in labs if lab.name == rule.before)
    handover.collect(stages.folder(before, len(before.notebooks)) / "shipped", tmp_path, rule.takes)
    fresh, kept = handover.trial(tmp_path, rule), handover.trial(reference, rule)
    np.testing.assert_allclose(kept, fresh, atol=1e-6, err_msg="run: make reference")


def test_a_reference_was_made_with_the_locked_scikit_learn(starting):
    reference, rule = starting
    recorded = json.loads((reference / rule.model).with_name("versions.json").read_text())
    recorded = {**recorded, **recorded.get("packages", {})}
    locked = re.search(r"^scikit-learn==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert recorded.get("scikit-learn", recorded.get("sklearn")) == locked[1]
