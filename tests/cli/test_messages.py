"""What a person reads who typed something wrong, or whose machine has no room, no right, no output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tutela.cli import main
from tutela.cli.options import bundle_name
from tutela.errors import CollectError
from tutela.report.columns import width

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "debian-12.bundle"


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    try:
        status = main(list(words))
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    return said.err


@pytest.mark.parametrize(
    ("words", "zh", "en"),
    [
        (["bogus"], "'bogus' 不在可选值中", "'bogus'"),
        (["check", "--frobnicate"], "不认识的参数：--frobnicate", "unrecognized arguments: --frobnicate"),
        (["check", "--jobs", "0"], "'0' 不是从 1 起的整数", "'0' is no whole number from 1 on"),
        (["check", "--quick=yes"], "后面不能有值：'yes'", "ignored explicit argument 'yes'"),
        (["check", "--jobs", "many"], "'many' 不是从 1 起的整数", "'many' is no whole number from 1 on"),
        (["explain"], "缺少参数：ID", "required: ID"),
        (["explain", "H-999"], "H-099", "H-099"),
        (["check", "nosuch"], "ssh://", "ssh://"),
        (["check", "@nosuch"], "无法读取清单 nosuch：没有这个文件或文件夹", "cannot read the inventory nosuch: No such file or directory"),
        (["check", "--profile", "nope", str(EXAMPLE)], "campus-L1", "campus-L1"),
        (["check", "--content", str(ROOT / "examples"), str(EXAMPLE)], "里面没有 .yaml 文件", "there is no .yaml file in it"),
        (["check", "--content", "/no/such", str(EXAMPLE)], "/no/such: 没有这个文件夹", "/no/such: there is no such folder"),
        (
            ["check", "--output", "/no/such/report", str(EXAMPLE)],
            "无法写入 /no/such/report：没有这个文件或文件夹",
            "cannot write /no/such/report: No such file",
        ),
        (["check", "--keep", "/dev/null/kept", str(EXAMPLE)], "无法写入文件夹 /dev/null/kept：", "cannot write the folder /dev/null/kept: Not a directory"),
        (["collect", "--output", "/dev/null/kept", str(EXAMPLE), "ssh://h"], "无法写入文件夹 /dev/null/kept：", "cannot write the folder /dev/null/kept"),
        (["check", str(ROOT / "docs")], "docs 里没有 .bundle 文件", "there is no .bundle file in"),
        (["collect", "--output", "/no/such/x", "ssh://tutela-test.invalid"], "无法写入 /no/such/x：没有", "cannot write /no/such/x: No such file"),
        (["check", "--output", str(ROOT), str(EXAMPLE)], "这是文件夹，不是文件", "Is a directory"),
        (["check", "@"], "@hosts.ini", "@hosts.ini"),
        (["check", f"@{ROOT}"], "请写出清单文件，而不是文件夹", "name the inventory file, not a folder"),
        (["check", str(ROOT / "pyproject.toml")], "主机清单请写成 @文件", "an inventory is written @file"),
        (["check", "--passwords", str(EXAMPLE)], "采集时已定", "settled when it was collected"),
        (["check", "--become", str(EXAMPLE)], "采集时已定", "settled when it was collected"),
        (["collect", "--passwords", str(EXAMPLE)], "采集时已定", "settled when it was collected"),
        (["check", "--ssh-config", "/no/such", "ssh://h"], "没有 ssh 配置文件 /no/such", "there is no ssh configuration file /no/such"),
        (["explain", "ssh-root"], "ssh-root-login", "ssh-root-login"),
        (["site", "verify", "/no/such.yaml"], "tutela site init", "tutela site init"),
    ],
)
def test_a_wrong_word_is_named_with_what_to_do_next(words: list[str], zh: str, en: str, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, wanted in (("zh", zh), ("en", en)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUTELA_LANG", lang)
            said = complaint(capsys, *words)

        assert wanted in said
        assert said.startswith("tutela")
        assert "Traceback" not in said


@pytest.mark.parametrize("words", [["nosuch.bundle"], ["ssh://tutela-test.invalid"], ["--site", "nosuch.yaml"], ["--profile", "nope", str(EXAMPLE)]])
def test_for_nagios_what_could_not_be_looked_at_is_unknown_and_says_why(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["check", "--format", "nagios", *words])

    said = capsys.readouterr()
    assert (status, said.err) == (3, "")
    assert said.out.startswith("TUTELA UNKNOWN - ")
    assert said.out.count("\n") == 1


def test_for_prometheus_a_host_that_cannot_be_reached_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["check", "--format", "prometheus", "ssh://tutela-test.invalid"])

    said = capsys.readouterr()
    assert (status, said.err) == (3, "")
    assert 'tutela_reachable{subject="tutela-test.invalid"} 0\n' in said.out


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("command", ["check", "scan", "scanner", "explain", "ledger init", "ledger append", "ledger verify", "ledger witness"])
def test_help_begins_with_the_whole_command_and_fits_a_terminal(command: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help", "--lang", lang])

    said = capsys.readouterr().out
    assert said.startswith(f"用法：tutela {command} [" if lang == "zh" else f"usage: tutela {command} [")
    assert [line for line in said.split("\n") if width(line) > 80] == []


def test_the_help_in_chinese_has_no_english_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help", "--lang", "zh"])

    assert "显示版本号" in capsys.readouterr().out


def test_without_words_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "explain" in complaint(capsys)


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A shell of its own, since what is closed or full belongs to a whole process."""
    return subprocess.run(
        ["sh", "-c", script, sys.executable, "-m", "tutela", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "TUTELA_LANG": "zh", "LC_ALL": "C.UTF-8"},
        check=False,
    )


