"""`tutela site`: a file to start from, and what is wrong in one's own."""

from __future__ import annotations

import resource
import signal
from datetime import date
from pathlib import Path

import pytest

from tutela.cli import main
from tutela.language import Lang


@pytest.mark.parametrize("lang", list(Lang))
def test_the_file_that_init_writes_is_well_formed_and_is_not_overwritten(lang: Lang, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "site.yaml"

    assert main(["site", "init", str(path), "--lang", lang]) == 0
    assert main(["site", "verify", str(path), "--lang", lang]) == 0
    before = path.read_bytes()
    assert main(["site", "init", str(path), "--lang", lang]) == 1

    assert path.read_bytes() == before
    assert "campus-L1" in capsys.readouterr().out


def waiver(target: str, granted: date, expires: date) -> str:
    return f"- {{target: {target}, party: provider, reason: r, approver: a, granted: {granted}, expires: {expires}}}\n"


def test_verify_names_waivers_that_excuse_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "site.yaml"
    good = waiver("H-034", date(9000, 1, 1), date(9000, 12, 31)) + waiver("LB-4.6", date(9000, 1, 1), date(9000, 12, 31))
    bad = waiver("H-013", date(2025, 1, 1), date(2025, 6, 1)) + waiver("H-9999", date(9000, 1, 1), date(9000, 12, 31))
    path.write_text("schema: tutela/site/1\nwaivers:\n" + good + bad, "utf-8")

    assert main(["site", "verify", str(path), "--lang", "en"]) == 0

    _, *warnings = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in warnings] == ["waivers.2.expires", "waivers.3.target"]
    assert "2025-06-01" in warnings[0]
    assert "H-9999" in warnings[1]


def test_verify_names_evidence_that_shows_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "site.yaml"
    lodged = [("HL-2.6a", "9000-12-31"), ("HL-2.6a", "2025-06-01"), ("HL-99", "9000-12-31"), ("H-034", "9000-12-31")]
    path.write_text(
        "schema: tutela/site/1\nattestations:\n"
        + "".join(f"- {{clause: {clause}, by: ops, on: 2025-01-01, expires: {expires}, reference: T-1}}\n" for clause, expires in lodged),
        "utf-8",
    )

    assert main(["site", "verify", str(path), "--lang", "en"]) == 0

    _, *warnings = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in warnings] == ["attestations.1.expires", "attestations.2.clause", "attestations.3.clause"]


def test_a_file_that_cannot_be_written_is_named_and_not_left_half(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "site.yaml"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        status = main(["site", "init", str(path), "--lang", "en"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert (status, path.exists()) == (1, False)
    assert f"cannot write {path}: " in capsys.readouterr().err
    assert main(["site", "init", str(tmp_path / "no" / "site.yaml"), "--lang", "zh"]) == 1
    assert "没有这个文件或文件夹" in capsys.readouterr().err
