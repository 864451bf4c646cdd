"""The questions as modules: cheap to load, worth what they say, and callable on a folder of shipped files.

No notebook runs here, and nothing needs an engine or a cluster: test_submissions.py judges whole submissions.
"""

from __future__ import annotations

import json
import pickletools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course import flights, shipping
from course.checks import Outcome, Question, Result
from course.checks.core.loading import FOLDER, load
from course.labs.source import questions, released_question

from .conftest import LABS, REPOSITORY
from .live_points import CLUSTER, ENGINE, live_points

PATHS = [path for folder in (lab.folder for lab in LABS) for path in questions(folder)]
MORE_THAN_COMPILING = 3.0  # a module that only defines its checks takes little longer to load than to compile


@pytest.fixture
def nothing_to_use(tmp_path, monkeypatch):
    """An empty folder, without shipped files, engine, cluster, data or other processes."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("loading a question reads no data and no shipped file, and starts nothing")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    monkeypatch.setattr(shipping, "folder", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    for name in ("history", "planned", "labels", "weather", "holdout"):
        monkeypatch.setattr(flights, name, refuse)


def _loaded(path: Path) -> Question:
    return load(path.parent, path.stem)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_question_loads_where_nothing_was_shipped_and_is_worth_what_it_says(path, nothing_to_use):
    question = _loaded(path)
    assert question.worth == question.points


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_released_question_loads_without_its_hidden_checks(path, nothing_to_use, tmp_path):
    released = tmp_path / FOLDER / path.name
    released.parent.mkdir()
    released.write_text(released_question(path.read_text(encoding="utf-8")), encoding="utf-8")
    question = _loaded(released)
    assert question.points == _loaded(path).points
    assert question.worth <= question.points


def test_loading_all_questions_takes_little_longer_than_compiling_them(nothing_to_use):
    sources = [path.read_text(encoding="utf-8") for path in PATHS]
    for path in PATHS:  # what they import is not what is measured
        _loaded(path)
    compiling = _fastest(lambda: [compile(source, "question", "exec") for source in sources])
    loading = _fastest(lambda: [_loaded(path) for path in PATHS])
    assert loading <= MORE_THAN_COMPILING * compiling


def _fastest(work: Callable[[], Any], times: int = 3) -> float:
    """The seconds of the fastest of several runs: others that use the machine only make a run slower."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


# ------------------------------------------------------------------------------------- questions, called on a folder

Ask = Callable[..., Result]


@pytest.fixture
def ask(tmp_path, monkeypatch) -> Ask:
    """Call a question of a lab on shipped files: `ask(lab, grade_id, **{"features.py": text, …})`.

    Files are given by their path: text, bytes, or data for a file of JSON.
    """

    def ask(lab: str, grade_id: str, **files: Any) -> Result:
        shipped = tmp_path / "shipped"
        for name, content in files.items():
            place = shipped / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not isinstance(content, str | bytes):
                content = json.dumps(content)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.setenv("COURSE_SHIPPED", str(shipped))
        folder = REPOSITORY / "solutions" / lab
        monkeypatch.chdir(folder)  # where its given files are
        return load(folder / FOLDER, grade_id).result()

    return ask


def _earned(result: Result) -> dict[str, float]:
    """What each check earned that is worth something, by its name."""
    return {check.name: check.points for check in result.checks if check.worth}


def test_a_threshold_that_does_not_balance_the_costs_earns_nothing_for_it(ask):
    answers = {"cost_missed": 30, "cost_false": 15, "threshold": 0.5, "cost_never": 1, "cost_always": 1}
    result = ask("01_python_model", "01-1-threshold", **{"answers.json": answers})
    assert result.score == 0
    assert "15.00 euros if you do not warn, 7.50 if you do" in result.to_text()


def test_a_history_of_one_commit_is_not_enough(ask, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "README.md").write_text("# late-flights\n")
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "Add a README"],
        ["bundle", "create", "b", "HEAD"],
    ):
        subprocess.run([*git, *arguments], cwd=work, check=True, capture_output=True)
    result = ask("01_python_model", "01-2-history", **{"late-flights.bundle": (work / "b").read_bytes()})
    assert result.score == 0
    assert "the number of commits is too low" in result.to_text()


