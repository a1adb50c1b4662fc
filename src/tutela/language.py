"""Words for people, in both languages at once.

A sentence that a person reads is a `Text`: Chinese and English stand side by side where the sentence is made, so neither can be forgotten, and the language is chosen only when something is printed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Lang(StrEnum):
    """A language that every report exists in."""

    ZH = "zh"
    EN = "en"


class Text(NamedTuple):
    """One sentence in both languages.

    `{name}` placeholders are filled by `with_values`; values are never parsed for placeholders again, so hostile values stay values.
    """

    zh: str
    en: str

    def in_(self, lang: Lang) -> str:
        """The sentence in `lang`."""
        return self.zh if lang is Lang.ZH else self.en

    def with_values(self, **values: Any) -> Text:
        """The sentence with its placeholders filled."""
        return Text(self.zh.format(**values), self.en.format(**values))


def same(words: str) -> Text:
    """A `Text` that reads the same in both languages: a path, a command, a name."""
    return Text(words, words)
