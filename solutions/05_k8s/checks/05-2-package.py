"""Is the newer model packaged as a whole artifact where the service looks for it?"""

import hashlib

from course import flights
from course.checks import Question, document, expect, fail, listing, text
from course.checks.docker.contexts import context, matching
from course.checks.files.reading import read
from course.checks.http.contracts import ArtifactModel, as_sent
from course.checks.http.course_artifact import unseen_flights

question = Question("The newer model, packaged", points=5)
NEW = {f"weather_{name}" for name in ("temp", "humid", "wind_speed", "precip", "pressure", "visib")}
MOST_BYTES = 64 * 2**20


def artifacts() -> list[str]:
    """The folders in the shipped context that hold an artifact, such as "v2/artifact"; the newer model's first."""
    schemas = [f"v2/{path}" for path in sorted(listing("v2")) if path.rpartition("/")[2] == "schema.json"]
    if not schemas:
        fail(
            "there is no artifact in v2", hint="an artifact holds schema.json; copy the whole folder of the newer model"
        )
    schemas.sort(key=lambda path: "weather_" not in text(path))
    return [path.removesuffix("schema.json").rstrip("/") for path in schemas]


def artifact_path() -> str:
    """The folder of the newer artifact; a check of its own judges whether there is another one beside it."""
    return artifacts()[0]


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
    if len(found := artifacts()) > 1:
        hint = "the service opens one of them, and nobody should have to find out which: put the newer in its place"
        fail("there are several artifacts in v2", actual=", ".join(sorted(found)), hint=hint)
    v2, schema = context("v2"), f"{found[0]}/schema.json".removeprefix("v2/")
    v2.expect("copies")
    copies = [copy for copy in v2.parsed.instructions if copy.name in ("COPY", "ADD") and copy.flag("from") is None]
    sources = [source for copy in copies for source in copy.paths[0]]
    if not any("$" in source or matching(source, {schema: v2.files[schema]}) for source in sources):
        hint = "put it where v1 was; the service looks there"
        fail("the Dockerfile does not copy the artifact from where it lies", actual=schema, hint=hint)


@question.check(points=1)
def it_is_v2() -> None:
    """its schema knows the weather, and requires none of it"""
    schema = document(f"{artifact_path()}/schema.json")
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        fail("schema.json must be a schema with properties")
    missing = NEW - set(schema.get("properties", {}))
    if missing:
        fail(
            "the schema of this artifact does not know the weather",
            expected=", ".join(sorted(NEW)),
            hint="is it the schema of v1?",
        )
    expect(sorted(NEW & set(schema.get("required", []))), "the list of weather fields that are required").equals([])


@question.check(points=2)
def it_is_whole() -> None:
    """every file of the artifact has the checksum in SHA256SUMS, and there is no other file"""
    top = artifact_path()
    lines = [line.split(maxsplit=1) for line in text(f"{top}/SHA256SUMS").splitlines() if line.strip()]
    if odd := [line for line in lines if len(line) != 2]:
        fail("a line of SHA256SUMS does not hold a checksum and a name", actual=" ".join(odd[0]))
    sums = {name.strip().lstrip("*").removeprefix("./"): digest.lower() for digest, name in lines}
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
    hint="does model.onnx come from the newer artifact, and features.py too?",
)
def the_weather_counts() -> None:
    """its model ranks flights that it has not seen, and gives another probability in a storm than on a fine day"""
    model = ArtifactModel(artifact_path())
    model.must_rank(unseen_flights())
    rows = flights.planned("2013-11-20").sample(20, random_state=2)
    sent = as_sent(rows)
    names = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
    fine, rough = (
        model.probabilities([flight | weather for flight in sent])
        for weather in (
            {f"weather_{name}": value for name, value in zip(names, values, strict=True)}
            for values in ((60, 40, 3, 0, 1020, 10), (35, 98, 35, 0.6, 990, 0.5))
        )
    )
    expect(bool((rough > fine + 0.05).all())).is_true("the weather makes no difference")


### END HIDDEN TESTS
