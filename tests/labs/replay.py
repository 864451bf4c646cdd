"""A kernel that runs nothing: it gives for each cell the outputs that a notebook got when it was run before.

    python replay.py ran.ipynb -f connection.json

So nbval compares a solution's stored outputs with those of the one run that all tests share, and runs nothing anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from course.labs import notebooks


class Replay(Kernel):
    """Answers each request with the outputs of the next cell that has its source."""

    implementation = "replay"
    implementation_version = "1"
    banner = "what a notebook gave when it ran"
    language_info = {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"}  # noqa: RUF012, as its base
    ran = ""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.cells = [cell for cell in notebooks.read(Path(self.ran)).cells if cell.cell_type == "code"]

    def do_execute(self, code: str, silent: bool, *_: Any, **__: Any) -> dict[str, Any]:
        """Send what the cell gave; an error where no such cell ran."""
        while self.cells and self.cells[0].source != code:
            del self.cells[0]
        if not self.cells:
            error = {"ename": "NeverRun", "evalue": "no such cell ran, after the one before it", "traceback": []}
            self.send_response(self.iopub_socket, "error", error)
            return {"status": "error", "execution_count": self.execution_count, **error}
        for output in self.cells.pop(0).outputs:
            content = {key: value for key, value in output.items() if key != "output_type"}
            self.send_response(self.iopub_socket, output.output_type, content)
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


if __name__ == "__main__":
    Replay.ran = sys.argv.pop(1)
    IPKernelApp.launch_instance(kernel_class=Replay)
