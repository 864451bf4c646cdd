"""A web page, read as a program that assists people would: elements, labels, what is announced. For grade cells.

The page is a student's, so it may be anything; nothing of it is run, and it is read with Python's own HTML parser.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from html.parser import HTMLParser

from course.checks.core.bounds import bounded
from course.checks.core.expectations import fail

MAX_CHARACTERS = 2**18
MAX_ELEMENTS = 5000
MAX_NAMES = 20  # in one aria-labelledby
MAX_DEPTH = 200
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
CLOSES_ITSELF = {"option": {"option"}, "li": {"li"}, "p": {"p"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}}
SILENT = frozenset({"script", "style", "template", "head"})
LABELLED = frozenset(["button", "input", "meter", "output", "progress", "select", "textarea"])
ANNOUNCED = {"role": {"alert", "status", "log"}, "aria-live": {"polite", "assertive"}}


class Element:
    """One element of a page; `in` and :meth:`get` ask for its attributes.

    Attributes:
        tag: its name, in lower case.
        parent: the element around it; None for the page itself.
        children: what it holds: elements, and pieces of text.
    """

    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None = None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    def get(self, name: str, default: str | None = None) -> str | None:
        """An attribute; one without a value is an empty text."""
        return self.attributes.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    def __iter__(self) -> Iterator[Element]:
        """All elements within it, in the order of the page."""
        waiting = [iter(self.children)]
        while waiting:
            child = next(waiting[-1], None)
            if child is None:
                waiting.pop()
            elif isinstance(child, Element):
                yield child
                waiting.append(iter(child.children))

    def all(self, tag: str) -> list[Element]:
        """The elements of that name within it."""
        return [one for one in self if one.tag == tag]

    def first(self, tag: str) -> Element | None:
        """The first element of that name within it."""
        return next((one for one in self if one.tag == tag), None)

    @property
    def text(self) -> str:
        """What a person reads in it, with single spaces; of a script, its code."""
        pieces: list[str] = []
        waiting: list[Element | str] = [self]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                pieces.append(one)
            elif one is self or (one.tag not in SILENT and "hidden" not in one):
                waiting += reversed(one.children)
        return " ".join(" ".join(pieces).split())


class Page(Element):
    """A whole page."""

    def by_id(self, name: str) -> Element | None:
        """The element with that id."""
        return self._by_id.get(name) if name else None

    @functools.cached_property
    def _by_id(self) -> dict[str, Element]:
        return {name: one for one in reversed(list(self)) if (name := one.get("id"))}

    @functools.cached_property
    def _labels(self) -> dict[int, list[Element]]:
        """The labels of each field: those that name its id, and the one around it, if it is the first field there."""
        found: dict[int, list[Element]] = {}
        for label in self.all("label"):
            if "for" in label:
                control = self.by_id(label.get("for") or "")
            else:
                control = next((one for one in label if one.tag in LABELLED and one.get("type") != "hidden"), None)
            if control is not None:
                found.setdefault(id(control), []).append(label)
        return found

    def label_of(self, field: Element) -> str:
        """A field's accessible name, in the order in which browsers look for it; empty if it has none.

        aria-labelledby comes first, then aria-label, the labels, and the title. A placeholder, which browsers fall back
        on, does not count: it is gone as soon as somebody types.
        """
        named = [self.by_id(name) for name in (field.get("aria-labelledby") or "").split()[:MAX_NAMES]]
        ways = [
            " ".join(_spoken(one, field) for one in named if one is not None),
            field.get("aria-label") or "",
            " ".join(_spoken(one, field) for one in self._labels.get(id(field), [])[:MAX_NAMES]),
            field.get("title") or "",
        ]
        return next((name for way in ways if (name := " ".join(way.split()))), "")

    def live(self) -> list[Element]:
        """The elements whose content is announced when it appears: alerts, status messages, live regions."""
        return [
            one
            for one in self
            if one.tag == "output" or any(one.get(name, "") in values for name, values in ANNOUNCED.items())
        ]


def _spoken(element: Element, field: Element) -> str:
    """What an element adds to the name of a field: its text, and that of what is in it, but for hidden parts."""
    pieces: list[str] = []
    waiting: list[Element | str] = [element]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            pieces.append(one)
        elif one is element or not _is_hidden(one):
            if one is field or one.tag in ("select", "textarea"):
                continue
            if said := one.get("aria-label") or (one.get("alt") if one.tag in ("img", "input") else None):
                pieces.append(f" {said} ")
            else:
                waiting += reversed(one.children)
    return "".join(pieces)


def _is_hidden(element: Element) -> bool:
    """Whether a screen reader passes an element over."""
    style = (element.get("style") or "").lower().replace(" ", "")
    unseen = "display:none" in style or "visibility:hidden" in style
    return element.tag in SILENT or "hidden" in element or element.get("aria-hidden") == "true" or unseen


class _Reader(HTMLParser):
    """Builds the tree; end tags that close nothing are passed over, as browsers do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page("#page", {})
        self.at: Element = self.page
        self.depth = self.count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.at.tag in CLOSES_ITSELF.get(tag, ()):
            self._leave()
        self.count += 1
        if self.count > MAX_ELEMENTS or self.depth > MAX_DEPTH:
            fail(f"the page has more than {MAX_ELEMENTS} elements, or nests them more than {MAX_DEPTH} deep")
        attributes: dict[str, str] = {}
        for name, value in attrs:
            attributes.setdefault(name, value or "")
        element = Element(tag, attributes, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at, self.depth = element, self.depth + 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # HTML knows no <div/>: it is open

    def handle_endtag(self, tag: str) -> None:
        around, up = self.at, 0
        while around is not self.page and around.tag != tag:
            around, up = around.parent, up + 1
        if around is not self.page:
            for _ in range(up + 1):
                self._leave()

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)

    def _leave(self) -> None:
        self.at, self.depth = self.at.parent or self.page, self.depth - 1


@bounded("the page can be read", "the page")
def read(text: str) -> Page:
    """Read a page.

    Args:
        text: its HTML.

    Raises:
        CheckFailed: it is far larger than any page needs to be.
    """
    if len(text) > MAX_CHARACTERS:
        fail(f"the page is larger than {MAX_CHARACTERS >> 10} KiB")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.page
