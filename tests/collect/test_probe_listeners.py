"""What the probe says of programs that listen: those of the host, none of a container's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, SHELLS, frames, instead_of_lanes
from tutela.evidence import Status
from tutela.facts.unpackaged import PROGRAMS


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_program_inside_a_container_is_none_of_the_hosts(tmp_path: Path, shell: list[str]) -> None:
    # One in a PID namespace of its own, as a container's is, and one in ours.
    ours = subprocess.Popen(["sleep", "60"])
    theirs = subprocess.Popen(["unshare", "-p", "-f", "--kill-child", "sh", "-c", "echo up; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert theirs.stdout is not None
        assert theirs.stdout.readline() == b"up\n"
        (child,) = Path(f"/proc/{theirs.pid}/task/{theirs.pid}/children").read_text().split()
        script = tmp_path / "probe.sh"
        users = f'OUT=\'users:(("a",pid={ours.pid},fd=3)) users:(("b",pid={child},fd=3))\' RC=0'
        script.write_text(instead_of_lanes(PROBE.read_text("utf-8"), f"{users}\nlistening_programs"), "utf-8")
        done = subprocess.run([*shell, str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()
        if theirs.stdout is not None:
            theirs.stdout.close()

    found = frames(done.stdout)[PROGRAMS]
    assert found.status is Status.OK
    assert [line.partition(" -> ")[0] for line in found.content.decode().split("\n")] == [f"'/proc/{ours.pid}/exe'"]
