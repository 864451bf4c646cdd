"""Durations as Prometheus writes them: `seconds_of("1h30m")` → 5400.0."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_PARTS = re.compile(r"(\d{1,12})(ms|[smhdwy])")


def seconds_of(text: object) -> float | None:
    """The length of a duration in seconds; None for what is none. "0" is one."""
    written = str(text).strip()
    if written == "0":
        return 0.0
    parts = _PARTS.findall(written[:60])
    if not parts or "".join(number + unit for number, unit in parts) != written:
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in parts)
