"""The far side of a process that runs questions: reads their ids, answers with their results. See `examiner`.

Messages are lines of JSON over one socket. For each request {"grade_id": …} it answers twice: with the question's
deadline as soon as it is loaded, {"deadline_s": …}, and with what a grade cell would show, {"data": …}, or once with
{"error": …, "message": …} where the question itself is broken.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course.checks.core import loading
from course.checks.core.rendering import Displayed


def serve(descriptor: int, folder: Path) -> None:
    """Run questions until the other side closes the socket.

    Args:
        descriptor: the number of an open stream socket.
        folder: where the modules of the questions are.
    """
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rwb") as stream:
        for line in stream:
            for answer in _answers(json.loads(line)["grade_id"], folder):
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
            gc.collect()  # what the question started ends now, not when the next one runs


def _answers(grade_id: str, folder: Path) -> Iterator[dict[str, Any]]:
    try:
        question = loading.load(folder, grade_id)
        yield {"deadline_s": question.deadline_s}
        bundle = Displayed(question.result())._repr_mimebundle_()
        yield {"data": bundle}
    except Exception as error:
        yield {"error": type(error).__name__, "message": str(error)[:2000]}


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