def test_tests_that_catch_what_they_are_shown_earn_the_points_for_that(ask):
    source = """
import pandas as pd
from features import is_late


def late(*delays):
    return is_late(pd.DataFrame({"arr_delay": pd.Series(delays, dtype=float)}))


def test_fifteen_minutes_are_late():
    assert bool(late(15)[0])


def test_a_flight_that_never_arrived_is_neither():
    assert late(None).isna().all()
"""
    result = ask("01_python_model", "01-3-late", **{"test_late.py": source})
    assert sorted(_earned(result).values()) == [0, 1, 1], result.to_text()


def test_a_choice_that_ignores_the_tolerance_loses_the_hidden_points(ask):
    source = """
import numpy as np


def expected_cost(late, probability, threshold, missed, false):
    warned = np.asarray(probability) >= threshold
    late = np.asarray(late)
    return float((missed * (late & ~warned) + false * (~late & warned)).mean())


def choose(table, rule):
    sign = -1 if rule["metric"] == "roc_auc" else 1
    return min(rule["simplest_first"], key=lambda name: sign * table[name][rule["metric"]])
"""
    rule = "metric: brier\ntolerance: 0.01\nsimplest_first: [logistic_regression, gradient_boosting]\n"
    rule += "costs: {missed_warning: 30, false_warning: 15}\n"
    result = ask("01_python_model", "01-4-rule", **{"evaluation.py": source, "rule.yaml": rule})
    lost = [name for name, points in _earned(result).items() if not points]
    assert lost == ["simplest_within_tolerance_wins", "lower_losses_win"], result.to_text()


@pytest.mark.parametrize(
    ("data", "score"),
    [
        (b"\x80\x04}(\x8c\x04dest\x8c\x03LAX\x8c\x04late\x88u.", 6),
        (b"\x80\x04}(\x8c\x04dest\x8c\x03LAX\x8c\x04late\x89u.", 4),
        (b"\x80\x04}(\x8c\x04dest\x8c\x03LAX\x8c\x09late\x88u.", 0),
    ],
    ids=["right", "another value", "a wrong length"],
)
def test_a_pickle_by_hand_is_disassembled_and_opened(ask, data, score):
    if score:
        assert list(pickletools.genops(data))[-1][0].name == "STOP"
    assert ask("02_serialisation", "02-1-by-hand", **{"by_hand.pickle": data}).score == score


def test_a_feed_of_float64_is_told_its_type(ask):
    source = "def feed(table):\n    return {name: table[[name]].to_numpy() for name in table}\n"
    result = ask("02_serialisation", "02-2-formats", **{"formats.py": source})
    first = next(check for check in result.checks if check.name == "feed_has_one_array_a_column")
    assert (first.points, first.expected) == (0, "float32")


def test_a_contract_that_accepts_everything_earns_a_point_for_good_requests_and_no_other(ask):
    result = ask("03_flask_api", "03-1-contract", **{"contract.py": "def problems(document, schema):\n    return []\n"})
    assert result.score == 1  # with a schema of the course's own, where no artifact is shipped
    passed = [check.name for check in result.checks if check.outcome == Outcome.PASS]
    assert passed == ["good_requests_have_no_problems"]


def test_statuses_that_only_say_whose_fault_it_is_earn_half(ask):
    callers = ("broken off", "nowhere", "wrong method", "too large", "a form", "no distance", "impatient")
    statuses = dict.fromkeys(callers, 400) | {"fine": 200, "a bug": 500, "no model": 500}
    result = ask("03_flask_api", "03-1-statuses", **{"answers.json": {"statuses": statuses}})
    assert result.score == 2


def test_a_page_without_a_language_or_labels_fails_for_each(ask):
    page = """
from flask import Blueprint, render_template


def create_page(ask, choices, metrics):
    page = Blueprint("page", __name__, template_folder="templates")
    page.get("/")(lambda: render_template("ask.html"))
    return page
"""
    template = "<!doctype html><html><title>Late?</title><h1>Late?</h1><form><input name='carrier'></form></html>"
    result = ask("03_flask_api", "03-2-page", **{"page.py": page, "templates/ask.html": template})
    assert result.score == 0
    assert "the page does not say in which language it is" in result.to_text()
    assert "the field carrier has no label" in result.to_text()


