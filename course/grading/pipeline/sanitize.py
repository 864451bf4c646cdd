"""What an executed notebook may hold before an instructor's browser shows it: no markup of a student's is active.

The formgrader puts Markdown and outputs into its page as HTML, with the instructor's rights. So HTML is parsed and
written again with what nh3 allows (a list of tags and attributes, not patterns), images are data of known kinds, and
everything else that an output may hold is left out. Used before anything reaches classroom/autograded/.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from typing import Any

import nbformat
import nh3
from nbformat import NotebookNode

MAX_MARKDOWN = 50_000  # characters of one cell that are rendered; a longer one is shown as text
MAX_SIGNS = 2_000  # signs that nest, such as brackets and asterisks: what has more is shown as text
MAX_HTML = 500_000  # characters of one output
TAGS = {
    *(
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
    ),
    *("em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark"),
    *("ol", "p", "pre", "q", "s", "samp", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td"),
    *("tfoot", "th", "thead", "tr", "u", "ul", "var"),
}
ATTRIBUTES = {
    "*": {"lang", "dir", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align", "scope"},
    "details": {"open"},
}
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]+")
_BESIDE = re.compile(r"(?:[\w-][\w. -]*/)*[\w-][\w. -]*\.(?:png|jpe?g|gif|webp)")  # a picture that was handed in
_VOID = {"br", "hr", "img"}


def notebook(nb: NotebookNode) -> None:
    """Clean a restored and executed notebook in place."""
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},  # what a kernel says of itself goes into the page
        }
    )
    for cell in nb.cells:
        marks = cell.metadata.get("nbgrader")
        cell.metadata = nbformat.from_dict({"nbgrader": marks} if marks else {})
        attachments = cell.pop("attachments", {})
        if cell.cell_type == "markdown" and not (marks and marks.get("locked")):
            cell.source = markdown(cell.source, attachments)
        elif cell.cell_type == "raw":
            cell.source = nh3.clean(cell.source[:MAX_MARKDOWN], tags=set())
        elif cell.cell_type == "code" and not _is_the_graders(marks):
            cell.outputs = [made for output in cell.outputs if (made := _output(output)) is not None]


def _is_the_graders(marks: Mapping[str, Any] | None) -> bool:
    """Whether the outputs of a cell are the examiner's, whose pages escape what a student wrote."""
    return bool(marks and marks.get("grade") and not marks.get("solution"))


# -- HTML --------------------------------------------------------------------------------------------------------------


