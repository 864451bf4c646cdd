"""Is the newer model packaged as a whole artifact where the service looks for it?"""

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


def artifact_path() -> str:
    """The folder of the artifact in the shipped context, such as "v2/artifact"."""
    schemas = [path for path in listing("v2") if path.rpartition("/")[2] == "schema.json"]
    if not schemas:
        fail(
            "there is no artifact in v2", hint="an artifact holds schema.json; copy the whole folder of the newer model"
        )
    if len(schemas) > 1:
        hint = "the service opens one of them, and nobody should have to find out which: put the newer in its place"
        fail("there are several artifacts in v2", actual=", ".join(sorted(schemas)), hint=hint)
    return f"v2/{schemas[0].removesuffix('schema.json')}".rstrip("/")


@question.check(points=1)
def one_artifact_where_the_service_looks() -> None:
    """there is one artifact, in a context that can be built"""
    names = listing("v2")
    if "Dockerfile" not in names:
        fail(
            "v2 has no Dockerfile",
            actual=", ".join(sorted(names)[:12]),
            hint="ship the whole context, not the model alone",
        )
    v2, schema = context("v2"), f"{artifact_path()}/schema.json".removeprefix("v2/")
    v2.expect("copies")
    copies = [copy for copy in v2.parsed.instructions if copy.name in ("COPY", "ADD") and copy.flag("from") is None]
    sources = [source for copy in copies for source in copy.paths[0]]
    if not any("$" in source or matching(source, {schema: v2.files[schema]}) for source in sources):
        hint = "put it where v1 was; the service looks there"
        fail("the Dockerfile does not copy the artifact from where it lies", actual=schema, hint=hint)


@question.check(points=1, needs=one_artifact_where_the_service_looks)
def it_is_v2() -> None:
    """its schema knows the weather, and requires none of it"""
    schema = json.loads(text(f"{artifact_path()}/schema.json"))
    missing = NEW - set(schema.get("properties", {}))
    if missing:
        fail(
            "the schema of this artifact does not know the weather",
            expected=", ".join(sorted(NEW)),
            hint="is it the schema of v1?",
        )
    expect(sorted(NEW & set(schema.get("required", []))), "the list of weather fields that are required").equals([])


@question.check(points=2, needs=one_artifact_where_the_service_looks)
def it_is_whole() -> None:
    """every file of the artifact has the checksum that SHA256SUMS says, and there is no other"""
    top = artifact_path()
    lines = [line.split(maxsplit=1) for line in text(f"{top}/SHA256SUMS").splitlines() if line.strip()]
    sums = {name.lstrip("*"): digest for digest, name in lines}
    for name, digest in sums.items():
        checksum = hashlib.sha256(read(f"{top}/{name}", max_bytes=MOST_BYTES)).hexdigest()
        if checksum != digest:
            fail(
                f"{name} does not have the checksum that SHA256SUMS says",
                expected=digest[:12] + "…",
                actual=checksum[:12] + "…",
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
def the_weather_counts() -> None:
    """its model gives another probability in a storm than on a fine day"""
    rows = flights.planned("2013-11-20").sample(20, random_state=2)
    sent = as_sent(rows)
    names = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
    fine, rough = (
        Artifact(artifact_path()).probabilities([flight | weather for flight in sent])
        for weather in (
            {f"weather_{name}": value for name, value in zip(names, values, strict=True)}
            for values in ((60, 40, 3, 0, 1020, 10), (35, 98, 35, 0.6, 990, 0.5))
        )
    )
    expect(bool((rough > fine + 0.05).all())).is_true("the weather makes no difference")


### END HIDDEN TESTS
