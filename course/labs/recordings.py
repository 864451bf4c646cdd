"""What the cells that need an engine answered their author: stored with the lab, shown where no engine answers.

A lab's `given/recorded.json` holds the stored outputs of the cells whose source begins with a magic such as %%engine,
under a checksum of their source. `course execute` writes it; a lab's own `given` modules read it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FILE = Path("given", "recorded.json")
MAGICS = ("%%engine",)


def key(source: str) -> str:
    """Under which key the outputs of a cell are recorded: a checksum of its source, without the line of the magic."""
    body = source.partition("\n")[2] if source.startswith("%%") else source
    return hashlib.sha256(body.strip().encode()).hexdigest()[:16]


def of_lab(lab: Path) -> dict[str, list[dict[str, Any]]]:
    """The outputs that the source notebooks of a lab hold for such cells, by key."""
    from course.labs import notebooks, source

    found: dict[str, list[dict[str, Any]]] = {}
    for path in source.sources(lab):
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "code" and cell.source.startswith(MAGICS):
                found[key(cell.source)] = [shown for output in cell.outputs if (shown := _shown(output))]
    return found


def write(lab: Path) -> bool:
    """Write a lab's recordings, if it has such cells; returns whether it has."""
    found = of_lab(lab)
    if found:
        text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
        (lab / FILE).write_text(text + "\n", encoding="utf-8")
    return bool(found)


def _shown(output: Any) -> dict[str, Any] | None:
    """One output as plain data; None for what is no output of a person's."""
    if output.output_type == "stream":
        return {"text": output.text}
    if output.output_type in ("display_data", "execute_result"):
        return {"data": dict(output.data), "metadata": dict(output.metadata)}
    return None
