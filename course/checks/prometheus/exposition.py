"""What a service's /metrics says: `parse(text)` → `Metrics`, whose values are looked up by name and labels.

Prometheus' own parser reads it, within bounds on time and memory; the room `http` bounds the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, fail

Labels = Mapping[str, str]
_TITLE = "/metrics can be read"


@dataclass(frozen=True)
class Metrics:
    """The values of one scrape.

    Attributes:
        samples: name, labels and value of each, in the order in which they came.
    """

    samples: tuple[tuple[str, Labels, float], ...]

    def series(self, name: str) -> list[tuple[Labels, float]]:
        """The series of a metric."""
        return [(labels, value) for one, labels, value in self.samples if one == name]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of a metric that carry some labels; 0 where there is none."""
        wanted = labels.items()
        return sum(value for found, value in self.series(name) if wanted <= dict(found).items())

    def must_have(self, name: str, *labels: str) -> list[tuple[Labels, float]]:
        """The series of a metric; fail the check unless there is one, and each carries exactly these labels."""
        found = self.series(name)
        if not found:
            names = ", ".join(sorted({one for one, _, _ in self.samples}))[:200] or "nothing"
            fail(f"/metrics has no {name}", expected=name, actual=names, hint="a Counter gets its _total by itself")
        for one, _ in found:
            if set(one) != set(labels):
                fail(f"a series of {name} has other labels", expected=sorted(labels), actual=sorted(one))
        return found


def parse(text: str) -> Metrics:
    """Read the text of /metrics.

    Raises:
        CheckFailed: it is not in Prometheus' text format.
        Unmet: it takes too long to read.
    """
    from prometheus_client.parser import text_string_to_metric_families

    with bounded(_TITLE, "the answer"):
        try:
            families = list(text_string_to_metric_families(text))
        except Exception as error:  # the parser raises whatever its parts raise on text that is not in the format
            raise CheckFailed(
                f"/metrics is not in Prometheus' text format: {str(error)[:120]}",
                actual=text[:200],
                hint="prometheus_client.generate_latest() writes it",
            ) from None
    return Metrics(
        tuple((one.name, dict(one.labels), float(one.value)) for family in families for one in family.samples)
    )
