"""A shipped model is opened in another process only, and what is wrong with it is said in words."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from course.checks import CheckFailed, Unmet, model, recipes
from course.sandboxed import predictor

pytestmark = pytest.mark.usefixtures("warm_workers")

FLIGHTS = pd.DataFrame({"minute": np.arange(0, 1200, 10), "distance": np.tile([200, 900, 2500], 40)})
LATE = pd.Series(FLIGHTS["minute"] + FLIGHTS["distance"] % 7 * 90 > 900)


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """An empty folder of shipped files."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    return tmp_path


def ship(shipped: Path, thing) -> None:
    """Ship an object as the model."""
    (shipped / "model").mkdir(exist_ok=True)
    joblib.dump(thing, shipped / "model" / "model.joblib")


def ship_class(shipped: Path, methods: str) -> None:
    """Ship, as the model, an object of a class of a shipped module."""
    (shipped / "own_class.py").write_text(f"import numpy as np\nclass Own:\n{methods}\n")
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"\x80\x04\x8c\x09own_class\x8c\x03Own\x93)R.")


def fitted():
    """A model of every-day kind."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FLIGHTS, LATE)


def why(call, *args) -> Unmet:
    """The Unmet that a call raises."""
    with pytest.raises(Unmet) as caught:
        call(*args)
    return caught.value


def test_a_model_gives_the_probability_of_late(shipped):
    made = fitted()
    ship(shipped, made)
    assert model().predict_proba(FLIGHTS) == pytest.approx(made.predict_proba(FLIGHTS)[:, 1])


@pytest.mark.parametrize("words", [("late", "on time"), ("punctual", "late"), (1, 0), ("True", "False"), (True, False)])
def test_the_column_of_late_is_found_by_its_name(shipped, words):
    late, not_late = ("late", "punctual") if "punctual" in words else words
    ship(shipped, LogisticRegression(max_iter=1000).fit(FLIGHTS / 1000, np.where(LATE, late, not_late)))
    p = model().predict_proba(FLIGHTS / 1000)
    assert p[LATE].mean() > p[~LATE].mean()


def test_the_model_may_be_saved_with_pickle(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(pickle.dumps(fitted()))
    assert model().predict_proba(FLIGHTS).shape == (120,)


def test_no_folder_says_that_it_has_to_be_shipped(shipped):
    assert why(model().predict_proba, FLIGHTS).reason == "there is no folder model among the shipped files"


def test_a_folder_without_a_model_names_the_missing_file(shipped):
    (shipped / "model").mkdir()
    assert "there is no model.joblib" in why(model().predict_proba, FLIGHTS).reason


def test_a_link_in_the_folder_is_refused(shipped, tmp_path):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").symlink_to("/etc/hostname")
    with pytest.raises(CheckFailed, match="is a link"):
        model().predict_proba(FLIGHTS)


def test_a_file_that_is_no_model_cannot_be_opened(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"not a pickle")
    assert why(model().predict_proba, FLIGHTS).title == "the model can be opened in a fresh process"


def test_opening_a_model_runs_no_code_in_this_process(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"cos\ngetpid\n(tR.")
    answer = model()._process
    place = str(shipped / "model" / "model.joblib")
    assert answer.request("t", "w", "open_model", "model.joblib", path=place) == {"kind": "int"}
    (shipped / "model" / "model.joblib").write_bytes(b"cos\n_exit\n(I3\ntR.")
    assert "exit status 3" in why(model().predict_proba, FLIGHTS).reason


def test_a_function_of_the_notebook_is_named_and_explained(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"\x80\x04\x8c\x08__main__\x8c\x0cadd_calendar\x93.")
    problem = why(model().predict_proba, FLIGHTS)
    assert problem.reason == "the model needs add_calendar, which was defined in the notebook"
    assert "holds only the names" in problem.hint


def test_a_function_that_a_module_lost_is_told_apart_from_one_of_the_notebook(shipped):
    (shipped / "own_features.py").write_text("")
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"\x80\x04\x8c\x0cown_features\x8c\x0cadd_calendar\x93.")
    assert why(model().predict_proba, FLIGHTS).reason == (
        "the model needs add_calendar of own_features, which has no such name"
    )


def test_a_module_that_did_not_ship_is_named(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "model.joblib").write_bytes(b"cno_such_module\nf\n.")
    problem = why(model().predict_proba, FLIGHTS)
    assert "No module named 'no_such_module'" in problem.reason
    assert "ship them" in problem.hint


def test_a_column_that_is_known_too_late_is_explained(shipped):
    with_delay = FLIGHTS.assign(dep_delay=1.0)
    columns = make_column_transformer((StandardScaler(), ["minute", "dep_delay"]))
    ship(shipped, make_pipeline(columns, LogisticRegression()).fit(with_delay, LATE))
    problem = why(model().predict_proba, FLIGHTS)
    assert problem.title == "the model predicts planned flights"
    assert problem.reason == "the model asks for dep_delay, which planned flights do not have"
    assert "a day before departure" in problem.hint


def test_a_model_without_probabilities_is_told(shipped):
    ship(shipped, RidgeClassifier().fit(FLIGHTS, LATE))
    assert why(model().predict_proba, FLIGHTS).reason == "RidgeClassifier has no predict_proba"


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("np.tile([1, 0], (len(f), 1))", "it returns labels: every value is 0 or 1"),
        ("np.full(len(f), np.nan)", "120 of 120 probabilities are missing (NaN)"),
        ("np.full(len(f), 24.0)", "a probability must lie between 0 and 1"),
        ("np.full(len(f), np.inf)", "a probability must lie between 0 and 1"),
        ("np.full(3, 0.5)", "it returns another number of rows"),
        ("np.full((len(f), 3), 0.5)", "it returns another number of rows"),
        ("np.array(['late'] * len(f))", "it returns something else than numbers"),
    ],
)
def test_what_is_no_probability_is_told(shipped, returned, reason):
    ship_class(shipped, f"    def predict_proba(self, f):\n        return {returned}")
    assert why(model().predict_proba, FLIGHTS).reason == reason


@pytest.mark.parametrize("returned", ["np.full(len(f), 0.25)", "np.full((len(f), 1), 0.25)", "[0.25] * len(f)"])
def test_probabilities_may_come_in_other_shapes(shipped, returned):
    ship_class(shipped, f"    def predict_proba(self, f):\n        return {returned}")
    assert model().predict_proba(FLIGHTS) == pytest.approx(0.25)


def test_a_model_that_does_not_end_is_stopped(shipped):
    ship_class(shipped, "    def predict_proba(self, f):\n        while True: pass")
    made = model(timeout=3)
    assert "did not finish within 3 seconds" in why(made.predict_proba, FLIGHTS).reason


@pytest.mark.parametrize("text", ["{", '{"a": NaN}', "[" * 100_000])
def test_a_metrics_file_that_is_not_json_is_told(shipped, text):
    (shipped / "model").mkdir()
    (shipped / "model" / "metrics.json").write_text(text)
    problem = why(model().json, "metrics.json")
    assert problem.title == "model/metrics.json can be read"
    assert "is not JSON" in problem.reason


def test_files_and_metrics_are_plain_data(shipped):
    (shipped / "model").mkdir()
    (shipped / "model" / "metrics.json").write_text('{"roc_auc": 0.61}')
    assert model().files == {"metrics.json": 17}
    assert model().json("metrics.json") == {"roc_auc": 0.61}


@pytest.mark.parametrize(
    ("made", "rows"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), 120),
        (HistGradientBoostingClassifier(max_iter=2), 120),
        (HistGradientBoostingClassifier(max_iter=2, early_stopping=True, random_state=0), 108),
        (make_pipeline(make_column_transformer((StandardScaler(), ["minute"])), DummyClassifier()), 120),
        (LogisticRegression(), 0),
    ],
)
def test_the_rows_that_a_part_was_fitted_on_are_remembered(made, rows):
    assert predictor._rows_seen(made.fit(FLIGHTS, LATE)) == rows


def test_a_forest_never_claims_more_rows_than_it_was_given():
    made = RandomForestClassifier(3, random_state=0).fit(FLIGHTS, LATE)
    assert 0 < predictor._rows_seen(made) <= 120


def test_a_scaler_that_was_fitted_elsewhere_is_found_behind_a_function():
    scaler = StandardScaler().fit(pd.concat([FLIGHTS] * 3))
    made = make_pipeline(FunctionTransformer(scaler.transform), LogisticRegression()).fit(FLIGHTS, LATE)
    assert predictor._rows_seen(made) == 360


RECIPES = """
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

