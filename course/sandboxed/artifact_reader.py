"""Opens what is in a shipped artifact folder, in the worker's process; `artifacts` asks it from the other side.

It runs where a student's code runs, so it imports nothing of the course but `predictor`. Nothing that it answers is
trusted. What is wrong with a file is answered as {"problem": a word, "detail": text}.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course.sandboxed import predictor

FEATURES = "schedule_features"
LIBRARIES = {"collections", "copyreg", "datetime", "joblib", "numpy", "pandas", "scipy", "sklearn", "_codecs"}
HARMLESS = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range"}
HARMLESS |= {"set", "slice", "str", "tuple"}
TRUSTED_TYPES = ("numpy.", "pandas.", "scipy.", "sklearn.")

_opened: dict[str, Any] = {}


class Reaches(Exception):
    """A pickle names something that a model has no need of; the message is its name."""


def open_model(folder: str, name: str) -> dict[str, Any]:
    """Open one of the model's files, and keep it.

    Args:
        folder: the artifact's folder, which is on the path of modules.
        name: model.joblib, model.skops or model.onnx.

    Returns:
        {"kind": …} or a problem: empty, damaged, foreign, hostile.
    """
    path = Path(folder, name)
    if path.stat().st_size == 0:
        return {"problem": "empty", "detail": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another version of a library says so; that is no fault here
        try:
            _opened[name] = _OPENERS[path.suffix](path)
        except Reaches as error:
            return {"problem": "hostile", "detail": str(error)}
        except _DAMAGED as error:
            return {"problem": "damaged", "detail": f"{type(error).__name__}: {error}"}
        except Exception as error:
            if type(error).__module__.startswith("onnxruntime"):
                return {"problem": "damaged", "detail": str(error)}
            raise
    thing = _opened[name]
    if path.suffix != ".onnx" and not hasattr(thing, "predict_proba"):
        return {"problem": "foreign", "detail": type(thing).__name__}
    return {"kind": type(thing).__name__}


def predict(name: str, flights: pd.DataFrame) -> dict[str, Any]:
    """The probabilities of late by one of the opened files.

    Args:
        name: as for :func:`open_model`.
        flights: planned flights, one a row.

    Returns:
        {"probability": array of shape (n,)} or a problem.
    """
    if name.endswith(".joblib"):
        return predictor._probability(_opened[name], flights)
    table = getattr(importlib.import_module("features"), FEATURES)(flights)
    if name.endswith(".skops"):
        return predictor._probability(_opened[name], table)
    return run_onnx(_opened[name], table)


def run_onnx(session: Any, table: pd.DataFrame) -> dict[str, Any]:
    """The probabilities of an ONNX session, which is fed one column an input, by its name and its own type."""
    inputs = {part.name: part.type for part in session.get_inputs()}
    missing = [name for name in inputs if name not in table.columns]
    if missing:
        return {"problem": "inputs", "detail": ", ".join(missing)}
    feed = {name: _column(table[name], kind) for name, kind in inputs.items()}
    answers = dict(zip((part.name for part in session.get_outputs()), session.run(None, feed), strict=True))
    p = answers.get("probabilities", list(answers.values())[-1])
    dictionaries = isinstance(p, list) and all(isinstance(row, dict) and row for row in p)
    p = np.asarray([row[max(row)] for row in p] if dictionaries else p)  # keys are False and True, or 0 and 1
    if p.ndim == 2 and p.shape[1] in (1, 2):
        p = p[:, -1]
    if p.ndim != 1:
        return {"problem": "shape", "detail": str(p.shape)}
    return {"probability": p.astype(float)} | ({"dictionaries": True} if dictionaries else {})


def inputs(name: str = "model.onnx") -> dict[str, str]:
    """The inputs of an opened ONNX model: name → type."""
    return {part.name: part.type for part in _opened[name].get_inputs()}


def feature_columns(flights: pd.DataFrame) -> list[str]:
    """The columns that the artifact's features have."""
    table = getattr(importlib.import_module("features"), FEATURES)(flights)
    return [str(name) for name in table.columns]


def judge(schema: Any, instances: list[Any]) -> dict[str, Any]:
    """Which of some values a JSON Schema accepts, dates and times looked at, too.

    Returns:
        {"verdicts": one text a value, empty where it is accepted} or a problem: schema.
    """
    import jsonschema

    kind = jsonschema.Draft202012Validator
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        return {"problem": "schema", "detail": f"{'/'.join(map(str, error.absolute_path))}: {error.message}"}
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return {"verdicts": [next((error.message for error in validator.iter_errors(value)), "") for value in instances]}


def fed(module: str, table: pd.DataFrame) -> Any:
    """What a shipped module's `feed` makes of a table."""
    return importlib.import_module(module).feed(table)


def convert_and_predict(
    module: str, flights: pd.DataFrame, late: pd.Series, others: pd.DataFrame, encode: list[str], scale: list[str]
) -> dict[str, Any]:
    """Fit a small pipeline, let a shipped module's `convert` make ONNX of it, and predict with both.

    Args:
        module: the module's name.
        flights, late: a table of features and its labels.
        others: further features to predict.
        encode, scale: the columns that are one-hot encoded and scaled.

    Returns:
        {"probability": of the ONNX model, "expected": of the pipeline, "inputs": name → type, "type": of what convert
        returned} or a problem. An ONNX model that is no bytes yet is written out.
    """
    import onnxruntime

    model = small_model(flights, late, encode, scale)
    made = importlib.import_module(module).convert(model, flights)
    kind = type(made).__name__
    made = made.SerializeToString() if hasattr(made, "SerializeToString") else made
    if not isinstance(made, bytes | bytearray | memoryview):
        return {"problem": "bytes", "detail": kind}
    session = onnxruntime.InferenceSession(bytes(made), _options(), providers=["CPUExecutionProvider"])
    answer = run_onnx(session, others)
    expected = model.predict_proba(others)[:, 1]
    inputs = {part.name: part.type for part in session.get_inputs()}
    return answer | {"expected": expected, "inputs": inputs, "type": kind}


