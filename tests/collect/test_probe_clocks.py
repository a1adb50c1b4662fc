"""What began when is told by the difference of two clocks: on a busy host, too, the probe reads both at one time."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, frames, instead_of_lanes
from tutela.evidence import Status

SLOW = {
    "what follows": "slow() { sleep 3; }",
    "the first look at the clock": 'date() { command date "$@"; [ -e FIRST ] || { : >FIRST; sleep 2; }; }\nslow() { :; }',
}
"""What takes long."""


@pytest.mark.parametrize("lines", SLOW.values(), ids=SLOW)
def test_both_clocks_are_read_within_one_second(tmp_path: Path, lines: str) -> None:
    script = tmp_path / "probe.sh"
    lines = lines.replace("FIRST", str(tmp_path / "first"))
    script.write_text(instead_of_lanes(PROBE.read_text("utf-8"), f"{lines}\nlane identity slow"), "utf-8")

    found = frames(subprocess.run(["sh", str(script)], capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout)

    now = dict(line.split(b"=", 1) for line in found["meta"].content.split(b"\n"))[b"started"]
    ahead = int(now) - float(found["/proc/uptime"].content.split()[0]) - (time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME))
    # `date` leaves out its fraction of a second, /proc/uptime a hundredth.
    assert -2 < ahead < 0.02


def test_where_the_clocks_cannot_be_read_together_nothing_is_reckoned(tmp_path: Path) -> None:
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE.read_text("utf-8"), 'date() { sleep 1; command date "$@"; }\nlane identity'), "utf-8")

    found = frames(subprocess.run(["sh", str(script)], capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout)

    assert found["meta"].status is Status.OK
    assert found["/proc/uptime"].status is Status.FAILED
