"""Runs in a worker: what a shipped artifact says of flights, what a shipped scorer does, requests from a description.

`contracts` asks it from the other side. It runs where a student's code runs, so it may import nothing of the course,
and nothing that it answers is trusted. A fault is answered as {"problem": text}; exceptions are those of their code.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import random
import sys
import urllib.parse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ZONE = "America/New_York"
TIMES = ("planned_departure", "planned_arrival")
MAX_BYTES = 40_000

_kept: dict[str, Any] = {}
_opened: list[str] = []
_watched: list[str] = []


def probabilities(folder: str, flights: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model of an artifact says: model.onnx, or model.joblib where there is none.

    Args:
        folder: the artifact.
        flights: as they are sent to a service, with RFC 3339 date-times.

    Returns:
        {"probability": array of shape (n,)}.
    """
    place = Path(folder)
    if "model" not in _kept:
        sys.path.insert(0, folder)  # a pickle asks for its modules by name
        spec = importlib.util.spec_from_file_location("features", place / "features.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["features"] = module
        spec.loader.exec_module(module)
        _kept.update(model=_open(place), features=module.schedule_features)
    return {"probability": _kept["model"](_frame(flights))}


def make_scorer(module: str, name: str, folder: str) -> dict[str, Any]:
    """Import a shipped module, and have it open an artifact.

    Returns:
        {"opened": how many files of the artifact that took}.
    """
    _watch(folder)
    maker = getattr(importlib.import_module(module), name, None)
    if maker is None:
        return {"problem": f"there is no {name} in {module}.py"}
    _kept["scorer"] = maker(Path(folder))
    if not hasattr(_kept["scorer"], "probabilities"):
        return {"problem": f"what {name}(artifact) makes has no method probabilities"}
    return {"opened": len(_opened)}


def score(batches: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Ask the scorer about flights, some at a time.

    Returns:
        {"probabilities": what it says of each batch, as plain lists, "opened": files of the artifact opened meanwhile,
        "kinds": the types of the numbers}.
    """
    before = len(_opened)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = [list(_kept["scorer"].probabilities(batch)) for batch in batches]
    kinds = sorted({type(value).__name__ for batch in said for value in batch})
    numbers = [[float(value) for value in batch] for batch in said]
    return {"probabilities": numbers, "opened": len(_opened) - before, "kinds": kinds}


def description_problems(text: str) -> dict[str, Any]:
    """What is wrong with an OpenAPI description.

    Returns:
        {"problems": up to five lines}.
    """
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = json.loads(text)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3.1"):
        return {"problems": ['"openapi" is not 3.1.x, whose schemas are JSON Schema']}
    lines = []
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        where = "/".join(map(str, error.absolute_path)) or "the document"
        lines.append(f"{where}: {error.message}"[:300])
        if len(lines) == 5:
            break
    return {"problems": lines}


def bodies(text: str, count: int, seed: int) -> dict[str, Any]:
    """Bodies for POST /predict, made from a description: half of them as it allows, half of them bent.

    Args:
        text: the OpenAPI description.
        count: how many.
        seed: the same one makes the same bodies.

    Returns:
        {"bodies": JSON texts, "allowed": whether the description allows each} or a problem.
    """
    import hypothesis
    from hypothesis import strategies as st

    document = json.loads(text)
    schema: Any = document
    for name in ("paths", "/predict", "post", "requestBody", "content", "application/json", "schema"):
        schema = _resolve(schema, document)
        if not isinstance(schema, dict) or name not in schema:
            return {"problem": f"the description of POST /predict has no {name}"}
        schema = schema[name]
    try:
        allowed = _allowed_by(_inline(schema, document, 0))
    except Exception as error:
        return {"problem": f"no request can be made from its schema: {type(error).__name__}: {error}"[:400]}
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=5,
    )
    drawn: list[tuple[Any, Any]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=-(-count // 2),
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(allowed, anything)
    def draw(body: Any, other: Any) -> None:
        drawn.append((body, other))

    try:
        draw()
    except hypothesis.errors.HypothesisException as error:
        return {"problem": f"hardly any request satisfies its schema: {type(error).__name__}: {error}"[:400]}
    chance, made = random.Random(seed), []
    for number, (body, other) in enumerate(drawn):
        fair = _in_order(body) if number % 3 else body
        made += [(json.dumps(fair), True), (json.dumps(_bent(fair, other, chance)), False)]
    made = [(text, is_fair) for text, is_fair in made if len(text) <= MAX_BYTES][:count]
    return {"bodies": [text for text, _ in made], "allowed": [is_fair for _, is_fair in made]}


def _allowed_by(schema: Any) -> Any:
    """A strategy for what a JSON Schema allows.

    It knows the keywords that describe requests such as these, and asks the validator about all others; the library
    that knew more does not work with hypothesis any longer.
    """
    from hypothesis import strategies as st
    from jsonschema import Draft202012Validator

    if not isinstance(schema, dict) or not schema:
        return st.nothing() if schema is False else st.none() | st.booleans() | st.integers() | st.text(max_size=10)
    base = {name: value for name, value in schema.items() if name not in ("oneOf", "anyOf", "allOf")}
    if parts := [part for name in ("oneOf", "anyOf") for part in schema.get(name, [])]:
        made = st.one_of([_allowed_by({**base, **part}) for part in parts])
    elif "allOf" in schema:
        for part in schema["allOf"]:
            base |= part
        made = _allowed_by(base)
    elif "const" in schema:
        made = st.just(schema["const"])
    elif "enum" in schema:
        made = st.sampled_from(schema["enum"])
    else:
        guess = "object" if "properties" in schema else "array" if "items" in schema else "string"
        kinds = schema.get("type", guess)
        made = st.one_of([_of_type(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])
    return made.filter(Draft202012Validator(schema).is_valid)


def _of_type(kind: str, schema: dict[str, Any]) -> Any:
    """A strategy for values of one type, near what a schema allows."""
    import datetime as dt

    from hypothesis import strategies as st

    if kind == "object":
        fields = {name: _allowed_by(part) for name, part in schema.get("properties", {}).items()}
        required = {name: fields.get(name, st.none()) for name in schema.get("required", [])}
        return st.fixed_dictionaries(
            required, optional={name: one for name, one in fields.items() if name not in required}
        )
    if kind == "array":
        least = int(schema.get("minItems", 0))
        most = min(int(schema.get("maxItems", least + 4)), least + 4)
        return st.lists(_allowed_by(schema.get("items", {})), min_size=least, max_size=most)
    if kind in ("integer", "number"):
        lowest, highest = schema.get("minimum"), schema.get("maximum")
        if kind == "integer":
            return st.integers(lowest, highest)
        return st.integers(lowest, highest) | st.floats(lowest, highest, allow_nan=False, allow_infinity=False)
    if kind == "string":
        if schema.get("format") == "date-time":
            offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
            years = {"min_value": dt.datetime(1970, 1, 1), "max_value": dt.datetime(2069, 12, 31)}
            return st.datetimes(**years, timezones=offsets).map(lambda moment: moment.isoformat(timespec="seconds"))
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=schema["pattern"].endswith("$"))
        return st.text(min_size=int(schema.get("minLength", 0)), max_size=min(int(schema.get("maxLength", 40)), 200))
    return {"boolean": st.booleans(), "null": st.none()}[kind]


def _open(place: Path) -> Any:
    if (place / "model.onnx").is_file():
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession((place / "model.onnx").read_bytes(), options)
        kinds = {one.name: object if "string" in one.type else np.float32 for one in session.get_inputs()}

        def ask(table: pd.DataFrame) -> np.ndarray:
            inputs = {name: table[name].to_numpy().astype(kind).reshape(-1, 1) for name, kind in kinds.items()}
            return np.asarray(session.run(["probabilities"], inputs)[0], dtype=float)[:, 1]

        return lambda planned: ask(_kept["features"](planned))
    import joblib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = joblib.load(place / "model.joblib")
    return lambda planned: np.asarray(model.predict_proba(planned), dtype=float)[:, 1]


def _frame(flights: list[dict[str, Any]]) -> pd.DataFrame:
    """Flights as they are sent, as the table that the model was trained on: New York's clock."""
    frame = pd.DataFrame(flights)
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.tz_convert(ZONE).dt.as_unit("us")
    return frame


def _watch(folder: str) -> None:
    """Count what is opened from now on: files of a folder, and models, be it from files or from bytes in memory."""
    first = not _watched
    _watched.append(str(Path(folder).resolve()))
    if not first:
        return

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode(errors="replace")
            if any(str(Path(path).absolute()).startswith(place) for place in _watched):
                _opened.append(path)
        elif event == "pickle.find_class" and str(arguments[0]).startswith("sklearn."):
            _opened.append("a pickle")

    sys.addaudithook(note)
    import zipfile

    import onnxruntime

    for kind in (onnxruntime.InferenceSession, zipfile.ZipFile):  # skops keeps a model in a zip archive
        _count(kind)


def _count(kind: type) -> None:
    """Count the objects of a class that are made."""
    plain = kind.__init__

    @functools.wraps(plain)
    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        _opened.append(kind.__name__)
        plain(self, *args, **kwargs)

    kind.__init__ = counted


def _inline(schema: Any, document: Any, depth: int) -> Any:
    """A schema with what its $refs point to in their place."""
    if depth > 30:
        raise ValueError("the schema is nested too deeply, or refers to itself")
    if isinstance(schema, list):
        return [_inline(item, document, depth + 1) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        name: _inline(item, document, depth + 1) for name, item in schema.items() if name not in ("$ref", "$schema")
    }
    if isinstance(target := schema.get("$ref"), str):
        found |= _inline(_find(target, document), document, depth + 1)
    return found


def _resolve(part: Any, document: Any) -> Any:
    """What a part of a description is, where it may be a reference, or a reference to one, and so on."""
    for _ in range(10):
        if not isinstance(part, dict) or not isinstance(target := part.get("$ref"), str):
            break
        try:
            part = _find(target, document)
        except LookupError:
            return None
    return part


def _find(target: str, document: Any) -> Any:
    """What a reference within a document points to.

    Raises:
        LookupError: it points elsewhere, or to nothing.
    """
    if target != "#" and not target.startswith("#/"):
        raise LookupError(f"the reference {target!r} leads out of the description")
    place = document
    for part in target[2:].split("/") if target != "#" else ():
        name = urllib.parse.unquote(part).replace("~1", "/").replace("~0", "~")
        place = place[int(name)] if isinstance(place, list) and name.isdigit() else _member(place, name, target)
    return place


def _member(place: Any, name: str, target: str) -> Any:
    if not isinstance(place, dict) or name not in place:
        raise LookupError(f"the reference {target!r} points to nothing")
    return place[name]


def _in_order(body: Any) -> Any:
    """A body whose flights depart before they arrive, which no schema can ask for; most would be refused else."""
    if not isinstance(body, dict):
        return body
    if isinstance(flights := body.get("flights"), list):
        return {**body, "flights": [_in_order(flight) for flight in flights]}
    try:
        first, last = sorted((body[name] for name in TIMES), key=lambda text: pd.Timestamp(text))
    except (KeyError, TypeError, ValueError):
        return body
    return {**body, **dict(zip(TIMES, (first, last), strict=True))}


def _bent(body: Any, other: Any, chance: random.Random) -> Any:
    """A body with something else in one place of it, or nearly the same, or without it, or with more."""
    if not isinstance(body, dict) or chance.random() < 0.1:
        return other
    body = dict(body)
    if isinstance(flights := body.get("flights"), list) and flights and chance.random() < 0.8:
        place = chance.randrange(len(flights))
        return {**body, "flights": [*flights[:place], _bent(flights[place], other, chance), *flights[place + 1 :]]}
    name = chance.choice([*sorted(body), "surprise"])
    way = chance.random()
    if way < 0.2:
        body.pop(name, None)
    elif isinstance(text := body.get(name), str) and text and way < 0.7:
        place = chance.randrange(len(text))
        body[name] = text[:place] + chance.choice("0189-:TZx ") + text[place + 1 :]
    else:
        body[name] = other
    return body