def open_by(module: str, file: str) -> dict[str, Any]:
    """Let a shipped module's `open_skops` open a file that is made here.

    Args:
        module: the module's name.
        file: which: "honest", or the name of one that a careful reader refuses.

    Returns:
        {"probability": of the opened model for two rows, "expected": the true one} or {"refused": the message}.
    """
    path = Path(f"{file.replace(' ', '_')}.skops").absolute()
    table = pd.DataFrame({"word": ["a", "b", "a", "b"] * 5, "number": np.arange(20.0)})
    model = small_model(table, pd.Series([True, False, False, True] * 5), ["word"], ["number"])
    _SKOPS[file](path, model)
    opener = importlib.import_module(module).open_skops
    try:
        opened = opener(path)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}", "type": type(error).__name__}
    if not hasattr(opened, "predict_proba"):
        return {"problem": "foreign", "detail": type(opened).__name__}
    return {"probability": opened.predict_proba(table)[:, 1], "expected": model.predict_proba(table)[:, 1]}


def step(module: str, function: str, folder: str) -> dict[str, Any]:
    """Let one function of a shipped module look at a folder, given as a path; what it raises is passed on.

    Returns:
        {"absent": whether the module has no such function}.
    """
    called = getattr(importlib.import_module(module), function, None)
    if called is None:
        return {"absent": True}
    called(Path(folder))
    return {"absent": False}


def small_model(table: pd.DataFrame, late: pd.Series, encode: list[str], scale: list[str]) -> Any:
    """A fitted pipeline that encodes some columns, scales others and weighs them."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), encode), (StandardScaler(), scale))
    return make_pipeline(parts, LogisticRegression()).fit(table, late)


def _column(values: pd.Series, kind: str) -> np.ndarray:
    if "string" in kind:
        return values.astype(str).to_numpy(object).reshape(-1, 1)
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_}
    return values.to_numpy(types.get(kind, np.int64)).reshape(-1, 1)


def _open_joblib(path: Path) -> Any:
    """joblib, with a look at each name before it is imported."""
    import joblib
    from joblib import numpy_pickle

    own = {file.stem for file in path.parent.glob("*.py")}

    class Guarded(numpy_pickle.NumpyUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            top = module.partition(".")[0]
            fine = name.partition(".")[0] in HARMLESS if top == "builtins" else top in LIBRARIES or module in own
            if not fine and top in sys.stdlib_module_names and module not in ("__main__", "functools"):
                raise Reaches(f"{module}.{name}")
            return super().find_class(module, name)

    plain = numpy_pickle.NumpyUnpickler
    numpy_pickle.NumpyUnpickler = Guarded
    try:
        return joblib.load(path)
    finally:
        numpy_pickle.NumpyUnpickler = plain


def _open_skops(path: Path) -> Any:
    """skops, with types of the usual libraries trusted and no others."""
    import skops.io

    unknown = skops.io.get_untrusted_types(file=path)
    strange = [name for name in unknown if not name.startswith(TRUSTED_TYPES) or _opens_files(name)]
    if strange:
        raise Reaches(", ".join(strange))
    return skops.io.load(path, trusted=unknown)


def _opens_files(name: str) -> bool:
    """A function of NumPy itself, such as numpy.load: a model has classes and array functions, which skops knows."""
    return re.fullmatch(r"numpy\.[a-z_]+", name) is not None and name not in ("numpy.dtype", "numpy.ndarray")


def _open_onnx(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _dump(path: Path, thing: Any) -> None:
    import skops.io

    skops.io.dump(thing, path)


def _with_function(function: Any) -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return lambda path, model: _dump(path, {"model": model, "more": FunctionTransformer(function)})


def _honest(path: Path, model: Any) -> None:
    _dump(path, model)


def _pickle(path: Path, model: Any) -> None:
    import joblib

    joblib.dump(model, path)


def _cut(path: Path, model: Any) -> None:
    _dump(path, model)
    path.write_bytes(path.read_bytes()[:-2000])


def _os_system(path: Path, model: Any) -> None:
    import os

    _with_function(os.system)(path, model)


def _subprocess(path: Path, model: Any) -> None:
    import subprocess

    _with_function(subprocess.getoutput)(path, model)


def _numpy_load(path: Path, model: Any) -> None:
    _with_function(np.load)(path, model)


def _sklearn_helper(path: Path, model: Any) -> None:
    from sklearn.utils import resample

    _with_function(resample)(path, model)


def _own_class(path: Path, model: Any) -> None:
    import fractions

    _dump(path, {"model": model, "more": fractions.Fraction(1, 3)})


_OPENERS = {".joblib": _open_joblib, ".skops": _open_skops, ".onnx": _open_onnx}
_SKOPS = {
    "honest": _honest,
    "pickle": _pickle,
    "cut": _cut,
    "system": _os_system,
    "subprocess": _subprocess,
    "fraction": _own_class,
    "numpy.load": _numpy_load,
    "sklearn helper": _sklearn_helper,
}


def _damaged() -> tuple[type[Exception], ...]:
    import pickle
    import struct
    import zipfile
    import zlib

    damaged = (EOFError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, UnicodeDecodeError)
    return (*damaged, IndexError, KeyError, OSError, ValueError)


_DAMAGED = _damaged()
