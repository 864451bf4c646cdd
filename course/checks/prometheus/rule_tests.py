"""A shipped file of tests for alert rules: `RuleTests("rules_test.yml")`, bounded, and run on rules of the course's.

Only `alert_rule_test` counts on other rules than the student's own: names that their rules record, and annotations, are
their own affair. So each of these tests is turned into what it says of alerts: how many fire, and how severe they are.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.core.processes import Completed
from course.checks.files import reading
from course.checks.prometheus import programs, rules
from course.checks.prometheus.durations import seconds_of

MAX_TESTS = 40
MAX_SERIES = 60  # of one test
MAX_SAMPLES = 200_000  # of all
MAX_STEPS = 5_000  # evaluations of all rules, in all tests together
MAX_ASKED = 200  # alerts and expressions
_TOP = {"rule_files", "evaluation_interval", "group_eval_order", "tests"}
_TEST = {"name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url"}
_NAME = re.compile(r"[A-Za-z_]\w{0,80}")


@dataclass
class RuleTests:
    """The tests of a shipped file. It is read when they are first asked for, inside a check.

    Attributes:
        file: its path below the folder of shipped files.
    """

    file: str

    @functools.cached_property
    def tests(self) -> list[dict[str, Any]]:
        """The tests, as plain data.

        Raises:
            Unmet: the file is missing, is not YAML, or is not as promtool reads it, or its tests take too long.
        """
        data = reading.document(self.file)
        tests = data.get("tests") if isinstance(data, dict) else None
        if not isinstance(tests, list) or not tests:
            self._unfit("it must have `tests:` with a list of tests")
        self._known(data, _TOP, "the file")
        if len(tests) > MAX_TESTS:
            self._unfit(f"it holds {len(tests)} tests, and {MAX_TESTS} are the most here")
        self._interval = self._duration(data.get("evaluation_interval", "1m"), "evaluation_interval", least=10)
        samples = steps = asked = 0.0
        for place, test in enumerate(tests, 1):
            where = f"test {place}"
            if not isinstance(test, dict):
                self._unfit(f"{where} must have names with values")
            self._known(test, _TEST, where)
            self._duration(test.get("interval", "1m"), f"interval of {where}", least=5)
            series = self._list(test, "input_series", where)
            if len(series) > MAX_SERIES:
                self._unfit(f"{where} has {len(series)} series, and {MAX_SERIES} are the most here")
            samples += sum(self._samples(one, where) for one in series)
            alerts, expressions = (self._list(test, key, where) for key in ("alert_rule_test", "promql_expr_test"))
            times = [
                self._duration(one.get("eval_time"), f"eval_time in {where}", least=0) for one in alerts + expressions
            ]
            steps += max(times, default=0.0) / self._interval
            asked += len(times)
            for one in expressions:
                if reason := rules.too_costly(str(one.get("expr"))):
                    self._unfit(f"{where}: {reason}")
        if samples > MAX_SAMPLES or steps > MAX_STEPS or asked > MAX_ASKED:
            self._unfit(
                f"its tests take {steps:,.0f} evaluations on {samples:,.0f} values and ask {asked:.0f} times",
                hint=f"{MAX_STEPS:,} evaluations, {MAX_SAMPLES:,} values and {MAX_ASKED} questions are the most here: "
                "an hour or two shows what a day shows",
            )
        return tests

    def run(self, text: str) -> Completed:
        """Run the tests as they are, whatever `rule_files` says, on rules.

        Args:
            text: the file of rules.
        """
        return self._run(text, self.tests)

    def run_on(self, text: str, alerts: Iterable[str]) -> Completed:
        """Run what the tests say of some alerts on rules that make the same alerts in another way.

        Args:
            text: the file of rules.
            alerts: the names of the alerts.
        """
        names = set(alerts)
        tests: list[dict[str, Any]] = []
        for test in self.tests:
            asked = [one for one in test.get("alert_rule_test") or [] if one.get("alertname") in names]
            expressions = [expression for one in asked for expression in _expressions(one)]
            if expressions:
                kept: dict[str, Any] = {key: test[key] for key in ("name", "interval", "input_series") if key in test}
                tests.append({**kept, "promql_expr_test": expressions})
        if not tests:
            raise CheckFailed(
                f"{self.file} asks for none of the alerts {', '.join(sorted(names))}",
                hint="alert_rule_test, with the alertname and the exp_alerts that must fire at an eval_time",
            )
        return self._run(text, tests)

    def _run(self, text: str, tests: list[dict[str, Any]]) -> Completed:
        interval = f"{self._interval:.0f}s"
        timed: list[dict[str, Any]] = [{"interval": interval, **test} for test in tests]  # older promtools want it
        document = {"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": timed}
        files = {"rules.yml": text, "tests.yml": yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}
        return programs.run("promtool", ["test", "rules", "tests.yml"], files)

    # reading

    def _samples(self, one: Mapping[str, Any], where: str) -> float:
        """How many values a series has once its notation is written out."""
        values = str(one.get("values", ""))
        count = 0.0
        for word in values.split():
            _, times, number = word.rpartition("x")
            if times and not re.fullmatch(r"\d{1,6}", number):
                self._unfit(f"{where}: {word[:40]!r} is no sequence of values; 0+60x30 is one, with 31 values")
            count += int(number) + 1 if times else 1
        return count

    def _list(self, test: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
        found = test.get(key) or []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self._unfit(f"`{key}` of {where} must be a list of names with values")
        return found

    def _duration(self, value: Any, what: str, *, least: float) -> float:
        seconds = seconds_of(value)
        if seconds is None or seconds < least or seconds > 40 * 86_400:
            self._unfit(f"{what} is {value!r}, and must be a duration such as 1m, of {least:g} s or more")
        return seconds

    def _known(self, entry: Mapping[Any, Any], keys: set[str], where: str) -> None:
        if unknown := [str(key) for key in entry if key not in keys]:
            self._unfit(f"{where} has the key {unknown[0][:60]!r}, which promtool does not know")

    def _unfit(self, reason: str, hint: str | None = None) -> NoReturn:
        hint = hint or "compare it with the example above the exercise"
        raise Unmet(f"{self.file} holds tests of rules", reason, hint=hint)


def _expressions(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one entry of alert_rule_test says: how many alerts fire, and how many of each severity."""
    name, expected = str(one["alertname"]), one.get("exp_alerts") or []
    expected = [alert for alert in expected if isinstance(alert, dict)] if isinstance(expected, list) else []
    labels = [alert.get("exp_labels") for alert in expected]
    given = [one.get("severity") for one in labels if isinstance(one, dict)]
    severities = Counter(severity for severity in given if isinstance(severity, str) and _NAME.fullmatch(severity))
    selectors = [(f'alertname="{name}"', len(expected))]
    selectors += [(f'alertname="{name}",severity="{severity}"', count) for severity, count in severities.items()]
    return [
        {
            "expr": f'count(ALERTS{{alertstate="firing",{selector}}}) or vector(0)',
            "eval_time": one["eval_time"],
            "exp_samples": [{"labels": "{}", "value": count}],
        }
        for selector, count in selectors
    ]
