"""Files that two parts of the probe read: each sees them in its own way, no name occurs twice, and no secret passes by a detour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collect.probe import SHELLS, Stage, frames
from tutela.evidence import Status

pytestmark = pytest.mark.root

CANARY = "Kanarienvogel7"


def names(raw: bytes) -> list[str]:
    """Of every frame, in order: the reader below would hide a second one."""
    found, at = [], 0
    while not raw.startswith(b"end\n", at):
        head = raw[at : raw.index(b"\n", at)]
        name, content = map(int, head.split()[2:])
        start = at + len(head) + 1
        found.append(raw[start : start + name].decode())
        at = start + name + 1 + content + 1
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_an_include_of_another_parts_file_is_a_source_of_its_own(tmp_path: Path, shell: str) -> None:
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")
    shared = f"PermitRootLogin no\nrequirepass {CANARY}\n*.* @@192.0.2.45:514\n"
    stage.plant("/opt/shared.conf", shared).plant("/etc/redis/redis.conf", f"bind 127.0.0.1\nrequirepass {CANARY}\n")
    stage.plant("/etc/ssh/sshd_config", "Include /etc/passwd /opt/shared.conf /etc/redis/redis.conf ../shadow /etc/crontab /etc/missing\nPort 22\n")
    stage.plant("/etc/rsyslog.conf", '$IncludeConfig /opt/*.conf\n$IncludeConfig /etc/ssh/sshd_config\ninclude(file="/etc/crontab")\n')
    stage.plant("/etc/shadow", f"root:$6$salt${CANARY}:20000:0:99999:7:::\n").plant("/etc/crontab", "1 2 * * * root restic backup /srv\n")
    stage.do(f"echo 'someone:x:1500:1500:{CANARY}:/home/someone:/bin/bash' >>/etc/passwd")

    raw = stage.run(SHELLS[shell], "--quick").stdout
    each = names(raw)
    assert len(each) == len(set(each))
    assert [line for line in raw.split(b"\n") if CANARY.encode() in line] == []
    found = frames(raw)
    assert b"PermitRootLogin no" in found["/opt/shared.conf (ssh)"].content
    assert b"*.* @@192.0.2.45:514" in found["/opt/shared.conf (rsyslog)"].content
    assert found["/etc/ssh/sshd_config"].content.startswith(b"Include ")
    assert b"IncludeConfig" not in found["/etc/ssh/sshd_config (rsyslog)"].content
    assert found["/etc/crontab"].content == b"1 2 * * * root restic backup /srv"
    assert b"someone:x:1500:1500::/home/someone:/bin/bash" in found["/etc/passwd"].content
    assert found["/etc/ssh/../shadow"].status is Status.FAILED
    assert found["/etc/missing (ssh)"].status is Status.ABSENT
