"""A shipped file of recording and alerting rules: `AlertRules("rules.yml")`, read within bounds, rule by rule.

A rule whose expression cannot be parsed costs what it does itself: the others are still judged. promtool decides where
it is installed, else promql-parser.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from course.checks.core.expectations import CheckFailed, Unmet, fail, not_graded_here
from course.checks.files import reading
from course.checks.prometheus import programs
from course.checks.prometheus.durations import seconds_of

MAX_RULES = 60
MAX_EXPRESSION = 2000  # characters
MAX_BRACKETS = 40  # one in another
MAX_PATTERNS = 20  # regular expressions in one expression
MAX_TEXT = 300  # characters of a text in quotes
MAX_RANGE = 30 * 86_400
MAX_STEPS = 1500  # of the subqueries of one expression, multiplied
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' r"'(?:[^'\\]|\\.)*'|`[^`]*`")
_KINDS = ("alert", "record")


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        kind: "alert" or "record".
        name: of the alert, or of the series that is recorded.
        group: the name of its group.
        entry: the rule as it is written, as plain data.
        wrong: why it cannot be evaluated; "" where it can.
    """

    kind: str
    name: str
    group: str
    entry: dict[str, Any]
    wrong: str = ""

    @property
    def shown(self) -> str:
        """The rule in short."""
        return f"the rule {self.kind}: {self.name}"


@dataclass
class AlertRules:
    """The rules of a shipped file. It is read when they are first asked for, inside a check.

    Attributes:
        file: its path below the folder of shipped files.
    """

    file: str
    _groups: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @functools.cached_property
    def rules(self) -> list[Rule]:
        """All rules, in order, those that cannot be evaluated included.

        Raises:
            Unmet: the file is missing, is not YAML, holds no groups of rules, or holds too much.
        """
        found = list(self._read())
        if not found:
            self._unfit("it holds no rule")
        wrong = _errors([rule.entry for rule in found if not rule.wrong])
        return [
            rule if rule.wrong else Rule(rule.kind, rule.name, rule.group, rule.entry, wrong.pop(0)) for rule in found
        ]

    def alert(self, name: str) -> list[Rule]:
        """The rules that make an alert.

        Raises:
            CheckFailed: there is none, or none of them can be evaluated.
        """
        alerts = [rule for rule in self.rules if rule.kind == "alert"]
        mine = [rule for rule in alerts if rule.name == name]
        if not mine:
            near = difflib.get_close_matches(name, [rule.name for rule in alerts], 1, 0.6)
            hint = f"is {near[0]!r} meant to be this one?" if near else None
            names = ", ".join(rule.name for rule in alerts) or "none"
            raise CheckFailed(f"{self.file} has no alert {name}", expected=name, actual=names[:200], hint=hint)
        if all(rule.wrong for rule in mine):
            raise CheckFailed(f"the alert {name} cannot be evaluated: {mine[0].wrong}")
        return mine

    def text(self, *, annotations: bool = False, without: str | None = None) -> str:
        """The rules that can be evaluated, as a file for Prometheus.

        Args:
            annotations: whether their annotations belong to it, whose templates may query.
            without: the name of an alert that is left out.
        """
        keys = (
            "alert",
            "record",
            "expr",
            "for",
            "keep_firing_for",
            "labels",
            *(["annotations"] if annotations else []),
        )
        groups: dict[str, dict[str, Any]] = {}
        for rule in self.rules:
            if not rule.wrong and (rule.kind, rule.name) != ("alert", without):
                group = groups.setdefault(rule.group, {"name": rule.group, "rules": []})
                group["rules"].append({key: rule.entry[key] for key in keys if rule.entry.get(key) is not None})
        return yaml.safe_dump({"groups": list(groups.values())}, sort_keys=False, allow_unicode=True)

    def _read(self) -> Iterator[Rule]:
        data = reading.document(self.file)
        groups = data.get("groups") if isinstance(data, dict) else None
        if not isinstance(groups, list):
            self._unfit("it must begin with `groups:` and a list of groups", got=data)
        seen: set[str] = set()
        count = 0
        for place, group in enumerate(groups, 1):
            if not isinstance(group, dict) or not isinstance(group.get("rules"), list):
                self._unfit(f"group {place} must have a name and a list of rules", got=group)
            name = str(group.get("name"))
            if "name" not in group or name in seen:
                self._unfit(f"each group must have a name of its own; group {place} has {group.get('name')!r}")
            seen.add(name)
            for entry in group["rules"]:
                count += 1
                if count > MAX_RULES:
                    self._unfit(f"it holds more than {MAX_RULES} rules")
                yield _rule(entry, name)

    def _unfit(self, reason: str, **details: Any) -> NoReturn:
        hint = "compare it with the example above the exercise"
        try:
            fail(reason, hint=hint, **details)
        except CheckFailed as failure:
            raise Unmet(
                f"{self.file} holds groups of rules", failure.reason, actual=failure.actual, hint=failure.hint
            ) from None


