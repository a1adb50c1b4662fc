"""Completion scripts and the manual page, read by the shells and by man themselves."""

from __future__ import annotations

import subprocess

import pytest

from tutela.cli import COMMANDS, main


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.program(name)) for name in ("bash", "zsh", "fish")])
def test_the_shell_reads_its_completion_script(name: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "completion", name, "--lang", lang)
    checked = subprocess.run([name, "-n", "/dev/stdin"], input=script, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.program("bash")
def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "completion", "bash", "--lang", "en")

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        asked = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _tutela; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split()

    assert complete("tutela", "ch") == ["check"]
    assert complete("tutela", "check", "--fo") == ["--format"]
    assert "json" in complete("tutela", "check", "--format", "js")
    assert complete("tutela", "site", "ver") == ["verify"]
    assert complete("tutela", "led") == ["ledger"]
    assert complete("tutela", "ledger", "fo") == ["forget"]
    assert complete("tutela", "ledger", "append", "--ki") == ["--kind"]
    assert "letter" in complete("tutela", "ledger", "append", "--kind", "le")
    assert complete("tutela", "check", "--profile", "ca") == ["campus-L1"]
    assert "/etc/passwd" in complete("tutela", "check", "--site", "/etc/passw")
    assert complete("tutela", "check", "--timeout", "") == []


@pytest.mark.program("man")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_manual_page_formats_without_a_warning_and_names_every_command(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "manual", "--lang", lang)
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-"],
        input=page,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80"},
        check=False,
    )

    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    for name in COMMANDS:
        assert f"tutela {name}" in shown.stdout


def test_the_manual_page_brackets_only_what_may_be_left_out_and_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "manual", "--lang", "en").replace("\\-", "-").split("\n")

    said = {page[at - 1]: page[at] for at in range(1, len(page)) if page[at].startswith("[options]")}
    assert said[".B tutela explain"] == "[options] ID [BUNDLE]"
    assert said[".B tutela check"] == "[options] [TARGET…]"
    assert said[".B tutela ledger append"] == "[options] DIR [FILE…]"
    assert said[".B tutela site"] == "[options] init|verify [FILE]"
    assert ".B TUTELA_SCANNER" in page
