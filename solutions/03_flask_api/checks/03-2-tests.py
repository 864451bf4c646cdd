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
### BEGIN HIDDEN TESTS
study.accepts(
    "a service that describes itself and its errors in other words",
    service(
        ('"title": f"Status {status}"', '"title": "Refused"'),
        ('"it is unknown"', '"nobody knows it"'),
        ("/ 100_000", "/ 50_000"),
        ('"the request does not fit the schema"', '"no"'),
    ),
)
study.catches(
    "a service that warns on the wrong side of the threshold is caught",
    [
        service(('probability >= about["threshold"]', 'probability > about["threshold"]')),
        service(('probability >= about["threshold"]', 'probability < about["threshold"]')),
        service(('probability >= about["threshold"]', "probability >= 0.5")),
    ],
    points=1,
    hidden=True,
    hint="what happens at the threshold itself, below it, and when metrics.json holds another one?",
)
study.catches(
    "a service that reads its artifact for each request is caught",
    service(
        (
            "    def predict():\n",
            "    def predict():\n        about.update(read(artifact)[0])\n",
        )
    ),
    points=1,
    hidden=True,
    hint="how would anybody notice that the artifact is read again?",
)
study.catches(
    "a service that breaks on a value of a wrong type is caught",
    service(
        ("number = isinstance(value, int | float) and not isinstance(value, bool)", "number = True"),
        ('return problem(500, "the service failed")', "import traceback\n        return traceback.format_exc(), 500"),
    ),
    points=1,
    hidden=True,
    hint="which types can JSON hold where a number is expected?",
)
study.catches(
    "a service that leaves bad flights out is caught",
    service(
        (
            "        if wrong:",
            "        if many:\n            asked = [one for one in asked if not faults(one, schema)]\n"
            "        elif wrong:",
        )
    ),
    points=1,
    hidden=True,
    hint="a good and a bad flight together: how many answers are there, and whose?",
)
study.catches(
    "a service without limits, or without care for what is no JSON, is caught",
    [
        service(
            (
                "        if not isinstance(asked, list) or not 1 <= len(asked) <= MOST:",
                "        if not isinstance(asked, list):",
            )
        ),
        service(('return problem(400, "this is no JSON")', 'return problem(500, "this is no JSON")')),
    ],
    points=1,
    hidden=True,
    hint="what else than a flight can be sent, and how much of it?",
)
### END HIDDEN TESTS
