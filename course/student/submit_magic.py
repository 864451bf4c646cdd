"""`%submit` in a notebook: hand in the lab in whose folder it runs. An extension of IPython.

`%load_ext course.shipping` loads it by its name; nothing that notebooks import needs it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from course.student import handing_in, saved_notebooks


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook `%submit`."""
    shell.register_magic_function(lambda line: _submit(shell), "line", "submit")


def _submit(shell: Any) -> None:
    """Hand in the lab as it is saved, as a zip with a receipt."""
    if os.environ.get(handing_in.REHEARSAL):
        print("nothing is handed in while a notebook is validated")
        return
    ran = [text for text in shell.history_manager.input_hist_raw if text.strip() and "%submit" not in text]
    cells = (cell for path in Path.cwd().glob("*.ipynb") for cell in saved_notebooks.cells(path))
    if ran and ran[-1].strip() not in (saved_notebooks.source(cell).strip() for cell in cells):
        print(
            "look at this: the cell that you ran last is not in a saved notebook; save the notebook (Ctrl+S), and run "
            "%submit again"
        )
    print(handing_in.hand_in(Path.cwd()))
