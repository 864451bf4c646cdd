"""The far side of a process that runs questions: reads their ids, answers with their results. See `examiner`.

Messages are lines of JSON over one socket. For each request {"grade_id": …} it answers with the question's deadline and
blank result as soon as it is loaded, {"deadline_s": …, "blank": …}; with the place and line of each check that is done,
{"place": …, "check": …}; and at the end with what a grade cell would show, {"data": …}. Where the question itself is
broken, it answers with {"error": …, "message": …}.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.base.texts import readable
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

            def send(answer: dict[str, Any]) -> None:
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()

            _answer(json.loads(line)["grade_id"], folder, send)
            gc.collect()  # what the question started ends now, not when the next one runs


def _answer(grade_id: str, folder: Path, send: Callable[[dict[str, Any]], None]) -> None:
    try:
        question = loading.load(folder, grade_id)
        send({"deadline_s": question.deadline_s, "blank": question.blank().to_dict()})
        result = question.result(lambda place, line: send({"place": place, "check": line.to_dict()}))
        send({"data": Displayed(result)._repr_mimebundle_()})
    except Exception as error:
        send({"error": type(error).__name__, "message": readable(str(error)[:2000])})


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
