"""DAGs of Airflow that cannot be judged: each gets its reason."""

import importlib.util

import pytest

from course.checks.airflow.dags import pipeline
from course.checks.core import processes
from course.checks.core.expectations import Unmet

# not importorskip: that would import Airflow into the process of the tests
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("airflow") is None, reason="the extra pipelines is not installed"
)
HEAD = """
from airflow.sdk import dag, task

@dag(schedule=None)
def late_flights():
    @task
    def first():
        return 1

"""


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    (tmp_path / "dags").mkdir()
    yield tmp_path / "dags" / "late_flights.py"
    processes.end_all()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("    a, b = first(), first()\n    a >> b >> a\n\nlate_flights()\n", "[Cc]ycl", id="a cycle"),
        pytest.param("    first()\n", "finds no DAG 'late_flights'", id="it is never called"),
    ],
)
def test_a_dag_that_cannot_be_judged_gets_its_reason(shipped, body, reason):
    shipped.write_text(HEAD + body)
    with pytest.raises(Unmet, match=reason):
        pipeline("late_flights")
