"""Figures come with an alt text, and look the same each time."""

from __future__ import annotations

import base64
import io
import re

import matplotlib
import pytest

matplotlib.use("agg")

from matplotlib import pyplot as plt
from PIL import Image

from course import figures


@pytest.fixture
def shown(monkeypatch):
    """What was displayed."""
    pictures = []
    monkeypatch.setattr("IPython.display.display", pictures.append)
    return pictures


def _figure() -> plt.Figure:
    figure, axis = plt.subplots(figsize=(2, 1))
    axis.bar([0, 1], [1, 2])
    return figure


def test_a_figure_is_a_png_with_its_alt_text(shown):
    figures.show(_figure(), alt="Two bars, the second twice as high.", dpi=50)
    html = shown[0]._repr_html_()
    assert 'alt="Two bars, the second twice as high."' in html
    data = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width > 50


def test_a_figure_reads_as_its_alt_text_where_there_are_no_pictures(shown):
    figures.show(_figure(), alt="Two bars, the second twice as high.")
    assert repr(shown[0]) == "Figure: Two bars, the second twice as high."


def test_the_same_figure_has_the_same_bytes(shown):
    for _ in range(2):
        figures.show(_figure(), alt="Two bars, the second twice as high.")
    assert shown[0]._repr_html_() == shown[1]._repr_html_()


def test_an_alt_text_cannot_break_out_of_its_attribute(shown):
    figures.show(_figure(), alt='a "bar" <script>alert(1)</script> & more')
    html = shown[0]._repr_html_()
    assert "<script>" not in html
    assert "&quot;bar&quot;" in html


def test_a_figure_is_closed_once_shown(shown):
    figure = _figure()
    figures.show(figure, alt="Two bars, the second twice as high.")
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("alt", ["", "figure", "a bar chart", "   "])
def test_an_alt_text_that_says_nothing_is_refused(alt):
    figure = _figure()
    with pytest.raises(ValueError, match="what one sees"):
        figures.show(figure, alt=alt)
    plt.close(figure)
