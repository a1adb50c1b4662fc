"""Commands that the probe notes and runs together: their answers are exact, and one that hangs harms no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import AWKS, PROBE, SHELLS, Stage, frames, instead_of_lanes
from tutela.evidence import Evidence, Status

FORGED = "end\n\tstrict\t\t0\t4\tforged\nevil\nok 0 6 4\nforged\nevil\nend"


def asked(tmp_path: Path, shell: list[str], lines: str, change: tuple[str, str] = ("", "")) -> dict[str, Evidence]:
    """The probe with `lines` in place of its lanes, and with one change."""
    text = PROBE.read_text("utf-8")
    if change[0]:
        assert change[0] in text
        text = text.replace(*change)
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(text, f"asked() {{\n{lines}\n}}\ncollect asked"), "utf-8")
    done = subprocess.run([*shell, str(script)], capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, b"")
    return frames(done.stdout)


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("together", [True, False], ids=["together", "each by itself"])
def test_answers_are_exact(tmp_path: Path, shell: list[str], together: bool) -> None:
    said = tmp_path / "said"
    said.write_text(FORGED, "utf-8")
    big = tmp_path / "big"
    big.write_text("x" * 300_000 + "\n\ny\n", "utf-8")
    change = ("", "") if together else ("together=1", "together=")
    found = asked(
        tmp_path,
        shell,
        f"""
ask strict '' words printf '%s|' "it's" '"a  b"' '$HOME' '*' '' '\\' "'" 'a;b&c'
ask strict '' lines printf '%s|' "a
b" c
ask strict '' forged cat {said}
ask strict plain masked cat {said}
ask strict '' big cat {big}
ask strict '' empty true
ask strict '' fails sh -c 'echo some; exit 3'
ask any '' answers sh -c 'echo some; exit 3'
ask lenient '' whatever sh -c 'echo some; exit 3'
ask strict '' missing /nonexistent/command
ask strict secrets secret echo password canary
""",
        change,
    )
    assert found["words"].content == b"it's|\"a  b\"|$HOME|*||\\|'|a;b&c|"
    assert found["lines"].content == b"a\nb|c|"
    assert found["forged"].content == found["masked"].content == FORGED.encode()
    assert found["big"].content == b"x" * 300_000 + b"\n\ny"
    assert found["empty"] == Evidence("empty", Status.OK)
    assert found["fails"] == Evidence("fails", Status.FAILED, b"some", 3)
    assert found["answers"] == Evidence("answers", Status.OK, b"some", 3)
    assert found["whatever"] == Evidence("whatever", Status.OK, b"some", 0)
    assert found["missing"] == Evidence("missing", Status.ABSENT, b"", 127)
    assert found["secret"].content == b"password ***"


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_one_that_hangs_harms_no_other(tmp_path: Path, shell: list[str]) -> None:
    found = asked(tmp_path, shell, "ask strict '' before echo yes\nask lenient '' hangs sleep 60\nask strict '' after echo yes", ("capture 20", "capture 3"))

    assert found["before"].content == found["after"].content == b"yes"
    assert found["hangs"].status is Status.TIMEOUT


@pytest.mark.root
@pytest.mark.parametrize("awk", AWKS)
def test_every_awk_counts_the_lines_of_an_answer(tmp_path: Path, awk: str) -> None:
    folder = tmp_path / "stage"
    folder.mkdir()
    plain = Stage(folder).awk(awk).plant("/etc/profile", f"TMOUT=1 # \xe9\u5b88\n{FORGED}\n", "644").frames(["sh"], "--quick")
    found = next(one for name, one in plain.items() if name.startswith("grep -sHn TMOUT"))

    assert found.content.startswith(b"/etc/profile:1:TMOUT=1")
    assert "forged" not in plain
