"""Train the newer model, v2, which sees the weather three hours before departure, as a whole artifact folder.

python given/update/train.py TARGET
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
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler

from course import flights

HERE = Path(__file__).resolve().parent
HORIZON = "3h"
THRESHOLD = 15 / (30 + 15)  # from here on a warning pays: 15 euros for a false one, 30 for one that is missing
TEXT = ("carrier", "origin", "dest")
PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skops", "onnxruntime")
RANGES = {
    "temp": (-60, 140),
    "humid": (0, 100),
    "wind_speed": (0, 250),
    "precip": (0, 20),
    "pressure": (850, 1100),
    "visib": (0, 10),
}


def unfitted() -> Pipeline:
    """The model before it saw data, from the columns of its features to a probability."""
    pieces = {"encode": "onehot-dense", "subsample": None}
    by_rank = KBinsDiscretizer(6, strategy="quantile", quantile_method="averaged_inverted_cdf", **pieces)
    ranked = [f"weather_{name}" for name in ("humid", "wind_speed", "pressure", "temp")]
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", min_frequency=50), [*TEXT, "day_of_week"]),
            (StandardScaler(), ["distance", "duration"]),
            (KBinsDiscretizer(18, strategy="uniform", **pieces), ["minute_of_day"]),
            (make_pipeline(SimpleImputer(strategy="median"), by_rank), ranked),
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["weather_precip", "weather_visib"]),
        ),
        LogisticRegression(solver="newton-cholesky"),
    )


def train() -> tuple[Pipeline, dict[str, float]]:
    """Fit it on January to September, and score it on October and November."""
    from features import schedule_features

    planned = flights.planned("2013-01-01", flights.TODAY, horizon=HORIZON)
    table = planned.assign(late=flights.labels(planned)).dropna(subset=["late"]).astype({"late": bool})
    before, after = flights.split(table)
    model = make_pipeline(FunctionTransformer(schedule_features), *(step for _, step in unfitted().steps))
    model.fit(before, before["late"])
    p = model.predict_proba(after)[:, 1]
    return model, {"roc_auc": float(roc_auc_score(after["late"], p)), "log_loss": float(log_loss(after["late"], p))}


def schema() -> dict:
    """What one flight looks like as JSON. The weather may be left out, so that callers of v1 can call v2."""
    airport = {"type": "string", "pattern": "^[A-Z]{3}$"}
    moment = {"type": "string", "format": "date-time", "minLength": 20, "maxLength": 35}
    properties = {
        "carrier": {"type": "string", "pattern": "^[A-Z0-9]{2}$", "description": "Two-letter code of the airline."},
        "origin": {**airport, "description": "Code of the airport of departure."},
        "dest": {**airport, "description": "Code of the airport of arrival."},
        "distance": {"type": "number", "minimum": 1, "maximum": 12500, "description": "Distance in miles."},
        "planned_departure": {**moment, "description": "RFC 3339, with the offset from UTC."},
        "planned_arrival": {**moment, "description": "RFC 3339, with the offset from UTC."},
    }
    required = list(properties)
    for name, (low, high) in RANGES.items():
        column = flights.SCHEMA[f"planned.weather_{name}"]
        told = f"{column.description} In {column.unit}; null or left out if not known."
        properties[column.name] = {
            "type": ["number", "null"],
            "minimum": low,
            "maximum": high,
            "description": told,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A planned flight",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def write(target: Path) -> None:
    """Train, and write the folder."""
    model, scores = train()
    target.mkdir(parents=True)
    shutil.copyfile(HERE / "features.py", target / "features.py")
    some = model[0].transform(flights.planned("2013-07-01", horizon=HORIZON))
    inputs = [(c, StringTensorType([None, 1]) if c in TEXT else FloatTensorType([None, 1])) for c in some]
    joblib.dump(model, target / "model.joblib")
    skops.io.dump(model[1:], target / "model.skops", compression=zipfile.ZIP_DEFLATED)
    converted = to_onnx(model[1:], initial_types=inputs, options={"zipmap": False})
    (target / "model.onnx").write_bytes(converted.SerializeToString())
    documents = {
        "schema.json": schema(),
        "metrics.json": {"threshold": THRESHOLD, "validation": scores},
        "versions.json": {
            "python": platform.python_version(),
            "packages": {package: version(package) for package in PACKAGES},
        },
    }
    for name, content in documents.items():
        (target / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (target / "card.md").write_text(
        "# Late Flights, v2\n\n"
        "Warn passengers three hours before departure. It sees the schedule and the weather last observed.\n\n"
        "Trained on flights that left New York from January to September 2013. "
        f"On October and November 2013: ROC AUC {scores['roc_auc']:.3f}.\n",
        encoding="utf-8",
    )
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}
    (target / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    print(f"v2: ROC AUC {scores['roc_auc']:.3f} on October and November")


if __name__ == "__main__":
    (place,) = sys.argv[1:]
    sys.path.insert(0, str(HERE))
    sys.dont_write_bytecode = True
    write(Path(place))
