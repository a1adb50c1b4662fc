from __future__ import annotations

import unicodedata

import pytest

from tests.report.standard import options, standard
from tutela.language import Lang
from tutela.report import FORMATS
from tutela.report.columns import width, wrapped


def said(name: str, lang: Lang, **changes: object) -> str:
    return "".join(FORMATS["text"].render(standard(name), lang, options(**changes)))


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", ["keeps", "breaks", "lost", "site", "hostile"])
def test_no_line_is_wider_than_a_terminal(name: str, lang: Lang) -> None:
    digests = [line for line in said(name, lang).split("\n") if "sha256:" not in line]

    assert [line for line in digests if width(line) > 80] == []


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("details", [False, True])
def test_what_a_host_says_never_reaches_the_terminal_raw(lang: Lang, details: bool) -> None:
    words = said("hostile", lang, details=details)

    assert {char for char in words if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")} == {"\n"}
    assert "\\u202e" in words


def test_colour_comes_only_when_asked_and_changes_no_word() -> None:
    import re

    plain, coloured = said("breaks", Lang.EN), said("breaks", Lang.EN, colour=True)

    assert "\x1b" not in plain
    assert plain == re.sub(r"\x1b\[\d*m", "", coloured)
    assert coloured != plain


def test_counting_rule() -> None:
    """Catalogue H.3: what a host report always prints."""
    words = said("breaks", Lang.EN)

    for part in (
        "Undecided: 17 %",
        "The site declares no log server",
        "password.minlen = 12",
        "small 1",
        "2 days old when judged",
        "waived          0     1",
    ):
        assert part in words


def test_chinese_breaks_between_characters_but_not_before_closing_marks() -> None:
    lines = list(wrapped("一二三四五，六七八（九）十。", 10))

    assert lines == ["一二三四", "五，六七八", "（九）十。"]
    assert max(map(width, lines)) <= 10


def test_a_command_stays_whole() -> None:
    assert list(wrapped("run /a/very/long/path/that/cannot/break", 12, whole=True)) == ["run", "/a/very/long/path/that/cannot/break"]


def test_a_hostile_word_without_spaces_is_cut() -> None:
    assert list(wrapped("x" * 25, 10, first="- ", rest="  ")) == ["- xxxxxxxx", "  xxxxxxxx", "  xxxxxxxx", "  x"]


@pytest.mark.parametrize(("words", "columns"), [("abc", 3), ("守责", 4), ("a守", 3), ("é", 1), ("ｱ", 1), ("Ａ", 2)])
def test_width(words: str, columns: int) -> None:
    assert columns == width(words)
