from __future__ import annotations

import pytest

from tutela.cli import choose_language, main
from tutela.language import Lang


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], {"LANG": "zh_CN.UTF-8"}, Lang.ZH),
        ([], {"LANG": "zh_CN.GB18030", "LC_ALL": "en_US.UTF-8"}, Lang.EN),
        ([], {"LANG": "C"}, Lang.EN),
        ([], {}, Lang.EN),
        ([], {"LANG": "de_DE.UTF-8", "TUTELA_LANG": "zh"}, Lang.ZH),
        (["check", "--lang", "en"], {"LANG": "zh_CN.UTF-8"}, Lang.EN),
        (["check", "--lang=zh"], {"LANG": "C"}, Lang.ZH),
        (["check", "--lang"], {"LANG": "C"}, Lang.EN),
        (["check", "--lang", "xx"], {"LANG": "zh"}, Lang.ZH),
    ],
)
def test_language_is_the_options_then_the_locales(words: list[str], environment: dict[str, str], expected: Lang) -> None:
    assert choose_language(words, environment) is expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["chekc"], "invalid choice: 'chekc'"),
        (["check", "--jobs", "0"], "'0' is no whole number from 1 on"),
        (["check", "no-such-file"], "there is no such file"),
        (["check", "ssh://-oProxyCommand=id"], "is no host name"),
        (["check", "ssh://host/path"], "may only be ssh://"),
        (["check", "ssh://u:secret@host"], "may only be ssh://"),
        (["check", "@no-such-inventory"], "cannot read the inventory"),
        (["check", "--site", "no-such-site"], "cannot be read"),
        (["check", "--content", "no-such-folder"], "there is no such folder"),
        (["check", "--profile", "nope"], "there is no profile 'nope'"),
        (["explain", "LB-99"], "near ones: LB-"),
        (["explain", "LB-4.6", "no-such-bundle"], "cannot read no-such-bundle"),
        (["site", "verify", "no-such-file"], "cannot be read"),
    ],
)
def test_wrong_words_exit_with_1_and_say_what_is_wrong(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([*words, "--lang", "en"])
    except SystemExit as problem:
        status = problem.code

    assert status == 1
    assert said in capsys.readouterr().err


def test_wrong_words_are_answered_in_chinese_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELA_LANG", "zh")
    with pytest.raises(SystemExit):
        main(["check", "--nonsense"])

    said = capsys.readouterr().err
    assert "不认识的参数：--nonsense" in said
    assert "usage" not in said


def test_the_language_may_stand_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--lang", "zh", "explain", "U1"], ["--lang=zh", "explain", "U1"], ["explain", "U1", "--lang", "zh"]):
        assert main(words) == 0
        assert "数据过期" in capsys.readouterr().out
