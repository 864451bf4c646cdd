"""Figures that everyone can read: one style for the whole course, and an alt text on every figure."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(figure: Figure, *, alt: str, dpi: int = 96) -> None:
    """Show a Matplotlib figure in the notebook with an alt text, and close it.

    Args:
        figure: the figure.
        alt: what one sees in it and learns from it, in a sentence.
        dpi: dots per inch of the picture.

    Raises:
        ValueError: the alt text is too short to say something.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if len(alt.split()) < 4:
        raise ValueError(f"the alt text must say what one sees in the figure; got {alt!r}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    pyplot.close(figure)
    display(_Picture(buffer.getvalue(), alt))


class _Picture:
    """A PNG with an alt text, for the rich display of IPython."""

    def __init__(self, png: bytes, alt: str) -> None:
        self.png, self.alt = png, alt

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        from html import escape

        data = base64.b64encode(self.png).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{escape(self.alt, quote=True)}" style="max-width: 100%">'
