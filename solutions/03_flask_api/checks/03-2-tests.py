"""Do the tests of a service pass on services that keep the contract, and catch those that break it?"""

from pathlib import Path

from course.checks import Mutation, Question, original, tests, variant
from course.checks.python.suites import Text
from course.sandboxed import programs

fixtures = original("given/conftest.py", digest="508bfd938649c270")


def good() -> str:
    """The text of a service that keeps the contract."""
    return Path(programs.__file__).with_name("stand_in.py").read_text(encoding="utf-8")


def service(*changes: tuple[str, str]) -> dict[str, Text]:
    """A service to be tested: the good one, with some passages replaced."""
    return {
        "api.py": variant(good, *changes) if changes else good,
        "conftest.py": fixtures,
        "artifact/metrics.json": '{"threshold": 0.3333333333333333}',
    }


question = Question("Tests of a service", points=12)
study = Mutation(
    question,
    tests("test_api.py"),
    {"a service that keeps the contract": service()},
    warm=("flask", "flask.testing", "werkzeug.test"),
    advice="test what the contract says; two services that keep it may differ in everything else",
)
study.accepts(
    "a service that says 400 where another says 422, and has another model",
    service(
        ('problem(422, "the request does not fit the schema", wrong)', 'problem(400, "no", wrong)'),
        ('problem(422, "there is more than flights")', 'problem(400, "no")'),
        ("0.06 + 0.018 * departure.hour", "0.7 - 0.02 * departure.hour"),
    ),
)
study.catches(
    "a service that answers GET /predict is caught",
    service(
        ('predict, methods=["POST"]', 'predict, methods=["GET", "POST"]'),
        (
            "if request.mimetype",
            'if request.method == "GET":\n            return answer({})\n        if request.mimetype',
        ),
        (
            "    def answer(flight):",
            "    def answer(flight):\n        if not flight:\n            return {'warn': True}",
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
    service(("        body = {", '        return f"<h1>{detail}</h1>", status, dict(headers)\n        body = {')),
    points=1,
    hint="what is the media type of a problem?",
)
study.catches(
    "a service that takes unknown fields is caught",
    service(('if name not in (*CODES, *TIMES, "distance")', "if False")),
    points=1,
    hint="a caller who writes airline instead of carrier should be told",
)
study.catches(
    "a service that mixes up the order of many flights is caught",
    service(("[answer(flight) for flight in asked]", 'sorted(map(answer, asked), key=lambda one: one["probability"])')),
    points=2,
    hint="ask for different flights at once, and for each alone",
)
### BEGIN HIDDEN TESTS
study.accepts(
    "a service that describes itself and its errors in other words",
    service(
        ('"title": f"Status {status}"', '"title": "Refused"'),
        ('"detail": "it is unknown"', '"detail": "nobody knows it"'),
        ("/ 100_000", "/ 50_000"),
        ('{"pointer": "", "detail"', '{"field": "", "detail"'),
    ),
)
study.catches(
    "a service that warns on the wrong side of the threshold is caught",
    [
        service(("probability >= metrics", "probability > metrics")),
        service(("probability >= metrics", "probability < metrics")),
        service(('metrics["threshold"]}\n\n    def predict', "0.5}\n\n    def predict")),
    ],
    points=2,
    hidden=True,
    hint="what happens at the threshold itself, below it, and when metrics.json holds another one?",
)
study.catches(
    "a service that reads its artifact for each request is caught",
    service(
        (
            "    def predict():\n",
            "    def predict():\n        metrics.update(json.loads((artifact / 'metrics.json').read_text()))\n",
        )
    ),
    points=1,
    hidden=True,
    hint="how would anybody notice that the artifact is read again?",
)
study.catches(
    "a service that breaks on a value of a wrong type is caught",
    service(
        (
            "return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 12_000",
            "return 0 < value",
        ),
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
            "        if many:\n            asked = [one for one in asked if not faults(one)]\n        elif wrong:",
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