def _rule(entry: Any, group: str) -> Rule:
    """One rule, with what is wrong with it as far as plain reading tells."""
    if not isinstance(entry, dict) or sum(kind in entry for kind in _KINDS) != 1:
        return Rule("rule", str(entry)[:60], group, {}, "a rule is either an `alert:` or a `record:` with its `expr:`")
    kind = "alert" if "alert" in entry else "record"
    name = str(entry[kind])[:100]
    if "expr" not in entry:
        return Rule(kind, name, group, entry, "it has no `expr:`")
    expression = str(entry["expr"])
    labels = entry.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str | int | float) for value in labels.values()):
        return Rule(kind, name, group, entry, f"labels must be names with texts, got {labels!r:.80}")
    entry = {**entry, "expr": expression, "labels": {str(key): str(value) for key, value in labels.items()}}
    return Rule(kind, name, group, entry, too_costly(expression) or "")


def too_costly(expression: str) -> str | None:
    """Why an expression is not evaluated here, or None. The limits are far above what an alert needs."""
    if len(expression) > MAX_EXPRESSION:
        return f"its expression has {len(expression)} characters, and {MAX_EXPRESSION} are the most here"
    if any(len(quoted) > MAX_TEXT for quoted in _QUOTED.findall(expression)):
        return f"a text in its expression is longer than {MAX_TEXT} characters"
    bare = _QUOTED.sub('""', expression)
    if bare.count("=~") + bare.count("!~") > MAX_PATTERNS:
        return f"it has more than {MAX_PATTERNS} regular expressions"
    deepest = depth = 0
    for sign in bare:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_BRACKETS:
        return f"its brackets lie more than {MAX_BRACKETS} deep in each other"
    steps = 1.0
    for inside in _RANGE.findall(bare):
        window, colon, step = inside.partition(":")
        length = seconds_of(window.strip()) or 0.0
        if length > MAX_RANGE:
            return f"it looks back by [{inside}], and 30 days are the most here"
        if colon:
            steps *= max(1.0, length / (seconds_of(step.strip()) or 60.0))
    return f"its subqueries take more than {MAX_STEPS} steps" if steps > MAX_STEPS else None


def _errors(entries: list[dict[str, Any]]) -> list[str]:
    """For each rule why it cannot be evaluated, or ""."""
    if programs.find("promtool") is None:
        return [_parsed(entry["expr"]) for entry in entries]
    names = [f"rule{number}.yml" for number in range(len(entries))]
    files = {
        name: yaml.safe_dump({"groups": [{"name": "g", "rules": [entry]}]}, sort_keys=False)
        for name, entry in zip(names, entries, strict=True)
    }
    if not names:
        return []
    done = programs.run("promtool", ["check", "rules", "--lint=none", *names], files)
    if done.timed_out:
        return ["promtool did not end in time"] * len(entries)
    reports = re.split(r"^Checking (rule\d+\.yml)$", done.output, flags=re.MULTILINE)
    said = dict(zip(reports[1::2], reports[2::2], strict=False))
    return [_reason(said.get(name, "promtool did not reach it"), name) for name in names]


def _reason(report: str, name: str) -> str:
    """promtool's reason why it refuses a rule, without the place in the file that was made for it; "" for none."""
    if "SUCCESS" in report:
        return ""
    lines = [line.strip() for line in report.splitlines() if line.strip() and line.strip() != "FAILED:"]
    first = next((line for line in lines if line.startswith(name)), lines[0] if lines else "promtool refuses it")
    return re.sub(r'^.*?rule 1, "[^"]*": ', "", first.removeprefix(f"{name}: "))[:300]


def _parsed(expression: str) -> str:
    """What promql-parser says of an expression; "" where it is well formed."""
    try:
        import promql_parser
    except ImportError:
        not_graded_here("neither promtool nor promql-parser is installed here; make doctor says how to get promtool")
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        return f"could not parse expression: {str(error)[:200]}"
    return ""
