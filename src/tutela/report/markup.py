"""HTML and XML by construction: whatever is not `Markup` is foreign text, made inert and escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tutela.language import Text
from tutela.report.inert import inert


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Foreign words as text."""
    return words if isinstance(words, Markup) else Markup(escape(inert(words), quote=True))


def joined(children: Iterable[object]) -> Markup:
    """Children one after another; None is nothing."""
    return Markup("".join(_each(child) for child in children))


def _each(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, str):
        return text(child)
    if isinstance(child, Text):
        raise TypeError("a sentence without a language")
    if isinstance(child, Iterable):
        return joined(child)
    return text(str(child))


def el(tag: str, /, *children: object, **attributes: str | int | None) -> Markup:
    """An element; `class_` and `for_` lose their underscore, an attribute that is None is left out."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"' for key, value in attributes.items() if value is not None)
    if tag in _VOID:
        return Markup(f"<{tag}{words}>")
    return Markup(f"<{tag}{words}>{joined(children)}</{tag}>")


_VOID = frozenset({"meta", "br", "hr", "col"})
