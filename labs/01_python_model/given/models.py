"""A model to test: `fit` learns from flights with the columns of features.FEATURES and `late`."""

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CODES = ["carrier", "origin"]
NUMBERS = ["distance", "day_of_week", "minute_of_day", "temp", "wind_speed", "precip", "visib"]


def fit(flights: pd.DataFrame) -> Pipeline:
    """Learn to tell late flights; predict_proba(flights)[:, 1] is the probability that each is late."""
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), CODES),
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
    )
    return make_pipeline(prepare, LogisticRegression(max_iter=500)).fit(flights[CODES + NUMBERS], flights["late"])
