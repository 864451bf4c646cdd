"""The newer model, packaged."""

import hashlib
import json

from course import flights
from course.checks import Question, expect, fail, listing, text
from course.checks.docker.contexts import context, matching
from course.checks.files.reading import read
from course.checks.http.contracts import Artifact, as_sent

question = Question("The newer model, packaged", points=5)
NEW = {f"weather_{name}" for name in ("temp", "humid", "wind_speed", "precip", "pressure", "visib")}
MOST_BYTES = 64 * 2**20


def place():
    """The folder of the artifact in the shipped context, such as "v2/artifact"."""
    found = [path for path in listing("v2") if path.rpartition("/")[2] == "schema.json"]
    if not found:
        fail(
            "there is no artifact in v2", hint="an artifact holds schema.json; copy the whole folder of the newer model"
        )
    if len(found) > 1:
        hint = "the service opens one of them, and nobody should have to find out which: put the newer in its place"
        fail("there are several artifacts in v2", actual=", ".join(sorted(found)), hint=hint)
    return f"v2/{found[0].removesuffix('schema.json')}".rstrip("/")


@question.check(points=1)
def one_artifact_where_the_service_looks():
    """there is one artifact, in a context that can be built"""
    names = listing("v2")
    if "Dockerfile" not in names:
        fail(
            "v2 has no Dockerfile",
            actual=", ".join(sorted(names)[:12]),
            hint="ship the whole context, not the model alone",
        )
    v2, schema = context("v2"), f"{place()}/schema.json".removeprefix("v2/")
    v2.expect("copies")
    copies = [one for one in v2.parsed.instructions if one.name in ("COPY", "ADD") and one.flag("from") is None]
    sources = [source for one in copies for source in one.paths[0]]
    if not any("$" in source or matching(source, {schema: v2.files[schema]}) for source in sources):
        hint = "put it where v1 was; the service looks there"
        fail("the Dockerfile does not copy the artifact from where it lies", actual=schema, hint=hint)


@question.check(points=1, needs=one_artifact_where_the_service_looks)
def it_is_v2():
    """its schema knows the weather, and requires none of it"""
    told = json.loads(text(f"{place()}/schema.json"))
    missing = NEW - set(told.get("properties", {}))
    if missing:
        fail(
            "the schema of this artifact does not know the weather",
            expected=", ".join(sorted(NEW)),
            hint="is it the schema of v1?",
        )
    expect(sorted(NEW & set(told.get("required", []))), "the list of weather fields that are required").equals([])


@question.check(points=2, needs=one_artifact_where_the_service_looks)
def it_is_whole():
    """every file of the artifact has the checksum that SHA256SUMS says, and there is no other"""
    top = place()
    sums = dict(reversed(line.split(maxsplit=1)) for line in text(f"{top}/SHA256SUMS").splitlines() if line.strip())
    sums = {name.lstrip("*"): digest for name, digest in sums.items()}
    for name, digest in sums.items():
        found = hashlib.sha256(read(f"{top}/{name}", max_bytes=MOST_BYTES)).hexdigest()
        if found != digest:
            fail(
                f"{name} does not have the checksum that SHA256SUMS says",
                expected=digest[:12] + "…",
                actual=found[:12] + "…",
                hint="do the files come from one artifact? A model with the schema of another one fails late",
            )
    more = sorted(name for name in listing(top) if name not in {*sums, "SHA256SUMS"} and "__pycache__" not in name)
    if more:
        fail(
            "the artifact holds files that SHA256SUMS does not name",
            actual=", ".join(more),
            hint="remove the older folder before you copy",
        )


### BEGIN HIDDEN TESTS
@question.check(
    points=1,
    hidden=True,
    needs=(it_is_v2, it_is_whole),
    hint="does model.onnx come from the newer artifact, and features.py too?",
)
def the_weather_counts():
    """its model gives another probability in a storm than on a fine day"""
    rows = flights.planned("2013-11-20").sample(20, random_state=2)
    sent = as_sent(rows)
    names = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
    fine, rough = (
        Artifact(place()).probabilities([one | weather for one in sent])
        for weather in (
            {f"weather_{name}": value for name, value in zip(names, values, strict=True)}
            for values in ((60, 40, 3, 0, 1020, 10), (35, 98, 35, 0.6, 990, 0.5))
        )
    )
    expect(bool((rough > fine + 0.05).all())).is_true("the weather makes no difference")


### END HIDDEN TESTS
