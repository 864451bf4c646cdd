"""Workflow files, read as data: right ones in other styles, and wrong ones with their reason."""

from __future__ import annotations

import pytest

from course.checks.core.expectations import CheckFailed
from course.checks.files.workflows import Workflow, workflow

DIGEST = "11bd71901bbe5b1630ceea73d27597364c9af683"
SOUND = f"""
on:
  push:
    tags: ["v*"]
permissions:
  contents: read
jobs:
  release:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{DIGEST}
      - run: make release
        env:
          PASSWORD: ${{{{ secrets.PASSWORD }}}}
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A function that ships a workflow and judges all of it."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))

    def judge(text: str) -> Workflow:
        (tmp_path / "release.yml").write_text(text)
        found = workflow("release.yml")
        found.must_start_with("v")
        found.must_run("make release")
        found.must_have_least_permissions()
        found.must_pin_actions()
        found.must_keep_secrets()
        return found

    return judge


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\n"),
        ('on:\n  push:\n    tags: ["v*"]', '"on": {push: {tags: v*.*}, workflow_dispatch: }'),
        ("run: make release", "run: set -euo pipefail && make release VERSION=1"),
        ("run: make release", 'run: echo "$PASSWORD" | docker login --password-stdin example.org; make release'),
        ("contents: read", "contents: read\n  id-token: write"),
    ],
)
def test_a_sound_workflow_passes_in_any_style(judge, old, new):
    judge(SOUND.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("on:\n", "on:\n  pull_request_target:\n", "pull_request_target"),
        ("on:\n", "on:\n  schedule: [{cron: 0 0 * * *}]\n", "other events"),
        ('tags: ["v*"]', "branches: [main]", "a push to a branch"),
        ("make release", "make test", "no step runs make release"),
        ("make release", "make release || true", "the job goes on"),
        ("permissions:\n  contents: read\n", "", "has no permissions"),
        ("contents: read", "contents: write", "the permission contents"),
        ("permissions:\n  contents: read", "permissions: write-all", "the permissions of the job"),
        (DIGEST, "v4", "not pinned"),
        ("make release", "make release P=${{ secrets.PASSWORD }}", "an expression in the script"),
        ("run: make release", 'run: |\n          echo "$PASSWORD"\n          make release', "prints a secret"),
        ("run: make release", "run: |\n          set -x\n          make release", "prints a secret"),
        ("run: make release", "run: |\n          env\n          make release", "prints a secret"),
        ("    runs-on: ubuntu-24.04\n", "", "no runs-on"),
        (SOUND, "[1, 2]", "must be a dictionary"),
    ],
)
def test_a_fault_is_named(judge, old, new, reason):
    with pytest.raises(CheckFailed, match=reason):
        judge(SOUND.replace(old, new))
