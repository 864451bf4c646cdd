"""Train one of the two models that stand beside v1, and write it as a whole artifact folder.

    python train.py baseline TARGET
    python train.py v2 TARGET

Each runs in a process of its own, because each brings a module named `features`, and a process has room for one.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import joblib
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler

from course import flights

HERE = Path(__file__).resolve().parent
HORIZON = {"baseline": "1D", "v2": "3h"}
COSTS = {"missed_warning": 30, "false_warning": 15}
THRESHOLD = COSTS["false_warning"] / sum(COSTS.values())
TEXT = ("carrier", "origin", "dest")
PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skops", "onnxruntime")


def recipe(name: str) -> Pipeline:
    """The unfitted model, from the columns of its features to a probability."""
    if name == "baseline":
        return make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky"))
    pieces = {"encode": "onehot-dense", "subsample": None}
    by_rank = KBinsDiscretizer(6, strategy="quantile", quantile_method="averaged_inverted_cdf", **pieces)
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", min_frequency=50), [*TEXT, "day_of_week"]),
            (StandardScaler(), ["distance", "duration"]),
            (KBinsDiscretizer(18, strategy="uniform", **pieces), ["minute_of_day"]),
            # a gauge once reported 1048 miles an hour: pieces by rank do not mind, a scaler would
            (
                make_pipeline(SimpleImputer(strategy="median"), by_rank),
                [f"weather_{name}" for name in ("humid", "wind_speed", "pressure", "temp")],
            ),
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["weather_precip", "weather_visib"]),
        ),
        LogisticRegression(solver="newton-cholesky"),
    )


def train(name: str) -> tuple[Pipeline, dict[str, float]]:
    """Fit the model on January to September, features first, and score it on October and November."""
    from features import schedule_features

    planned = flights.planned("2013-01-01", flights.TODAY, horizon=HORIZON[name])
    table = planned.assign(late=flights.labels(planned)).dropna(subset=["late"]).astype({"late": bool})
    before, after = flights.split(table)
    model = make_pipeline(FunctionTransformer(schedule_features), *(step for _, step in recipe(name).steps))
    model.fit(before, before["late"])
    p, late = model.predict_proba(after)[:, 1], after["late"].to_numpy()
    warned = p >= THRESHOLD
    cost = COSTS["missed_warning"] * (late & ~warned).mean() + COSTS["false_warning"] * (~late & warned).mean()
    scores = {"roc_auc": roc_auc_score(late, p), "log_loss": log_loss(late, p), "brier": brier_score_loss(late, p)}
    return model, {key: float(value) for key, value in {**scores, "cost": cost}.items()}


def schema(name: str) -> dict:
    """What one flight looks like as JSON. The weather may be left out, so that callers of v1 can call v2."""
    airport = {"type": "string", "pattern": "^[A-Z]{3}$"}
    moment = {"type": "string", "format": "date-time", "minLength": 20, "maxLength": 35}
    properties = {
        "carrier": {"type": "string", "pattern": "^[A-Z0-9]{2}$", "description": "Two-letter code of the airline."},
        "origin": {**airport, "description": "Code of the airport of departure."},
        "dest": {**airport, "description": "Code of the airport of arrival."},
        "distance": {"type": "number", "minimum": 1, "maximum": 12000, "description": "Distance in miles."},
        "planned_departure": {**moment, "description": "RFC 3339, with the offset from UTC."},
        "planned_arrival": {**moment, "description": "RFC 3339, with the offset from UTC."},
    }
    required = list(properties)
    weather = {
        "temp": (-60, 140),
        "humid": (0, 100),
        "wind_speed": (0, 250),
        "precip": (0, 20),
        "pressure": (850, 1100),
        "visib": (0, 10),
    }
    if name == "v2":
        for key, (low, high) in weather.items():
            column = flights.SCHEMA[f"planned.weather_{key}"]
            described = {"description": f"{column.description} In {column.unit}; null or left out if not known."}
            properties[column.name] = {"type": ["number", "null"], "minimum": low, "maximum": high, **described}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A planned flight",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def card(name: str, scores: dict[str, float]) -> str:
    """The model card, with the scores that were really reached."""
    use = {
        "baseline": "A floor to compare with. It gives every flight the same probability and is never shown to anyone.",
        "v2": "Warn passengers three hours before departure. It sees the schedule and the weather last observed.",
    }
    return f"""# Late Flights, {name}

## Intended use

{use[name]}

## Data

Flights that left New York from January to September 2013, each as it was known {HORIZON[name]} before departure.

## Metrics

On October and November 2013: ROC AUC {scores["roc_auc"]:.3f}, log loss {scores["log_loss"]:.3f},
Brier score {scores["brier"]:.3f}, {scores["cost"]:.2f} euros a flight at a threshold of {THRESHOLD:.2f}.

## Limits

Trained on one year and three airports. The level of late flights moves with the season by up to ten points.
"""


def write(name: str, target: Path) -> None:
    """Train, and write the whole folder."""
    model, scores = train(name)
    target.mkdir(parents=True)
    shutil.copyfile(HERE / name / "features.py", target / "features.py")
    some = model[0].transform(flights.planned("2013-07-01", horizon=HORIZON[name]))
    inputs = [(c, StringTensorType([None, 1]) if c in TEXT else FloatTensorType([None, 1])) for c in some]
    joblib.dump(model, target / "model.joblib")
    skops.io.dump(model[1:], target / "model.skops", compression=zipfile.ZIP_DEFLATED)
    converted = to_onnx(model[1:], initial_types=inputs, options={"zipmap": False})
    (target / "model.onnx").write_bytes(converted.SerializeToString())
    versions = {"python": platform.python_version(), "packages": {package: version(package) for package in PACKAGES}}
    documents = {
        "schema.json": schema(name),
        "metrics.json": {"threshold": THRESHOLD, "validation": scores},
        "versions.json": versions,
    }
    for file, content in documents.items():
        (target / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (target / "card.md").write_text(card(name, scores), encoding="utf-8")
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}
    (target / "SHA256SUMS").write_text("".join(f"{digest}  {file}\n" for file, digest in sums.items()))
    print(f"{name}: ROC AUC {scores['roc_auc']:.3f}, {scores['cost']:.2f} euros a flight")


if __name__ == "__main__":
    chosen, place = sys.argv[1:]
    if chosen not in HORIZON:
        sys.exit(f"there is no model {chosen!r}; these are: {', '.join(HORIZON)}")
    sys.path.insert(0, str(HERE / chosen))
    sys.dont_write_bytecode = True
    write(chosen, Path(place))