def html(text: str) -> str:
    """HTML in which nothing runs, loads from elsewhere or looks like the page around it."""
    return nh3.clean(
        text[:MAX_HTML],
        tags=TAGS,
        clean_content_tags={"script", "style", "template", "noscript", "iframe", "svg", "math", "object"},
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """What becomes of an attribute that may be there; None takes it away."""
    plain = value.strip()
    if name == "src":
        return plain if _DATA.fullmatch(plain) or (_BESIDE.fullmatch(plain) and ".." not in plain) else None
    if name == "href":
        return plain if re.match(r"(https?://|mailto:)", plain, re.IGNORECASE) else None
    if name in ("width", "height", "colspan", "rowspan", "start"):
        return plain if re.fullmatch(r"\d{1,4}", plain) else None
    return value


# -- Markdown ----------------------------------------------------------------------------------------------------------


def markdown(text: str, attachments: Any = None) -> str:
    """A Markdown source that renders to harmless HTML: as it was where it holds none, else as HTML on one line.

    Args:
        text: what a student wrote.
        attachments: the pictures that came with the cell, by name and kind.
    """
    signs = sum(text.count(sign) for sign in "[]()*_`<>!&$\\")
    if len(text) > MAX_MARKDOWN or signs > MAX_SIGNS:
        return _as_text(text)
    try:
        rendered, raw = _rendered(text, _pictures(attachments))
    except Exception:  # a renderer that fails on something odd shows it to nobody else either
        return _as_text(text)
    cleaned = html(rendered)
    if not raw and not attachments and _events(rendered) == _events(cleaned):
        return text
    return f"<div>{_inert(cleaned)}</div>"


def _as_text(text: str) -> str:
    return f"<div>{_inert(f'<pre>{escape(text[: 4 * MAX_MARKDOWN])}</pre>')}</div>"


def _rendered(text: str, attachments: dict[str, dict[str, str]]) -> tuple[str, bool]:
    """The HTML that the formgrader would make of Markdown, and whether the source has HTML or formulas in it."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    found: list[str] = []

    class Renderer(IPythonRenderer):
        def block_html(self, html: str) -> str:
            found.append(html)
            return super().block_html(html)

        def inline_html(self, html: str) -> str:
            found.append(html)
            return super().inline_html(html)

    renderer = Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(text)), bool(found) or "\\" in text


def _pictures(attachments: Any) -> dict[str, dict[str, str]]:
    """Attachments that are pictures."""
    found: dict[str, dict[str, str]] = {}
    for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
        for kind, data in bundle.items() if isinstance(bundle, dict) else ():
            if kind in PICTURES and (encoded := _base64(data)):
                found[str(name)] = {kind: encoded}
    return found


def _base64(data: Any) -> str:
    """Base64 that is nothing else; empty for what is none."""
    text = re.sub(r"\s", "", "".join(data) if isinstance(data, list) else str(data))
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return text


class _Reader(HTMLParser):
    """Reads HTML that nh3 wrote, or a renderer of Markdown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.events: list[tuple[Any, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.events.append(("start", tag, tuple(sorted((name, value or "") for name, value in attrs if name != "rel"))))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            self.events.append(("end", tag))

    def handle_data(self, data: str) -> None:
        if self.events and self.events[-1][0] == "text":
            self.events[-1] = ("text", self.events[-1][1] + data)
        else:
            self.events.append(("text", data))

    def handle_comment(self, data: str) -> None:
        self.events.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.events.append(("declaration", decl))

    def handle_pi(self, data: str) -> None:
        self.events.append(("instruction", data))

    def unknown_decl(self, data: str) -> None:
        self.events.append(("declaration", data))


def _events(text: str) -> list[tuple[Any, ...]]:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    own = {"class", "id", "style"}  # of headings and code; a source without HTML can make none of its own
    found = []
    for event in reader.events:
        if event[0] == "start":
            found.append((*event[:2], tuple(pair for pair in event[2] if pair[0] not in own)))
        else:
            found.append(event)
    return found


def _inert(cleaned: str) -> str:
    """Clean HTML on one line, in which Markdown finds nothing to render: each sign of its text is written as a code."""
    reader = _Reader()
    reader.feed(cleaned)
    reader.close()
    made = []
    for kind, *rest in reader.events:
        if kind == "text":
            made.append(_coded(rest[0]))
        elif kind == "start":
            tag, pairs = rest
            rel = ' rel="noopener noreferrer"' if tag == "a" else ""
            attributes = "".join(f' {name}="{_coded(value)}"' for name, value in pairs)
            made.append(f"<{tag}{attributes}{rel}>")
        elif kind == "end":
            made.append(f"</{rest[0]}>")
    return "".join(made)


def _coded(text: str) -> str:
    # a backslash would begin a formula; what begins with one is shown, and no renderer of formulas sees a link in it
    return "".join(sign if sign.isalnum() or sign == " " or ord(sign) > 0x2FFF else f"&#{ord(sign)};" for sign in text)


# -- outputs -----------------------------------------------------------------------------------------------------------


def _output(output: NotebookNode) -> NotebookNode | None:
    """An output with nothing but what is known to be harmless; None where nothing is left."""
    make = nbformat.v4.new_output
    if output.output_type == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return make("stream", name=name, text=_text(output.get("text")))
    if output.output_type == "error":
        lines = output.get("traceback")
        traceback = [_text(line) for line in lines] if isinstance(lines, list) else []
        return make("error", ename=_text(output.get("ename")), evalue=_text(output.get("evalue")), traceback=traceback)
    if output.output_type not in ("execute_result", "display_data"):
        return None
    data = _bundle(output.get("data"))
    if not data:
        return None
    return make("display_data", data=data)


def _bundle(found: Any) -> dict[str, str]:
    """Of what an output shows: text, clean HTML and pictures. What is not known is left out."""
    bundle = found if isinstance(found, dict) else {}
    data: dict[str, str] = {}
    if "text/plain" in bundle:
        data["text/plain"] = _text(bundle["text/plain"])
    if "text/html" in bundle:
        data["text/html"] = html(_text(bundle["text/html"]))
    elif "text/markdown" in bundle:
        data["text/markdown"] = markdown(_text(bundle["text/markdown"]))
    for kind in PICTURES[:2]:
        if kind in bundle and (encoded := _base64(bundle[kind])):
            data[kind] = encoded
    if "image/svg+xml" in bundle and not data.keys() & {"text/html", "text/markdown", *PICTURES}:
        # as a picture of its own an SVG runs nothing and loads nothing
        drawn = base64.b64encode(_text(bundle["image/svg+xml"]).encode("utf-8", "replace")).decode()
        data["text/html"] = f'<img src="data:image/svg+xml;base64,{drawn}" alt="a drawing of the student\'s">'
    if not data:
        kinds = ", ".join(sorted(str(kind)[:60] for kind in bundle))[:200]
        data["text/plain"] = f"(an output of another kind, which is not shown here: {kinds})"
    return data


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")
