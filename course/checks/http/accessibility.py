"""A page that is a report: one file, readable without eyes, with numbers where they are looked for. For grade cells.

page = pages.read(html)
accessibility.is_one_file(page)
accessibility.is_readable(page)
accessibility.number(page, "sent")
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from course.checks.core.expectations import fail
from course.checks.http.pages import Element, Page

LOADS = {
    **{"img": ("src", "srcset"), "script": ("src",), "link": ("href",), "iframe": ("src",), "object": ("data",)},
    **{
        "embed": ("src",),
        "source": ("src", "srcset"),
        "video": ("src",),
        "audio": ("src",),
        "image": ("href", "xlink:href"),
    },
    **{"use": ("href", "xlink:href"), "input": ("src",), "track": ("src",), "base": ("href",), "frame": ("src",)},
}
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
MAX_NUMBER = 40  # characters
MOST_CHARTS = 50
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_CURRENCY = ("eur", "usd", "gbp", "chf", "euros", "euro", "dollars", "€", "$", "£")


def is_one_file(page: Page) -> None:
    """Fail if the page loads anything: an image, a script, a style or a font from elsewhere."""
    for element in page:
        for name in LOADS.get(element.tag, ()):
            place = (element.get(name) or "").strip()
            if place and not place.startswith(("data:", "#")):
                hint = "styles go into <style>, an image into its src as data:image/png;base64,… or into <svg>"
                fail(
                    f"the page loads something from another file, by <{element.tag} {name}>", got=place[:100], hint=hint
                )
        styles = [element.get("style") or "", element.text if element.tag == "style" else ""]
        for style in styles:
            lower = style.lower()
            for piece in lower.split("url(")[1:]:
                if not piece.lstrip(" \n\t'\"").startswith(("data:", "#")):
                    fail("a style of the page loads something from another file", got=f"url({piece[:60]}")
            if "@import" in lower:
                fail("a style of the page loads something from another file", got="@import")


def is_readable(page: Page) -> None:
    """Fail unless a screen reader can find its way: language, title, headings in order, named charts, table headers."""
    html = page.first("html")
    if html is None or not (html.get("lang") or "").strip():
        fail("the page does not say in which language it is", hint='<html lang="en">')
    head = page.first("head")
    title = (head or page).first("title")
    if title is None or not title.text:
        fail("the page has no title", hint="<title> in <head>: what the browser's tab and a screen reader say first")
    headings = [element for element in page if element.tag in HEADINGS]
    first = [element for element in headings if element.tag == "h1"]
    if len(first) != 1:
        fail("a page has one heading of the first level", expected="one <h1>", actual=f"{len(first)} of them")
    level = 0
    for heading in headings:
        if int(heading.tag[1]) > level + 1:
            before = f"<h{level}>" if level else "no heading"
            fail(
                f"the heading {heading.text[:60]!r} skips a level",
                expected=f"<h{level + 1}>",
                actual=f"<{heading.tag}> after {before}",
            )
        level = int(heading.tag[1])
    for table in page.all("table"):
        if table.first("th") is None:
            fail("a table has no header cells", actual=table.text[:80], hint="<th scope=…> for names, <td> for values")


def charts(page: Page) -> Iterator[tuple[Element, str]]:
    """Each image and drawing of the page, with its text alternative; that may be empty."""
    for element in page:
        if element.tag == "img":
            yield element, _named(page, element) or " ".join((element.get("alt") or "").split())
        elif element.tag == "svg" and not _within(element, "svg"):
            title = element.first("title")
            described = element.first("desc")
            texts = [_named(page, element), *(one.text for one in (title, described) if one is not None)]
            yield element, " ".join(dict.fromkeys(text for text in texts if text))


def has_charts(page: Page) -> None:
    """Fail unless the page has a chart, each with a text alternative, in a <figure> that has the same as a table."""
    found = list(charts(page))
    if not found:
        fail("the page has no chart", expected="<img> or <svg>")
    if len(found) > MOST_CHARTS:
        fail(f"the page has more than {MOST_CHARTS} charts", actual=len(found))
    for element, alternative in found:
        if not alternative:
            hint = 'alt="…" for <img>; role="img" and aria-label="…" for <svg>'
            fail(f"a chart (<{element.tag}>) has no text alternative", hint=hint)
        figure = _within(element, "figure")
        if figure is None or figure.first("table") is None:
            hint = "who cannot see the chart reads the table, and who doubts it, too"
            fail(
                f"a chart (<{element.tag}>) has no table beside it",
                expected="<figure> around chart and <table>",
                hint=hint,
            )


def number(page: Page, name: str) -> float:
    """The number in the element with an id: 1234, 1,234, −12.50 or with a currency, such as 1,234 EUR.

    Raises:
        CheckFailed: there is no such element, or something else is in it.
    """
    element = page.by_id(name)
    if element is None:
        there = ", ".join(sorted(one.get("id") or "" for one in page if one.get("id"))[:20]) or "no ids"
        fail(f"the page has no element with the id {name!r}", expected=f'id="{name}"', actual=there[:200])
    text = element.text
    plain = text.replace("\N{MINUS SIGN}", "-").lower()[: MAX_NUMBER + 1]
    for word in _CURRENCY:
        plain = plain.replace(word, "", 1)
    plain = "".join(plain.split())  # thin and other spaces within a number, too
    match = _NUMBER.fullmatch(plain) if len(plain) <= MAX_NUMBER else None
    if match is None:
        fail(
            f"the element with the id {name!r} does not hold a number alone",
            expected="1234, or 1,234 EUR",
            got=text[:80],
        )
    return float(plain.replace(",", ""))


def numbers_in(text: str) -> set[float]:
    """The numbers in a text, such as an alternative: 1,234 is one."""
    return {float(match.group().replace(",", "")) for match in _NUMBER.finditer(text[:5000])}


def _named(page: Page, element: Element) -> str:
    """A name by aria-labelledby, aria-label or title."""
    return page.label_of(element)


def _within(element: Element, tag: str) -> Element | None:
    """The nearest element of a name around another."""
    around = element.parent
    while around is not None and around.tag != tag:
        around = around.parent
    return around
