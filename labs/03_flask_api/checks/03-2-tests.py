"""Do the tests of a service pass on services that keep the contract, and catch those that break it?"""

from pathlib import Path

from course.checks import Mutation, Question, original, tests, variant
from course.checks.http.course_artifact import course_artifact
from course.checks.python.suites import Text
from course.sandboxed import programs

fixtures = original("given/conftest.py", digest="508bfd938649c270")


def good() -> str:
    """The text of a service that keeps the contract."""
    return Path(programs.__file__).with_name("stand_in.py").read_text(encoding="utf-8")


def schema() -> str:
    """The schema of a flight."""
    return course_artifact().read("schema.json").decode()


def service(*changes: tuple[str, str]) -> dict[str, Text]:
    """A service to be tested: the good one, with some passages replaced."""
    return {
        "api.py": variant(good, *changes) if changes else good,
        "conftest.py": fixtures,
        "artifact/metrics.json": '{"threshold": 0.3333333333333333}',
        "artifact/versions.json": '{"python": "3.11.7", "packages": {"scikit-learn": "1.9.1"}}',
        "artifact/schema.json": schema,
        "artifact/model.onnx": "a made-up model",
    }


question = Question("Tests of a service", points=12)
study = Mutation(
    question,
    tests("test_api.py"),
    {"a service that keeps the contract": service()},
    warm=("flask", "flask.testing", "werkzeug.test"),
    advice="test what the contract says; two services that keep it may differ in everything else",
    points=2,
)
study.accepts(
    "a service that says 400 where another says 422, and has another model",
    service(
        ("REFUSED = 422", "REFUSED = 400"),
        ("0.06 + 0.018 * departure.hour", "0.7 - 0.02 * departure.hour"),
    ),
)
study.catches(
    "a service that answers GET /predict is caught",
    service(
        ('loaded(predict), methods=["POST"]', 'loaded(predict), methods=["GET", "POST"]'),
        (
            "        if request.mimetype",
            "        if request.method == 'GET':\n            return {'warn': True}\n        if request.mimetype",
        ),
    ),
    points=1,
    hint="the contract knows one method for /predict; what does the service say to another one?",
)
study.catches(
    "a service that says 200 and puts the error inside is caught",
    service((", status, kept", ", 200, kept")),
    points=1,
    hint="programs look at the status first, and many look at nothing else",
)
study.catches(
    "a service whose errors are HTML is caught",
    service(('    body = {"type"', '    return f"<h1>{detail}</h1>", status, dict(headers)\n    body = {"type"')),
    points=1,
    hint="what is the media type of a problem?",
)
study.catches(
    "a service that takes unknown fields is caught",
    service(("for name in flight if name not in rules]", "for name in flight if False]")),
    points=1,
    hint="a caller who writes airline instead of carrier should be told",
)
study.catches(
    "a service that mixes up the order of many flights is caught",
    service(("[answer(flight) for flight in asked]", 'sorted(map(answer, asked), key=lambda one: one["probability"])')),
    points=1,
    hint="ask for different flights at once, and for each alone",
)
