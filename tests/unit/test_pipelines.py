"""The parts of a pipeline of every day: what is delivered, the small model, the store of models."""

import pandas as pd
import pytest

from course import pipelines, storage

DAYS = ["2013-11-04", "2013-11-05"]


@pytest.fixture(scope="module")
def delivered():
    return pipelines.delivered(DAYS)


def test_a_day_is_delivered_the_same_each_time(delivered):
    day = delivered["2013-11-05"]
    assert list(day) == pipelines.COLUMNS
    assert len(day) == pipelines.FLIGHTS_PER_DAY
    assert set(day["late"]) == {0, 1}
    assert day["planned_departure"].str.startswith("2013-11-05").all()
    pd.testing.assert_frame_equal(day, pipelines.delivered(["2013-11-05"])["2013-11-05"])


def test_a_table_survives_its_csv(delivered):
    day = delivered["2013-11-05"]
    assert pipelines.from_csv(pipelines.to_csv(day)).to_dict() == day.to_dict()


def test_a_model_knows_what_it_has_seen_and_beats_nonsense(delivered):
    model = pipelines.train(pd.concat(delivered.values()), "2013-11-06")
    assert (model["trained_from"], model["trained_until"], model["flights"]) == (*DAYS, 300)
    nonsense = {**model, "intercept": 4.0, "coefficients": [0.0] * len(model["coefficients"])}
    assert pipelines.score(model, delivered["2013-11-05"]) < pipelines.score(nonsense, delivered["2013-11-05"])


def test_one_outcome_teaches_nothing(delivered):
    with pytest.raises(ValueError, match="one outcome only"):
        pipelines.train(delivered["2013-11-05"].assign(late=0), "never")


def test_a_name_always_means_the_same_model(tmp_path, delivered):
    models = pipelines.ModelStore(storage.FolderStore(tmp_path))
    model = pipelines.train(delivered["2013-11-04"], "2013-11-05")
    assert models.production() is None
    models.add(model)
    models.add(model)
    with pytest.raises(pipelines.StoreError, match="another model"):
        models.add({**model, "intercept": 0.0})
    models.promote("2013-11-05")
    assert models.production() == model
    with pytest.raises(storage.Missing):
        models.promote("2013-11-30")
    assert models.promotions() == ["2013-11-05"]


def test_now_and_alerts_follow_their_settings(tmp_path, monkeypatch):
    assert str(pipelines.now()) == "2013-12-01 00:00:00"
    monkeypatch.setenv(pipelines.NOW, "2013-11-06T06:00")
    assert str(pipelines.now()) == "2013-11-06 06:00:00"
    monkeypatch.setenv(pipelines.ALERTS, str(tmp_path / "alerts"))
    pipelines.alert("2013-11-05", "it failed")
    assert (tmp_path / "alerts" / "2013-11-05.txt").read_text() == "it failed\n"
