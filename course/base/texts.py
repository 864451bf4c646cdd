"""Text that strangers wrote, mended: to be stored anywhere as UTF-8, and a name to be shown in a terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

MAX_DEPTH = 60
TOO_DEEP = "(nested too deep to be kept)"


def readable(text: str) -> str:
    """The text with U+FFFD in the place of what UTF-8 or a database refuses: half a character, and the character 0."""
    if text.isprintable():  # then it holds neither
        return text
    whole = text.replace("\0", "\ufffd")
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def readable_tree(value: Any, depth: int = 0) -> Any:
    """Plain data (dictionaries, lists, texts, numbers) with every text :func:`readable`, keys too."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict | list | tuple) and depth > MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, dict):
        return {readable_tree(key, depth + 1): readable_tree(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable_tree(item, depth + 1) for item in value]
    return value


def printable(text: str) -> str:
    """A name that somebody else chose, as it may be shown in a terminal: what steers it is written as its code."""
    return "".join(
        f"\\u{{{ord(sign):x}}}" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") else sign
        for sign in text
    )