@pytest.mark.parametrize("words", [["--help"], ["explain", "H-071"], ["check", str(EXAMPLE)], ["check", "--format", "html", str(EXAMPLE)]])
@pytest.mark.parametrize(("to", "why"), [(">&-", "没有打开"), (">/dev/full", "磁盘已满")])
def test_output_that_cannot_be_written_is_an_error_in_one_line(words: list[str], to: str, why: str) -> None:
    done = run(f'"$0" "$@" {to}', *words)

    assert (done.returncode, done.stderr) == (1, f"tutela: 标准输出：{why}\n")


def test_a_report_goes_to_its_file_with_standard_output_closed(tmp_path: Path) -> None:
    done = run('"$0" "$@" >&- 2>&-', "check", str(EXAMPLE), "--output", str(tmp_path / "report"))

    assert done.returncode == 2
    assert "违反约定" in (tmp_path / "report").read_text("utf-8")


def test_a_reader_that_has_seen_enough_is_no_error_message() -> None:
    done = run('"$0" "$@" | head -1', "check", str(EXAMPLE))

    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_a_terminal_that_lacks_a_character_shows_an_escape(encoding: str) -> None:
    done = run(f'PYTHONIOENCODING={encoding} "$0" "$@" | iconv -f {encoding} -t utf-8', "check", str(EXAMPLE))

    assert (done.stderr, len(done.stdout.splitlines()) > 40) == ("", True)


@pytest.mark.parametrize("form", ["html", "json", "jsonl", "sarif", "junit", "csv", "oscal", "prometheus"])
def test_what_programs_read_is_utf_8_in_any_locale(form: str) -> None:
    done = run(f'PYTHONIOENCODING=gb18030 "$0" "$@" --format {form} | iconv -f utf-8 -t utf-8', "check", str(EXAMPLE))

    assert done.stderr == ""
    assert "新密码" in done.stdout or form in ("json", "jsonl", "prometheus")


