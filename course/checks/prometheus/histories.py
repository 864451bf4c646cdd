"""Made-up histories of a service, on which promtool evaluates rules: which alerts fire, minute by minute?

    outage = History("every request fails from minute 60 on", traffic((60, 0.0), (30, 1.0)) | up((90, 1)))
    fires(rules.text(), outage, {70: {"BudgetBurnsFast"}})       # {70: {"BudgetBurnsFast"}}

A history has one value a minute. Values are written as promtool reads them: `0+300x60` begins at 0 and grows by 300 in
each of 60 minutes, `1x5` is 1 six times, `_x5` is nothing for five minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from course.checks.core.expectations import CheckFailed, fail
from course.checks.prometheus import programs

REQUESTS = "http_requests_total"
_FAILED = re.compile(r'ALERTS\{alertname=\\?"(\w+)\\?".*?time: ([\w.]+),')
_TIME = re.compile(r"(\d{1,6})([dhms])")
_MINUTES = {"d": 1440, "h": 60, "m": 1, "s": 0}


@dataclass(frozen=True)
class History:
    """What Prometheus has seen of a service.

    Attributes:
        says: what happened, as a sentence that a message can end with.
        series: the values of each series, in promtool's notation.
    """

    says: str
    series: Mapping[str, str]


def traffic(
    *parts: tuple[int, float],
    per_minute: int = 300,
    pods: Iterable[str] = ("a", "b"),
    job: str = "late-flights",
    route: str = "/predict",
    error: str = "503",
    start: tuple[int, int] = (0, 0),
) -> dict[str, str]:
    """The counters of answered and of failed requests, one of each for every pod.

    Args:
        parts: one after the other: so many minutes, in which such a share of the requests fails.
        per_minute: requests that each pod gets.
        pods: their instances.
        job, route: labels.
        error: the status of a request that fails.
        start: what the counters of answered and failed requests begin with.
    """
    good = _grow(start[0], [(minutes, round(per_minute * (1 - share))) for minutes, share in parts])
    bad = _grow(start[1], [(minutes, round(per_minute * share)) for minutes, share in parts])
    labels = f'job="{job}",method="POST",route="{route}"'
    series = {}
    for pod in pods:
        series[f'{REQUESTS}{{instance="{pod}",{labels},status="200"}}'] = good
        series[f'{REQUESTS}{{instance="{pod}",{labels},status="{error}"}}'] = bad
    return series


def up(*parts: tuple[int, int | None], pods: Iterable[str] = ("a", "b"), job: str = "late-flights") -> dict[str, str]:
    """Whether each pod can be scraped: so many minutes 1 or 0, or None where nobody knows of it any more."""
    values = " ".join(f"{'_' if value is None else value}x{minutes - (value is not None)}" for minutes, value in parts)
    return {f'up{{instance="{pod}",job="{job}"}}': values for pod in pods}


def restarted(series: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Counters that go on with other values, from 0, as those of a process that was started again."""
    return {name: f"{values} {after[name]}" for name, values in series.items()}


def fires(rules: str, history: History, asked: Mapping[int, Iterable[str]]) -> dict[int, set[str]]:
    """Which of some alerts fire at some minutes of a history.

    Args:
        rules: the text of a file of rules.
        history: what happened.
        asked: by minute: names of alerts.

    Raises:
        CheckFailed: the rules cannot be evaluated on it.
    """
    wanted = [(minute, name) for minute, names in asked.items() for name in sorted(names)]
    # silence is expected of each, so promtool reports those that fire
    tests = [
        {
            "expr": f'(count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0) or vector(0)',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 0}],
        }
        for minute, name in wanted
    ]
    found = _failed(rules, history, tests)
    return {minute: {name for name in names if (name, minute) in found} for minute, names in asked.items()}


def counts_one(rules: str, history: History, minute: int, name: str) -> bool:
    """Whether an alert fires exactly once, however many pods there are."""
    expression = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
    test = {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]}
    return not _failed(rules, history, [test])


def must(
    rules: str,
    history: History,
    *,
    fire: Mapping[int, str] | None = None,
    silent: Mapping[int, Sequence[str]] | None = None,
) -> None:
    """Fail the check unless some alerts fire, and others do not.

    Args:
        rules: the text of a file of rules.
        history: what happened.
        fire: by minute: the alert that must fire.
        silent: by minute: the alerts that must not.
    """
    asked: dict[int, set[str]] = {}
    for minute, name in (fire or {}).items():
        asked.setdefault(minute, set()).add(name)
    for minute, names in (silent or {}).items():
        asked.setdefault(minute, set()).update(names)
    found = fires(rules, history, asked)
    for minute, name in sorted((fire or {}).items()):
        if name not in found[minute]:
            fail(f"{history.says}: {name} is silent at minute {minute}", expected="it fires", actual="it is silent")
    for minute, names in sorted((silent or {}).items()):
        if loud := sorted(found[minute] & set(names)):
            fail(f"{history.says}: {loud[0]} fires at minute {minute}", expected="it is silent", actual="it fires")


def _grow(start: int, parts: Sequence[tuple[int, int]]) -> str:
    """A counter: from a value on, so many minutes by so much a minute, and so on."""
    written: list[str] = []
    value = start
    for minutes, step in parts:
        first = value if not written else value + step
        count = minutes if not written else minutes - 1
        written.append(f"{first}+{step}x{count}")
        value = first + step * count
    return " ".join(written)


def _failed(rules: str, history: History, tests: Sequence[Mapping[str, object]]) -> set[tuple[str, int]]:
    """The alerts and minutes of those tests that fail."""
    series = [{"series": name, "values": values} for name, values in history.series.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": list(tests)}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    files = {"rules.yml": rules, "history.yml": yaml.safe_dump(document, sort_keys=False)}
    done = programs.run("promtool", ["test", "rules", "history.yml"], files)
    found = {(name, _minute(time)) for name, time in _FAILED.findall(done.output)}
    if not done.ok and not found:
        raise CheckFailed(f"{history.says}: promtool cannot evaluate the rules", actual=programs.last_words(done))
    return found


def _minute(time: str) -> int:
    return sum(int(number) * _MINUTES[unit] for number, unit in _TIME.findall(time))
