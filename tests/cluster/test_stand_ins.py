"""Stand-ins for a student's image: pinned, built once for a registry, and each of a version of its own."""

from __future__ import annotations

import pytest

from course.checks.kubernetes.stand_ins import stand_in

pytestmark = pytest.mark.cluster


def test_a_stand_in_is_pinned_and_made_once():
    first = stand_in("1")
    assert "@sha256:" in first
    stand_in.cache_clear()
    assert stand_in("1") == first


def test_each_version_is_an_image_of_its_own():
    assert stand_in("1") != stand_in("2")