def test_ports_as_they_were_asked_for_are_not_ports_that_are_open(ask):
    source = """
def reachable(container):
    doors = container["HostConfig"]["PortBindings"] or {}
    return sorted(port for port, found in doors.items() if any(d["HostIp"] in ("0.0.0.0", "::") for d in found))
"""
    result = ask("04_docker", "04-1-ports", **{"ports.py": source})
    assert _earned(result) == {
        "a_door_to_all_addresses_is_found": 2,
        "what_only_this_machine_reaches_is_left_out": 1,
        "a_stopped_container_has_no_door": 0,
        "other_addresses_count": 0,
    }


def test_a_cache_that_keeps_nothing_is_shown_what_is_kept(ask):
    source = "def kept(steps, changed):\n    return [False] * len(steps)\n"
    result = ask("04_docker", "04-2-cache", **{"cache.py": source})
    assert result.score == 0
    assert "expected [True, True, False, False, False]" in result.to_text()


def test_a_record_that_takes_the_id_for_the_digest_loses_the_digest(ask):
    source = """
def record(image, base):
    layers, below = image["RootFS"]["Layers"], base["RootFS"]["Layers"]
    if layers[: len(below)] != below:
        raise ValueError("another base")
    labels = image["Config"]["Labels"] or {}
    return {
        "id": image["Id"],
        "digest": image["Id"],
        "revision": labels.get("org.opencontainers.image.revision"),
        "bytes": image["Size"],
        "layers": layers[len(below) :],
        "added_bytes": image["Size"] - base["Size"],
    }
"""
    result = ask("04_docker", "04-3-record", **{"record.py": source})
    lost = [name for name, points in _earned(result).items() if not points]
    assert lost == ["it_says_the_digest", "what_is_not_there_is_none"], result.to_text()


def test_what_moved_is_compared_where_both_listings_have_it(ask):
    source = """
def moved(before, after):
    return [
        f"{name}:{tag}" for name in sorted(before) for tag in sorted(before[name])
        if after.get(name, {}).get(tag, before[name][tag]) != before[name][tag]
    ]
"""
    earned = _earned(ask("04_docker", "04-4-pins", **{"pins.py": source}))
    assert {name for name, points in earned.items() if points} == {"what_moved_is_found", "new_and_gone_did_not_move"}


def test_a_diagnosis_that_always_says_ready_is_wrong_about_every_other_pod(ask):
    result = ask("05_k8s", "05-1-diagnose", **{"diagnose.py": "def diagnose(pod, events):\n    return 'ready'\n"})
    assert result.score == 0
    assert "expected scheduling; got ready" in result.to_text()


def test_requests_that_failed_are_lost_too(ask):
    source = "def lost(records):\n    return sum(record['status'] is None for record in records)\n"
    earned = _earned(ask("05_k8s", "05-2-measuring", **{"measuring.py": source}))
    assert earned["what_got_no_answer_is_lost"] == 1
    assert earned["failures_are_lost_and_refusals_are_not"] == 0


def test_a_bill_without_the_people_is_too_low(ask):
    source = """
def monthly(option, business):
    return float(option["fixed"] + option["unit"] * option["least"])


def cheapest(options, business):
    return min(options, key=lambda name: monthly(options[name], business))
"""
    result = ask("05_k8s", "05-3-cost", **{"cost.py": source})
    assert result.score == 0
    assert "expected 125; got 25" in result.to_text()


@pytest.mark.parametrize(("name", "calls", "least"), [("04_docker", ENGINE, 45), ("05_k8s", CLUSTER, 35)])
def test_where_there_is_an_engine_or_a_cluster_it_decides_many_points(name, calls, least):
    """docs/authoring.md has the table of these points."""
    folder = REPOSITORY / "solutions" / name
    points = {path.stem: live_points(path, calls) for path in questions(folder)}
    assert sum(points.values()) >= least
    documented = (REPOSITORY / "docs" / "authoring.md").read_text(encoding="utf-8")
    for question, worth in points.items():
        assert not worth or f"| `{question}` | {worth:g} |" in documented, question
