"""Does the template of the chart make an autoscaler of the chart's values?"""

import re
from typing import Any

from course.checks import Question, expect, fail, not_graded_here, text
from course.checks.files.reading import parse

question = Question("A template of your own", points=3)
NAME = "chart/templates/autoscaler.yaml"
MAX_BYTES = 1 << 13
WORDS = r"\s([^{}]*?)\s"
ACTION = re.compile(
    rf"\s*\{{\{{-{WORDS}-\}}\}}\s*|\s*\{{\{{-{WORDS}?\}}\}}|\{{\{{{WORDS}?-\}}\}}\s*|\{{\{{([^{{}}]*?)\}}\}}"
)


def said(match: re.Match[str]) -> str:
    """What stands between the braces."""
    return " ".join(next(part for part in match.groups() if part is not None).split())


def value_of(words: str, values: dict[str, Any], release: str) -> str:
    """What an action becomes: a value, in quotes or not."""
    place, *filters = (part.strip() for part in words.split("|"))
    if any(name not in ("quote", "int") for name in filters):
        not_graded_here(f"{NAME} says {{{{ {words[:60]} }}}}, which this check does not know")
    value: Any
    if place in (".Release.Name", ".Chart.Name"):
        value = release if place == ".Release.Name" else "late-flights"
    elif re.fullmatch(r"\.Values(\.\w+)+", place):
        value = values
        for key in place.split(".")[2:]:
            if not isinstance(value, dict) or key not in value:
                known = "autoscaler.enabled, autoscaler.least, autoscaler.most, autoscaler.busy"
                fail(
                    f"{{{{ {words[:60]} }}}} leads to no value",
                    expected=known,
                    hint="letter by letter, from .Values on",
                )
            value = value[key]
    else:
        not_graded_here(f"{NAME} says {{{{ {words[:60]} }}}}, which this check does not know")
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{written}"' if "quote" in filters else written


def filled_in(release: str, **autoscaler: Any) -> Any:
    """The template with values filled in, as data; None when nothing comes out."""
    values = {"autoscaler": {"enabled": True, "least": 2, "most": 6, "busy": 60, **autoscaler}, "replicas": 3}
    source = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", text(NAME, max_bytes=MAX_BYTES), flags=re.DOTALL)
    conditions = [match for match in ACTION.finditer(source) if said(match).startswith("if ") or said(match) == "end"]
    if conditions:
        if len(conditions) != 2 or said(conditions[0])[:3] != "if " or said(conditions[1]) != "end":
            not_graded_here(f"{NAME} has more than one if with its end")
        begin, end = conditions
        kept = value_of(said(begin)[3:], values, release) not in ("", "0", "false")
        inner = source[begin.end() : end.start()] if kept else ""
        source = f"{source[: begin.start()]}\n{inner}\n{source[end.end() :]}"
    made = ACTION.sub(lambda match: value_of(said(match), values, release), source)
    if not any(
        line.strip() and not line.lstrip().startswith("#") and line.strip() != "---" for line in made.splitlines()
    ):
        return None
    return parse(made, f"{NAME}, filled in,")


def made(release: str, **autoscaler: Any) -> dict[str, Any]:
    """The HorizontalPodAutoscaler that comes out."""
    scaler = filled_in(release, **autoscaler)
    if not isinstance(scaler, dict) or scaler.get("kind") != "HorizontalPodAutoscaler":
        fail("no HorizontalPodAutoscaler comes out", actual=scaler if scaler is not None else "nothing")
    return scaler


@question.check(points=1)
def numbers_come_from_the_values() -> None:
    """its numbers come from the values"""
    for least, most, busy in ((2, 6, 60), (3, 11, 75)):
        spec = made("autumn", least=least, most=most, busy=busy).get("spec", {})
        wanted = {"minReplicas": least, "maxReplicas": most, "targetCPUUtilizationPercentage": busy}
        for key, number in wanted.items():
            expect(spec.get(key), f"{key}, with least: {least}, most: {most}, busy: {busy}").equals(number)


@question.check(points=1, needs=numbers_come_from_the_values)
def names_come_from_the_release() -> None:
    """it scales the chart's Deployment, whatever the release is called"""
    for release in ("autumn", "trial-7"):
        scaler = made(release)
        target = scaler.get("spec", {}).get("scaleTargetRef", {})
        expect(target.get("kind"), "the kind that it scales").equals("Deployment")
        hint = "what does the chart's own template call its Deployment?"
        expect(target.get("name"), f"the name that it scales, in the release {release}").equals(
            f"{release}-late-flights", hint=hint
        )
        if release not in str(scaler.get("metadata", {}).get("name")):
            fail(
                "two releases in one namespace would share this autoscaler",
                hint="its name should hold that of the release",
            )
