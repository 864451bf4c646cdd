"""Makes the course's own artifact, with which services are judged: `python -m course.labs.course_artifact`.

It has the form of what lab 02 ships, the features and schema of lab 03's reference, and another model: fitted on other
months, with other settings. Run it after `make reference LAB=03`, and when scikit-learn or skops get a newer version.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import joblib
import pandas as pd
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler

from course.checks.http import course_artifact
from course.checks.model.labelled import labelled
from course.checks.model.probability_metrics import roc_auc

REFERENCE = Path(__file__).resolve().parents[2] / "solutions" / "03_flask_api" / "given" / "reference" / "artifact"
PACKAGES = ("scikit-learn", "numpy", "pandas", "joblib", "skops", "onnxruntime")
CARD = """# The course's artifact

## Intended use

Tests of services: it stands in for the model that a service was written for. Nobody is warned by it.

## Data

Flights that left New York from January to April 2013 and arrived.

## Metrics

ROC AUC {auc:.3f} on flights of November 2013.

## Limits

Its threshold is made up.
"""
EPOCH = (2013, 12, 1, 0, 0, 0)  # the same files make the same archive


def make(target: Path) -> None:
    """Fit the model, and write the archive.

    Args:
        target: the archive; it is replaced.
    """
    with tempfile.TemporaryDirectory(prefix="course-artifact-") as scratch:
        place = Path(scratch)
        for name in ("features.py", "schema.json"):
            (place / name).write_bytes((REFERENCE / name).read_bytes())
        _fill(place)
        files = {path.name: path.read_bytes() for path in sorted(place.iterdir()) if path.is_file()}
    files["SHA256SUMS"] = course_artifact.sums(files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)


def _fill(place: Path) -> None:
    """Write the three models and what describes them beside `features.py` and `schema.json`."""
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = True
    features = importlib.import_module("features").schedule_features
    past, test = labelled("2013-01-01", "2013-05-01"), labelled("2013-11-01", "2013-12-01")
    rest = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", min_frequency=200), ["carrier", "origin", "dest", "day_of_week"]),
            (StandardScaler(), ["distance", "duration"]),
            (KBinsDiscretizer(n_bins=9, encode="onehot-dense", strategy="uniform"), ["minute_of_day"]),
        ),
        LogisticRegression(C=0.05, max_iter=300),
    )
    pipeline = make_pipeline(FunctionTransformer(features), *(step for _, step in rest.steps))
    pipeline.fit(past.planned, past.late)
    table = features(past.planned)
    numeric = pd.api.types.is_numeric_dtype
    kinds = [(name, (FloatTensorType if numeric(table[name]) else StringTensorType)([None, 1])) for name in table]
    joblib.dump(pipeline, place / "model.joblib")
    skops.io.dump(rest, place / "model.skops", compression=zipfile.ZIP_DEFLATED)
    onnx = to_onnx(rest, initial_types=kinds, options={"zipmap": False})
    (place / "model.onnx").write_bytes(onnx.SerializeToString())
    auc = roc_auc(test.late, pipeline.predict_proba(test.planned)[:, 1])
    documents = {
        "metrics.json": {"threshold": course_artifact.THRESHOLD, "validation": {"roc_auc": auc}},
        "versions.json": {"python": platform.python_version(), "packages": {name: version(name) for name in PACKAGES}},
    }
    for name, content in documents.items():
        (place / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (place / "card.md").write_text(CARD.format(auc=auc), encoding="utf-8")


if __name__ == "__main__":
    make(course_artifact.ARCHIVE)
