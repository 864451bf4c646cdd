"""A recipe whose every step can be converted to ONNX, for a model of your own that cannot be. Notebook 2 uses it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder


def convertible(features: Callable[[pd.DataFrame], pd.DataFrame], planned: pd.DataFrame) -> Pipeline:
    """An unfitted logistic regression upon features of any kind: text as categories, numbers cut into pieces.

    Args:
        features: makes the columns that the model sees of planned flights.
        planned: some flights, by which the kinds of columns are told apart.
    """
    table = features(planned)
    numbers = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    words = [name for name in table if name not in numbers]
    return make_pipeline(
        FunctionTransformer(features),
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", min_frequency=50), words),
            (KBinsDiscretizer(n_bins=12, encode="onehot-dense", strategy="uniform"), numbers),
        ),
        LogisticRegression(solver="newton-cholesky"),
    )