@pytest.mark.program("script")
@pytest.mark.parametrize(("says", "widest"), [(0, 80), (50, 50), (200, 80)])
def test_a_report_is_no_wider_than_the_terminal(says: int, widest: int) -> None:
    done = run(f'TERM=dumb script -qec "stty cols {says}; $0 $*" /dev/null </dev/null', "check", str(EXAMPLE))

    prose = [line.rstrip("\r") for line in done.stdout.split("\n") if "H-0" in line]
    assert len(prose) > 20
    assert max(map(width, prose)) <= widest
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_error_steers_a_terminal_whatever_it_names(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no\x1b[2Jsuch\u202e.bundle", "--lang", lang]) == 1
    said = capsys.readouterr().err
    assert "no\\x1b[2Jsuch\\u202e.bundle" in said
    assert said.rstrip("\n").isprintable()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_a_recorded_bundle_says_of_its_host_steers_no_terminal_and_needs_no_second_language(
    lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = r'tutela-bundle 1 {"collected_at":"2026-11-22T08:00:00Z","meta":{"unreachable":"gone\u001b[2J"},"probe":"-","subject":"%s","vantage":"host"}'
    paths = [tmp_path / f"{name}.bundle" for name in ("a", "b")]
    for path in paths:
        path.write_text(head % path.stem + "\nend\n", "utf-8")

    assert main(["collect", *map(str, paths), "--output", str(tmp_path / "kept"), "--lang", lang]) == 3
    # Each is told when it is done, and either may be first.
    assert sorted(capsys.readouterr().err.splitlines()) == [r"tutela: a: gone\x1b[2J", r"tutela: b: gone\x1b[2J"]

    assert main(["collect", str(paths[0]), "--lang", lang]) == 1
    assert capsys.readouterr().err == "tutela: gone\\x1b[2J\n"


@pytest.mark.parametrize("command", ["check", "scan", "collect", "explain", "site", "ledger init", "ledger append", "ledger verify"])
def test_explanations_stand_in_one_column_in_chinese_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help", "--lang", "zh"])

    begun = capsys.readouterr().out.partition("\n\n")[2].split("\n")
    columns = {width(line) - width(line.lstrip(" -").partition("  ")[2].lstrip()) for line in begun if line.startswith("  ") and "  " in line.lstrip(" -")}
    assert len(columns) == 1


def test_what_lies_beside_the_bundles_of_a_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.bundle", "b.bundle.gz", ".hidden", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(EXAMPLE.read_bytes())

    main(["check", str(tmp_path), "--format", "nagios"])

    assert capsys.readouterr().err == f"tutela: {tmp_path}: 2 files that do not end in .bundle left out: b.bundle.gz, sub/c.txt\n"


def test_a_folder_for_one_host_gets_its_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()

    assert [main(["collect", str(EXAMPLE), "--output", place]) for place in (".", "sub")] == [0, 0]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.bundle")) == ["sub/web1.bundle", "web1.bundle"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["check", "--keep", "kept", "."], ["collect", "--output", "kept", "."]])
def test_of_two_hosts_of_one_name_both_are_kept(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from tutela.collect.archive import read_bundle, write_bundle

    monkeypatch.chdir(tmp_path)
    for number, example in enumerate(("debian-12", "debian-13")):
        write_bundle(tmp_path / f"{number}.bundle", replace(read_bundle(ROOT / "examples" / f"{example}.bundle"), subject="debian"))

    assert main(words) in (0, 2, 3)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_report_nobody_may_write_is_refused_before_anybody_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    said = complaint(capsys, "check", "ssh://tutela-test.invalid", "--output", str(tmp_path / "report"))

    assert said == f"tutela: cannot write {tmp_path / 'report'}: Permission denied\n"


@pytest.mark.parametrize(
    ("subject", "name"),
    [("教务网站", "教务网站"), ("web 1/2", "web%201%2f2"), ("../x", "%2fx"), ("a\u202eb\x1b", "a%202eb%1b"), ("50%", "50%25"), ("\udcff", "%dcff")],
)
def test_a_bundle_is_called_as_its_host(subject: str, name: str) -> None:
    assert bundle_name(subject) == f"{name}.bundle"


def test_a_full_disk_for_bundles_does_not_cost_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _bundle: object) -> None:
        raise CollectError("disk full")

    monkeypatch.setattr("tutela.collect.archive.write_bundle", full)
    status = main(["check", str(EXAMPLE), "--keep", str(tmp_path)])

    said = capsys.readouterr()
    assert (status, said.err) == (1, "tutela: disk full\n")
    assert "web1  BROKEN" in said.out


def test_a_dash_is_standard_input_and_output(tmp_path: Path) -> None:
    script = f'cd {tmp_path} && "$0" "$@" collect - -o - <{EXAMPLE} 2>said | "$0" "$@" check - -f jsonl -o - | head -c 200; echo; ls'
    done = run(script)

    begun, _, files = done.stdout.partition("\n")
    assert begun.startswith('{"agreements":')
    assert (files, done.stderr) == ("said\n", "")
    assert "sha256:" in (tmp_path / "said").read_text()
