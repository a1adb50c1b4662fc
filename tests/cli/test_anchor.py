"""`tutela check --ledger`: what was seen and judged is logged, once, and the report never suffers from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tutela.cli import main
from tutela.cli.anchor import _first_day
from tutela.ledger.entry import Kind, new_record

if TYPE_CHECKING:
    from tutela.agreement.model import Agreement

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.bundle"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TUTELA_LANG", "en")
    assert main(["ledger", "init", "log", "--origin", "ledger.example/centre"]) == 0
    capsys.readouterr()
    return tmp_path


def kinds(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["ledger", "export", "log"]) == 0
    return [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "nagios"])
def test_evidence_assessment_and_agreements_are_logged_once_whatever_the_format(here: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    without = main(["check", str(EXAMPLES[0]), "--format", form])
    report = capsys.readouterr().out
    for _ in range(2):
        assert main(["check", str(EXAMPLES[0]), "--format", form, "--ledger", "log"]) == without
        out, err = capsys.readouterr()
        assert out == report
        assert err == "ledger log: 4 entries, 0 to 3 (evidence, assessment, agreements); a receipt: tutela ledger prove log 3\n"
    assert sorted(kinds(capsys)) == ["agreement", "agreement", "assessment", "bundle"]


def test_the_report_on_paper_and_the_bundle_verify_against_their_receipts(here: Path) -> None:
    main(["check", str(EXAMPLES[0]), "--format", "json", "--output", "report.json", "--ledger", "log"])
    for subject in ("report.json", str(EXAMPLES[0])):
        assert main(["ledger", "prove", "log", subject, "--output", "receipt"]) == 0
        assert main(["ledger", "verify", "receipt", subject, "--key", "log/vkey"]) == 0
    changed = json.loads(Path("report.json").read_text())
    changed["verdicts"][0]["result"] = "pass" if changed["verdicts"][0]["result"] != "pass" else "fail"
    Path("report.json").write_text(json.dumps(changed))
    main(["ledger", "prove", "log", "3", "--output", "receipt"])
    assert main(["ledger", "verify", "receipt", "report.json", "--key", "log/vkey"]) == 2


def test_many_hosts_are_logged_together_and_line_by_line_reports_stay_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("many").mkdir()
    for number in range(70):
        shutil.copy(EXAMPLES[number % len(EXAMPLES)], f"many/{number}.bundle")
    main(["check", "many", "--format", "jsonl"])
    report = capsys.readouterr().out
    main(["check", "many", "--format", "jsonl", "--ledger", "log"])
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(report.splitlines())
    assert kinds(capsys).count("bundle") == len(EXAMPLES)


def test_a_ledger_that_cannot_go_on_is_said_before_anybody_is_looked_at(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("log.private/state").unlink()
    assert main(["check", str(EXAMPLES[0]), "--ledger", "log"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tutela: log.private/state is gone: what this key signed last is unknown, so it must not sign. ")


def test_a_ledger_that_fails_in_between_costs_no_report(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tutela.ledger.store.keeper import Ledger

    def full(self: Ledger, records: object) -> list[int]:
        raise OSError(28, "No space left on device", "log/tile")

    monkeypatch.setattr(Ledger, "append", full)
    assert main(["check", str(EXAMPLES[0]), "--ledger", "log", "--lang", "zh"]) == 1
    out, err = capsys.readouterr()
    assert "H-0" in out
    assert err == "tutela: log/tile：磁盘已满\n"


@pytest.mark.parametrize(
    ("edition", "day"),
    [
        ("2024", 1_704_067_200),
        ("2024-09", 1_704_067_200),
        ("1000", -30_610_224_000),
        ("0999", 0),
        ("0001-draft", 0),
        ("0000", 0),
        ("v3", 0),
        ("", 0),
        ("202", 0),
    ],
)
def test_an_edition_that_names_no_year_that_can_be_logged_is_dated_to_1970(edition: str, day: int) -> None:
    class Edition:
        def __init__(self) -> None:
            self.edition = edition

    found = _first_day(cast("Agreement", Edition()))
    assert found == day
    new_record(Kind.AGREEMENT, "sha256:" + "0" * 64, found, 0)
