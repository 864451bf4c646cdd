"""The log as the service wrote it, and the table of facts, agree; each incident does what it says."""

from __future__ import annotations

import json

import pytest

from course import production

DAY = ("2013-11-03", "2013-11-04")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return production.lines(*DAY)


def test_each_line_is_a_fact(lines):
    facts = production.facts(*DAY)
    rows = {row["prediction"]: row for row in map(json.loads, lines)}
    assert set(rows) == set(facts["prediction"])
    assert len(rows) == len(lines) == len(facts)
    for fact in facts.iloc[::90].to_dict("records"):
        row = rows[fact["prediction"]]
        assert all(row[name] == fact[name] for name in ("carrier", "flight", "warned", "probability", "model"))
        assert row["planned_departure"] == fact["planned_departure"].isoformat()


def test_facts_know_only_what_was_known():
    early, late = production.facts(*DAY, "2013-11-03 15:00"), production.facts(*DAY)
    assert (early["outcome"] == "unknown").any()
    assert not (late["outcome"] == "unknown").any()
    known = early[early["outcome"] != "unknown"].set_index("prediction")["outcome"]
    assert known.equals(late.set_index("prediction")["outcome"].loc[known.index])
    assert production.facts(*DAY, "2013-11-02 12:00")["asked_at"].max() < early["asked_at"].max()


def test_two_models_answered_one_after_the_other():
    models = production.facts("2013-10-14", "2013-10-16").groupby("model")["planned_departure"].agg(["min", "max"])
    assert models["max"]["v1"] < models["min"]["v2"]


def test_incidents_of_the_log(lines):
    broken = production.torn(lines, 10)
    cut = [line for line, whole in zip(broken, lines, strict=True) if line != whole]
    assert len(cut) == -(-len(lines) // 10)
    for line in cut:
        with pytest.raises(ValueError):
            json.loads(line)
    assert sorted(production.repeated(lines, 10)) == sorted([*lines, *lines[::10]])
    again = list(map(json.loads, production.asked_again(lines, 10)))
    assert len({row["prediction"] for row in again}) == len(again) == len(lines) + -(-len(lines) // 10)


def test_corrections_come_later():
    feed = production.outcomes(*DAY)
    corrected = production.corrected(feed, 10, 2)
    new = corrected.iloc[len(feed) :].reset_index(drop=True)
    old = feed.iloc[::10].reset_index(drop=True)
    assert (new["known_at"] > old["known_at"]).all()
    assert (new["outcome"] != old["outcome"]).all()
