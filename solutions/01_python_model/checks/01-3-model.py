"""Do the tests of a model pass on good models, and catch models that are of no use?"""

import pandas as pd

from course import flights
from course.checks import Mutation, Question, original, tests, variant
from course.checks.python.suites import Text

features = original("given/features.py", digest="a02669e11b46463a")
logistic = original("given/models.py", digest="0440e158a6554b76")
fitted = """from features import make_features
from models import fit
from tables import TABLES


def prepare(name):
    chosen = TABLES[name].sort_index()
    return make_features(chosen, TABLES["weather"]).assign(late=chosen["late"].astype(bool))


def model():
    return fit(prepare("training"))


def examples():
    return prepare("examples")
"""
conftest = """import fitted
import pytest


@pytest.fixture(scope="session")
def model():
    return fitted.model()


@pytest.fixture
def examples():
    return fitted.examples()
"""


def tables() -> dict[str, pd.DataFrame]:
    """Flights to train on, flights to predict, and the weather of both."""
    recorded = flights.history("2013-11-02", since="2013-03-01").dropna(subset=["late"])
    month = recorded["planned_departure"].dt.month
    return {
        "training": recorded[month <= 7].sample(4000, random_state=1),
        "examples": recorded[month == 10].sample(2000, random_state=1),
        "weather": flights.weather("2013-11-02", since="2013-02-27"),
    }


def models(text: Text) -> dict[str, Text]:
    """The files of a version whose models.py has this text."""
    return {"features.py": features, "conftest.py": conftest, "fitted.py": fitted, "models.py": text}


question = Question("Tests of a model", points=4)
study = Mutation(
    question,
    tests("test_model.py"),
    {"a logistic regression": models(logistic)},
    tables=tables,
    warm=("sklearn.pipeline", "sklearn.compose", "sklearn.impute", "sklearn.linear_model", "sklearn.ensemble"),
    advice="models differ, and so do months: ask for what every good model does, on the whole",
    points=1,
)
learn = "LogisticRegression(max_iter=500)"
boosting = "HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8)"
dense = "OneHotEncoder(handle_unknown='ignore', sparse_output=False)"
imports = (
    "from sklearn.linear_model",
    "from sklearn.ensemble import HistGradientBoostingClassifier\nfrom sklearn.linear_model",
)
encoder = 'OneHotEncoder(handle_unknown="ignore")'
study.accepts("a gradient boosting", models(variant(logistic, imports, (learn, boosting), (encoder, dense))))


def wrapped(body: str) -> dict[str, Text]:
    """A model whose answers are changed on their way out."""
    wrapper = f"""class Wrapped:
    def __init__(self, model):
        self.model = model

    def predict_proba(self, flights):
        late = self.model.predict_proba(flights)[:, 1]
        {body}
        return np.column_stack([1 - late, late])


def fit(flights"""
    return models(
        variant(
            logistic,
            ("import pandas", "import numpy as np\nimport pandas"),
            ("def fit(flights", wrapper),
            ("return make_pipeline(prepare", "return Wrapped(make_pipeline(prepare"),
            ('["late"])', '["late"]))'),
        )
    )


study.catches(
    "a model that is no better than a constant is caught",
    [wrapped("late = np.full(len(late), 0.24)"), wrapped("late = 1 - late")],
    points=1,
    hint="which measure is the same for every constant?",
)
study.catches(
    "a model that expects fewer delays in fog and rain is caught",
    wrapped("late = self.model.predict_proba(flights.assign(visib=10 - flights['visib'], precip=0))[:, 1]"),
    points=1,
    hint="change the weather of the same flights, and look at the mean",
)
### BEGIN HIDDEN TESTS
third = "LogisticRegression(C=0.1, max_iter=500)"
other = models(variant(logistic, (learn, third), ('"distance", ', "")))
study.accepts("another logistic regression", other, hidden=True)
study.accepts("a model in a class of its own", wrapped("late = late.copy()"), hidden=True)
study.catches(
    "a model that answers yes or no, or whose answer depends on the other flights, is caught",
    [
        wrapped("late = (late > np.median(late)).astype(float)"),
        wrapped("late = np.clip(0.24 + 0.1 * (late - late.mean()) / (late.std() + 0.01), 0.01, 0.99)"),
        wrapped("late = np.clip(late + 0.1 * np.linspace(0, 1, len(late)), 0.01, 0.99)"),
    ],
    points=1,
    hidden=True,
    hint="what is a probability, and what a label? And ask about a flight together with others, and in another row",
)
### END HIDDEN TESTS
