"""A shipped artifact folder: its files, checksums, schema and card, and its models, opened only in workers.

The near side: it asks `artifact_reader`, one worker for each file that is opened, and puts into words what is wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from course import shipping
from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.processes import Worker
from course.checks.files import reading
from course.checks.model.models import _explain, _probabilities, _unmet
from course.checks.python.modules import ask

FILES = (
    *("model.joblib", "model.onnx", "model.skops", "features.py", "schema.json", "metrics.json", "card.md"),
    *("versions.json", "SHA256SUMS"),
)
MODELS = ("model.joblib", "model.skops", "model.onnx")
SUMS = "SHA256SUMS"
MAX_BYTES = 200 * 2**20
FIELDS = ("carrier", "origin", "dest", "distance", "planned_departure", "planned_arrival")
_READER = "course.sandboxed.artifact_reader"
BOLD = 7  # the level of words in bold, below all headings
_SUM = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)")
_IGNORED = ("__pycache__/",)
SECTIONS = {
    "intended use": r"\b(?:use|uses|user|users|usage|purpose|intended|intent)\b|what it is for|who it is for",
    "data": r"\b(?:data|dataset|training|trained)\b",
    "metrics": r"\b(?:metrics?|performance|quality|scores?|evaluation|results?|figures)\b|how good",
    "limits": r"\b(?:limits?|limitations?|caveats?|risks?|weakness(?:es)?|fails?|failures?|warnings?|not for)\b",
}


def artifact_folder(name: str = "artifact", *, timeout: float = 20.0) -> Artifact:
    """A shipped artifact folder; each of its models is opened at the first question, in a process of its own.

    Args:
        name: the folder, below the folder of shipped files.
        timeout: how long opening a model, and each prediction, may take, in seconds.
    """
    return Artifact(name, timeout=timeout)


def flights_as_json(planned: pd.DataFrame) -> list[dict[str, Any]]:
    """Planned flights as callers of a service send them.

    Args:
        planned: as `flights.planned()` returns them, n rows.

    Returns:
        n objects with the fields carrier, origin, dest, distance, planned_departure and planned_arrival.
    """
    rows = []
    for row in planned[list(FIELDS)].to_dict("records"):
        times = {name: row[name].isoformat(timespec="seconds") for name in ("planned_departure", "planned_arrival")}
        rows.append({**row, "distance": int(row["distance"]), **times})
    return rows


class Artifact:
    """The near side of a shipped artifact folder."""

    def __init__(self, name: str, *, timeout: float = 20.0) -> None:
        self.name, self._timeout = name, timeout
        self._workers: dict[str, Worker] = {}

    @property
    def files(self) -> dict[str, int]:
        """Its files: path → size in bytes; what Python leaves behind is passed over.

        Raises:
            Unmet: there is no such folder.
        """
        return {name: size for name, size in reading.listing(self.name).items() if not name.startswith(_IGNORED)}

    def complete(self, wanted: Sequence[str] = FILES) -> None:
        """Fail unless all files are there and none is empty."""
        found = self.files
        missing = [name for name in wanted if name not in found]
        if missing:
            fail(f"the folder {self.name} lacks {', '.join(missing)}", actual=", ".join(found) or "nothing")
        empty = [name for name in wanted if found[name] == 0]
        if empty:
            fail(f"{', '.join(empty)} in the folder {self.name} has no content")

    def sums(self) -> dict[str, str]:
        """What SHA256SUMS says: name of a file → digest, in lower case.

        Raises:
            Unmet: it is missing or not text.
            CheckFailed: a line is not what sha256sum reads, or a file is named twice.
        """
        found: dict[str, str] = {}
        for number, line in enumerate(reading.text(f"{self.name}/{self._there(SUMS)}").splitlines(), start=1):
            match = _SUM.fullmatch(line)
            if match is None:
                hint = "sha256sum writes 64 hexadecimal digits, two spaces and the name of the file"
                fail(f"line {number} of {SUMS} is not what sha256sum reads", actual=line[:120], hint=hint)
            if match["name"] in found:
                fail(f"{SUMS} names {match['name'][:100]} twice")
            found[match["name"]] = match["digest"].lower()
        return found

    def check_sums(self) -> None:
        """Fail unless SHA256SUMS covers every other file of the folder, and agrees with each."""
        said, there = self.sums(), self.files
        strange = sorted(set(said) - set(there) | ({SUMS} & set(said)))
        if strange:
            reason = "covers itself" if strange == [SUMS] else f"names {', '.join(strange)[:200]}, which is not there"
            fail(f"{SUMS} {reason}", hint="names are those of the files, without ./ or a folder before them")
        left_out = sorted(set(there) - set(said) - {SUMS})
        if left_out:
            fail(f"{SUMS} does not cover {', '.join(left_out)}", hint="write it last, when all other files are there")
        for name, digest in said.items():
            actual = hashlib.sha256(reading.read(f"{self.name}/{name}", max_bytes=MAX_BYTES)).hexdigest()
            if actual != digest:
                hint = "was the file changed after its checksum was written? Write SHA256SUMS last"
                fail(f"the checksum of {name} is not the one in {SUMS}", expected=digest, actual=actual, hint=hint)

    def json(self, name: str) -> Any:
        """A JSON file of the folder as plain data.

        Raises:
            Unmet: it is missing, too large, not JSON, or holds NaN or infinity.
        """
        place = f"{self.name}/{self._there(name)}"
        return reading.json_document(reading.text(place), place)

    def object(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder that must hold an object."""
        found = self.json(name)
        if not isinstance(found, dict):
            fail(f"{name} holds no JSON object", expected="{…}", actual=found)
        return found

    def number(self, name: str, *path: str) -> float:
        """A finite number in a JSON file, at a path such as "validation", "roc_auc"."""
        value: Any = self.object(name)
        for depth, key in enumerate(path, start=1):
            if not isinstance(value, dict) or key not in value:
                fail(f"{name} has no {'.'.join(path[:depth])}", actual=", ".join(map(str, value or ()))[:200] or value)
            value = value[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:  # a whole number may be too large for a float
            fail(f"{'.'.join(path)} in {name} is no number", actual=value)
        return float(value)

    def predict(self, name: str, flights: pd.DataFrame, *, dictionaries: bool = False) -> np.ndarray:
        """The probabilities of late by one of its models.

        Args:
            name: model.joblib, model.skops or model.onnx.
            flights: planned flights, n rows.
            dictionaries: whether those of ONNX may come as a list of dictionaries, as they do by default.

        Returns:
            Shape (n,), each finite and within 0 and 1.

        Raises:
            Unmet: the model is missing, empty, damaged, of another kind, or reaches for what a model has no need of; or
                it does not predict. The message says which.
        """
        self._open(name)
        answer = self._request(name, f"{name} predicts planned flights", "predict", name=name, flights=flights)
        problem = answer.get("problem") if isinstance(answer, dict) else None
        if problem == "inputs":
            raise Unmet(
                f"{name} predicts planned flights",
                f"the inputs of {name} are not columns of schedule_features: {str(answer.get('detail'))[:200]}",
                hint="one input a column, with the column's name: initial_types=[(name, type), …]",
            )
        if problem is None and isinstance(answer, dict) and answer.get("dictionaries") and not dictionaries:
            raise Unmet(
                f"{name} predicts planned flights",
                "its probabilities come as a list of dictionaries",
                expected="an array of shape (n, 2)",
                hint='options={"zipmap": False}',
            )
        return _probabilities(answer, len(flights), name)

    def inputs(self) -> dict[str, str]:
        """The inputs of model.onnx: name → type, such as tensor(float)."""
        self._open("model.onnx")
        answer = self._request("model.onnx", "model.onnx can be opened", "inputs")
        if not isinstance(answer, dict):
            fail("model.onnx does not say what its inputs are")
        return {str(key): str(value) for key, value in answer.items()}

    def columns(self, flights: pd.DataFrame) -> list[str]:
        """The columns that the artifact's schedule_features has."""
        self._open("model.onnx")
        title = "features.py makes a table of planned flights"
        answer = self._request("model.onnx", title, "feature_columns", flights=flights)
        return [str(name) for name in answer] if isinstance(answer, list) else []

    def verdicts(self, instances: Sequence[Any]) -> list[str]:
        """For each of some values why schema.json refuses it; empty where it accepts it.

        Raises:
            Unmet: schema.json is missing, or is no JSON Schema.
        """
        title = "schema.json is a JSON Schema"
        schema = self.json("schema.json")
        if not isinstance(schema, dict) or not schema:
            raise Unmet(title, "schema.json holds no schema yet", actual=schema)
        answer = self._request("schema.json", title, "judge", schema=schema, instances=list(instances))
        if isinstance(answer, dict) and answer.get("problem") == "schema":
            raise Unmet(title, f"at {str(answer.get('detail'))[:300]}")
        verdicts = answer.get("verdicts") if isinstance(answer, dict) else None
        if not isinstance(verdicts, list) or len(verdicts) != len(instances):
            raise Unmet(title, "it cannot be used to look at flights")
        return [str(verdict)[:300] for verdict in verdicts]

    @bounded("card.md can be read", "card.md")
    def card(self) -> dict[str, str]:
        """The sections of the model card: heading → all text below it, deeper headings included.

        A heading is a line with `#`, an underlined one, or words in bold at the beginning of a line or of an item of a
        list. The card's title is no section, if there is one: a single heading above all others.

        Raises:
            Unmet: card.md is missing or not text.
        """
        return sections(reading.text(f"{self.name}/{self._there('card.md')}"))

    def check_card(self, *, least: int = 8) -> None:
        """Fail unless the card has each of SECTIONS, under a heading that names it, with some words below it."""
        found = self.card()
        headings = ", ".join(map(repr, filter(None, found))) or "none"
        for topic, pattern in SECTIONS.items():
            texts = [text for heading, text in found.items() if re.search(pattern, heading.lower())]
            if not texts:
                reason = f"no heading in card.md names the {topic}; the course finds sections by their headings"
                fail(reason, expected=f"## {topic.capitalize()}", actual=headings)
            if (words := max(len(re.findall(r"\w+", text)) for text in texts)) < least:
                reason = f"the section on the {topic} in card.md says hardly anything"
                fail(reason, expected=f"{least} words or more", actual=f"{words} words")

    def _there(self, name: str) -> str:
        """A file's name, if the folder has it: that the folder itself is missing is said once for all files."""
        if name not in self.files:
            raise Unmet(f"{self.name}/{name} is shipped", f"there is no {name} in the folder {self.name}")
        return name

    def _open(self, name: str) -> None:
        if name in self._workers and self._workers[name].process.poll() is None:
            return
        title, place = f"{self.name}/{name} can be opened", f"{self.name}/{name}"
        size = self.files.get(name)
        if size is None:
            raise Unmet(title, f"there is no {name} in the folder {self.name}")
        if size > MAX_BYTES:
            raise Unmet(title, f"{name} is too large", expected=f"at most {MAX_BYTES >> 20} MiB")
        folder = str(shipping.folder() / self.name)
        answer = self._request(name, title, "open_model", folder=folder, name=name)
        problem = answer.get("problem") if isinstance(answer, dict) else "damaged"
        detail = str(answer.get("detail", ""))[:200] if isinstance(answer, dict) else ""
        reasons = {
            "empty": (f"{place} is empty", "was the file closed before it was shipped?"),
            "damaged": (
                f"{place} is damaged, or is no {_KINDS[name]}: {detail}",
                "was it cut short, or written in another format? Ship it again",
            ),
            "foreign": (f"{place} holds no model", f"it is of type {detail}, which has no predict_proba"),
            "hostile": (
                f"{place} reaches for {detail}, which a model does not need",
                "it was not opened any further; such a name runs code, or needs code that is not in the file",
            ),
        }
        if problem is not None:
            self._workers.pop(name).close()
            reason, hint = reasons.get(problem, reasons["damaged"])
            raise Unmet(title, reason, hint=hint)

    def _request(self, key: str, title: str, call: str, **arguments: Any) -> Any:
        what = f"looking at {key}"
        try:
            worker = self._workers.get(key)
            if worker is None or worker.process.poll() is not None:
                worker = Worker(timeout=self._timeout, folder=shipping.folder() / self.name)
                started = ask(worker, what, "use", name=_READER)
                if "error" in started:
                    raise RuntimeError(f"the course's reader did not start: {started['error']}")
                self._workers[key] = worker
            answer = ask(worker, what, "call", function=call, args=[], kwargs=arguments)
            if "error" in answer:
                raise _explain(answer["error"], what, key)
        except CheckFailed as error:
            raise _unmet(title, error) from None
        return answer["ok"]


def sections(card: str) -> dict[str, str]:
    """The sections of a text in Markdown: heading → all text below it, deeper headings included; its title is none."""
    headings = _card_headings(card.splitlines())
    highest = min((level for level, _, _ in headings), default=0)
    is_title = len(headings) > 1 and headings[0][0] == highest and sum(one[0] == highest for one in headings) == 1
    found: dict[str, list[str]] = {}
    for place, (level, heading, below) in enumerate(headings):
        if is_title and place == 0:
            found.setdefault("", []).append(below)
            continue
        texts = [below]
        for deeper, inner, text in (headings[number] for number in range(place + 1, len(headings))):
            if deeper <= level:
                break
            texts += [inner, text]
        found.setdefault(heading, []).extend(texts)
    return {name: "\n".join(text).strip() for name, text in found.items()}


def _card_headings(lines: Sequence[str]) -> list[tuple[int, str, str]]:
    """The headings of a card in order: level, heading, the text below it up to the next. Bold words are the deepest."""
    found: list[tuple[int, str, list[str]]] = [(BOLD, "", [])]
    fenced = False
    for line, after in itertools.pairwise([*lines, ""]):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        heading = None if fenced else _heading(line, after)
        if heading is not None:
            level, name, text = heading
            found.append((level, name, [text] if text else []))
        elif not _underline(line):
            found[-1][2].append(line)
    result = [(level, heading, "\n".join(text)) for level, heading, text in found]
    return result if result[0][2].strip() else result[1:]


def _heading(line: str, after: str) -> tuple[int, str, str] | None:
    """The heading that a line is, or begins with: its level, its words, and what follows: `**Data:** all of 2013`."""
    text = line.strip()
    marks = len(text) - len(text.lstrip("#"))
    if marks:
        indented = len(line) - len(line.lstrip()) > 3
        is_heading = marks <= 6 and text[marks : marks + 1].isspace() and not indented
        return (marks, text[marks:].strip().rstrip("#").strip(), "") if is_heading else None
    if text and not text.startswith("|") and (level := _underline(after)):
        return level, text, ""
    for sign in ("- ", "* ", "+ "):  # an item of a list
        text = text.removeprefix(sign).lstrip()
    bold = text[:2]
    end = text.find(bold, 2) if bold in ("**", "__") else -1
    name, rest = text[2:end], text[end + 2 :]
    if end < 3 or name[0].isspace() or (rest and rest[0].isalnum()):
        return None
    return BOLD, name.strip().rstrip(":.").strip(), rest.strip().lstrip(":.—–-").strip()


def _underline(line: str) -> int:
    """The level of the heading that a line makes of the one above it; 0 where it makes none."""
    text = line.strip()
    if text and not text.strip("="):
        return 1
    return 2 if len(text) >= 2 and not text.strip("-") else 0


_KINDS = {"model.joblib": "joblib file", "model.skops": "skops file", "model.onnx": "ONNX model"}


class Formats:
    """A shipped module that reads and writes models in other formats, tried on small ones in a worker.

    Args:
        name: the module, below the folder of shipped files.
        timeout: how long one trial may take, in seconds.
    """

    def __init__(self, name: str = "formats.py", *, timeout: float = 20.0) -> None:
        self.name = name
        self._module = name.removesuffix(".py").replace("/", ".")
        self._timeout = timeout
        self._worker: Worker | None = None

    def feed(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """What its `feed` makes of a table: for each column an array of shape (n, 1).

        Raises:
            Unmet: the module is missing or cannot be imported, or the function fails.
            CheckFailed: it returns something else.
        """
        found = self._request("feed() returns one array a column", "fed", table=table)
        if not isinstance(found, dict):
            fail("feed() returns no dictionary", expected="{name: array of shape (n, 1)}", actual=found)
        if {str(name) for name in found} != set(table):
            names = ", ".join(str(name)[:50] for name in found)
            fail("feed() has other names than the table, in any order", expected=", ".join(table), actual=names)
        for name, array in found.items():
            if not isinstance(array, np.ndarray):
                hint = "table[[name]].to_numpy(…) makes one of shape (n, 1)"
                fail(f"what feed() has for {name} is no array", actual=type(array).__name__, hint=hint)
            if array.shape != (len(table), 1):
                fail(f"the array for {name} has another shape", expected=(len(table), 1), actual=array.shape)
        return found

    def convert(
        self, table: pd.DataFrame, late: pd.Series, others: pd.DataFrame, *, encode: list[str], scale: list[str]
    ) -> dict[str, Any]:
        """Let its `convert` make ONNX of a small pipeline; both predict other rows.

        Args:
            table, late: features and labels that the pipeline is fitted on, n rows.
            others: features that are predicted, m rows.
            encode, scale: the columns that are one-hot encoded, and scaled.

        Returns:
            {"probability": by ONNX, "expected": by the same pipeline fitted here, "inputs": name → type, "as_array":
            whether the probabilities came as an array, and not as a list of dictionaries, "type": the name of the type
            that it returned}.

        Raises:
            Unmet: it is missing or fails, or what it returns is no ONNX model with those inputs.
        """
        from course.sandboxed.artifact_reader import small_model

        title = "convert() makes ONNX of a fitted pipeline"
        labels = pd.Series(np.asarray(late, dtype=bool), name="late")
        arguments = {"flights": table, "late": labels, "others": others, "encode": encode, "scale": scale}
        answer = self._request(title, "convert_and_predict", **arguments)
        problem = answer.get("problem") if isinstance(answer, dict) else None
        detail = str(answer.get("detail", ""))[:200] if isinstance(answer, dict) else ""
        if problem == "bytes":
            raise Unmet(title, "it returns something else than bytes", actual=detail, hint="SerializeToString()")
        if problem == "inputs":
            hint = "initial_types names them: one (name, type) for each column of the table"
            raise Unmet(title, f"its inputs are not the table's columns: {detail}", hint=hint)
        p = _probabilities(answer, len(others), "the ONNX model")
        expected = small_model(table, labels, encode, scale).predict_proba(others)[:, 1]
        inputs = answer.get("inputs")
        return {
            "probability": p,
            "expected": expected,
            "inputs": inputs if isinstance(inputs, dict) else {},
            "as_array": not answer.get("dictionaries"),
            "type": str(answer.get("type"))[:100],
        }

    def open_skops(self, file: str) -> dict[str, Any]:
        """Let its `open_skops` open a file: "honest", "pickle", "cut", "system", "subprocess", "fraction",
        "numpy.load" or "sklearn helper".

        Returns:
            {"same": whether it predicts like the model in the file} or {"refused": its message}.

        Raises:
            Unmet: the module is missing or cannot be imported.
        """
        answer = self._request("open_skops() can be tried", "open_by", file=file)
        if not isinstance(answer, dict):
            raise Unmet("open_skops() can be tried", "it answered in a form that the check cannot read")
        if "refused" in answer:
            return {"refused": str(answer["refused"])[:1000], "type": str(answer.get("type"))[:100]}
        p, expected = answer.get("probability"), answer.get("expected")
        arrays = isinstance(p, np.ndarray) and isinstance(expected, np.ndarray) and p.shape == expected.shape
        return {"same": bool(arrays and np.allclose(p, expected))}

    def _request(self, title: str, call: str, **arguments: Any) -> Any:
        reading.read(self.name)
        try:
            if self._worker is None or self._worker.process.poll() is not None:
                self._worker = Worker(timeout=self._timeout)
                started = ask(self._worker, self.name, "use", name=_READER)
                if "error" in started:
                    raise RuntimeError(f"the course's reader did not start: {started['error']}")
            sent = {"module": self._module, **arguments}
            answer = ask(self._worker, self.name, "call", function=call, args=[], kwargs=sent)
            if "error" in answer:
                raise _explain(answer["error"], self.name, self.name)
        except CheckFailed as error:
            raise _unmet(title, error) from None
        return answer["ok"]