def candidates(seed=0):
    trees = dict(max_iter=3, early_stopping=True)
    return {"constant": DummyClassifier(), "with": HistGradientBoostingClassifier(random_state=seed, **trees),
            "without": HistGradientBoostingClassifier(**trees), "text": "no model"}
"""


@pytest.fixture
def made(shipped):
    """Recipes of a shipped module."""
    (shipped / "own_recipes.py").write_text(RECIPES)
    return recipes("own_recipes.py")


def test_recipes_have_names(made):
    assert made.names() == ["constant", "with", "without", "text"]


def test_a_recipe_is_fitted_on_what_it_is_given(made):
    came = made.fit_predict("constant", FLIGHTS, LATE, FLIGHTS.head(7))
    assert came.probability == pytest.approx(np.full(7, LATE.mean()))
    assert came.kind == "DummyClassifier"


def test_the_seed_reaches_the_recipe(made):
    def fit(name):
        return made.fit_predict(name, FLIGHTS, LATE, FLIGHTS, seed=5).probability

    assert (fit("with") == fit("with")).all()
    assert len({fit("without").tobytes() for _ in range(4)}) > 1


def test_what_is_no_model_is_told(made):
    assert why(made.fit_predict, "text", FLIGHTS, LATE, FLIGHTS).reason == "it cannot be fitted"


def test_a_name_that_is_not_there_is_told(made):
    problem = why(made.fit_predict, "forest", FLIGHTS, LATE, FLIGHTS)
    assert problem.title == "candidates() has a model 'forest'"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def candidates(seed=0):\n    return None\n", "TypeError"),
        ("x = 1\n", "has no attribute 'candidates'"),
        ("def candidates():\n    return {}\n", "unexpected keyword argument 'seed'"),
        ("def candidates(seed=0):\n    return schedule()\n", "line 2: NameError"),
        ("def candidates(seed=0)\n", "expected ':'"),
    ],
)
def test_recipes_that_do_not_work_are_told_by_line(shipped, source, reason):
    (shipped / "own_recipes.py").write_text(source)
    assert reason in why(recipes("own_recipes.py").names).reason


def test_recipes_that_did_not_ship_are_told(shipped):
    assert why(recipes("own_recipes.py").names).title == "own_recipes.py is shipped"


def test_the_student_s_code_is_not_imported_here(made):
    made.names()
    assert "own_recipes" not in sys.modules
    assert os.getpid() != made._process._worker.process.pid
