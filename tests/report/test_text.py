from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import pytest

from tests.report.standard import odd, options, standard
from tutela.evidence import Reason
from tutela.language import Lang
from tutela.report import FORMATS
from tutela.report.beginning import beginning
from tutela.report.columns import width, wrapped
from tutela.report.findings import said_twice, twice
from tutela.report.inert import inert, inert_lines


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


@pytest.mark.parametrize("form", ["text", "html"])
def test_hosts_of_one_name_are_told_apart_by_their_bundles(form: str) -> None:
    one = standard("keeps")[0]
    other = replace(standard("breaks")[0], subject=one.subject)

    words = "".join(FORMATS[form].render((one, other), Lang.EN, options()))  # type: ignore[arg-type]

    for each in (one, other):
        assert f" ({each.bundle.digest[7:15]})" in words


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_fleet_says_on_how_many_hosts_rights_were_lacking(form: str) -> None:
    one = standard("breaks")[0]
    denied = replace(one, verdicts=tuple(replace(verdict, code=Reason.PRIVILEGE) for verdict in one.verdicts))
    other = standard("keeps")[0]

    words = "".join(FORMATS[form].render((denied, other), Lang.EN, options()))  # type: ignore[arg-type]

    assert "On 1 host checks are unknown for want of privilege" in words


def test_an_unreachable_host_has_no_oldest_datum() -> None:
    assert f", {standard('lost')[0].subject}\n" not in said("site", Lang.EN).partition("oldest datum")[2]


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


@pytest.mark.parametrize("lang", list(Lang))
def test_the_first_screen_says_how_it_stands_how_old_the_data_is_and_what_to_do_first(lang: Lang) -> None:
    screen = said("breaks", lang).split("\n")[:40]

    for words in (("BROKEN", "17 %", "2 days old", "Do first", "H-028"), ("违反约定", "17%", "2 天", "先做什么", "H-028"))[lang is Lang.ZH]:
        assert any(words in line for line in screen), words


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("name", ["keeps", "breaks", "lost", "hostile"])
def test_nothing_that_is_folded_is_lost_with_all(name: str, lang: Lang) -> None:
    whole = said(name, lang, details=True)
    flat = "".join(whole.split())

    assert "--all" not in whole
    for one in standard(name):
        for verdict in one.verdicts:
            assert verdict.check.id in whole
            for note in verdict.notes:
                assert "".join(note.in_(lang).split()) in flat
            if verdict.result.value == "fail" and verdict.waived_by is None:
                assert "".join("".join(inert_lines(verdict.check.remedy.in_(lang))).split()) in flat
                assert all(seen in flat for source in verdict.evidence if (seen := "".join(inert(source).split())))
        for standing in one.clauses:
            assert standing.clause.id in whole


def test_every_unknown_keeps_its_reason_however_short_the_report() -> None:
    """Catalogue H.3: the list of unknown checks with reasons is always printed."""
    short = "".join(said("lost", Lang.EN).split())

    for verdict in standard("lost")[0].verdicts:
        assert verdict.check.id in short
        assert verdict.reason is not None
        assert "".join(verdict.reason.en.split()) in short


@pytest.mark.parametrize(
    ("lines", "short"),
    [
        (["One. Two.", "Three."], ["One. Two.", "Three."]),
        (["One. Two.", "Three.", "Four."], ["One. Two. …"]),
        (["Run:", "command --x", "more"], ["Run:", "…"]),
        (["甲。乙。", "丙。", "丁。"], ["甲。乙。…"]),
    ],
)
def test_a_remedy_is_shortened_by_whole_sentences_and_no_mark_sticks_to_a_command(lines: list[str], short: list[str]) -> None:
    assert short == beginning(lines, len, 1)


def test_a_long_line_of_a_remedy_is_cut_behind_a_sentence() -> None:
    assert beginning(["Keep v1.2 open. Then change. Then look."], lambda lines: sum(map(len, lines)), 28) == ["Keep v1.2 open. Then change. …"]


@pytest.mark.parametrize(("lang", "words"), [(Lang.EN, "1 unknown for want of privilege"), (Lang.ZH, "其中 1 项因权限不足而未知")])
def test_an_ordinary_user_is_told_what_root_would_see(lang: Lang, words: str) -> None:
    [one] = standard("breaks")
    verdicts = tuple(replace(verdict, code=Reason.PRIVILEGE) if verdict.code is not None else verdict for verdict in one.verdicts)

    for assessment, told in ((one, False), (replace(one, verdicts=verdicts), True)):
        screen = "".join(FORMATS["text"].render((assessment,), lang, options())).split("\n")[:16]
        assert any(words in line for line in screen) is told


@pytest.mark.parametrize("lang", list(Lang))
def test_a_source_that_came_twice_and_differs_is_said(lang: Lang) -> None:
    one = odd()
    (name,) = twice(one)
    sentence = said_twice(one)

    assert name in one.bundle.sources
    assert sentence is not None
    assert name in sentence.in_(lang)
    for report in ("text", "html"):
        words = "".join(FORMATS[report].render([one], lang, options()))
        assert sentence.in_(lang)[:12] in words
        assert sentence.in_(lang)[:12] not in "".join(FORMATS[report].render(standard("keeps"), lang, options()))
    assert json.loads("".join(FORMATS["json"].render([one], lang, options())))["sources_twice"] == [name]


def test_a_name_that_only_ends_like_a_second_copy_is_none() -> None:
    one = odd()
    (name,) = twice(one)
    alone = {key: value for key, value in one.bundle.sources.items() if key != name}

    assert twice(replace(one, bundle=replace(one.bundle, sources=alone))) == ()
