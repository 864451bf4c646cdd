"""Plain English: phrases that came back too often, and read like a translation, stay out of what people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.labs import notebooks, source

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "program|server|service|function|command|cell|check|notebook|model|message|grader|kernel|Docker|Kubernetes|cluster|"
    "test|file|engine|script|page|table|log|schema|manifest"
)
UNITS = "second|minute|hour|day|week|month|year|request|flight|passenger|submission"
# a pattern, and what to write instead
PATTERNS = {
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer\b)\w": "“is not a …”, or say what it must be",
    r"\bholes?\b": "vulnerability, gap",
    rf"\b(?:euros?|requests|submissions|flights|passengers|points|rows?|ms|one) an? (?:{UNITS})\b": "per",
    rf"\b(?:{PROGRAMS})s? (?:says?|tells?|asks?|told)\b": "returns, reports, prints, requests",
    r"`[^`\n]+` (?:says|tells|asks|told)\b": "returns, reports, prints, requests, names",
    r"\bin vain\b|\bfor want of\b|\bit is well\b": "modern words",
}
# What is meant literally: the words around a match, and why they stay.
MEANT = {
    "known before `as_of` says": "a message says something, and `as_of` is a day",
}


def texts() -> Iterator[tuple[str, str]]:
    """What students, instructors and contributors read: the place, and its prose."""
    for lab in source.labs(REPOSITORY):
        for path in source.sources(lab):
            cells = (cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
            yield str(path.relative_to(REPOSITORY)), "\n\n".join(cells)
    pages = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "solutions/index.md", "site/index.md")]
    for path in [*pages, *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("site/readings/*.md")]:
        yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("pattern", "instead"),
    PATTERNS.items(),
    ids=["is no", "hole", "a second", "a program says", "code says", "old words"],
)
def test_a_phrase_that_reads_like_a_translation_stays_out(pattern, instead):
    found = []
    for place, text in texts():
        for match in re.finditer(pattern, text):
            around = " ".join(text[max(0, match.start() - 40) : match.end() + 40].split())
            if not any(meant in around for meant in MEANT):
                found.append(f"{place}: …{around}…")
    assert found == [], f"write instead: {instead}"


def test_what_is_meant_literally_is_still_there():
    everything = " ".join(" ".join(text.split()) for _, text in texts())
    assert [meant for meant in MEANT if meant not in everything] == []
