"""What is told of a target that could not be looked at: why, and what to do about it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tutela.collect.run import Look, collect_local
from tutela.collect.ssh import explained
from tutela.collect.target import SshTarget
from tutela.errors import CollectError


def test_a_target_without_sudo_is_told_apart_from_one_that_wants_a_password() -> None:
    target, look = SshTarget("h", "h"), Look(become=True)

    assert "there is no sudo on h" in explained(target, 127, b"bash: line 1: sudo: command not found\n", look).en
    assert "wants a password" in explained(target, 1, b"sudo: a password is required\n", look).en


CHANGED = b"""\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Offending ED25519 key in /home/ops/.ssh/known_hosts:3
Host key for [198.18.1.12]:2222 has changed and you have requested strict checking.
Host key verification failed.\r
"""


@pytest.mark.parametrize(
    ("complaints", "said"),
    [
        (CHANGED, "the host key of web1 ([198.18.1.12]:2222) has changed"),
        (CHANGED, "ssh-keygen -R '[198.18.1.12]:2222'"),
        (
            b"No ED25519 host key is known for bastion and you have requested strict checking.\r\nHost key verification failed.\r\nConnection closed by UNKNOWN port 65535\r\n",
            "the host key of web1 (bastion) is not known yet",
        ),
        (b"Host key verification failed.\r\n", "the host key of web1 is not known yet"),
        (
            b"ssh: connect to host 198.18.1.88 port 22: No route to host\r\nConnection closed by UNKNOWN port 65535\r\n",
            "cannot connect to web1: ssh: connect to host 198.18.1.88 port 22: No route to host",
        ),
        (b"Connection closed by UNKNOWN port 65535\r\n", "cannot connect to web1: Connection closed by UNKNOWN port 65535"),
    ],
)
def test_of_a_jump_host_and_of_other_names_the_cause_is_told(complaints: bytes, said: str) -> None:
    assert said in explained(SshTarget("web1", "web1"), 255, complaints, Look()).en


def test_here_sudo_with_a_password_is_for_the_whole_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sudo").write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(CollectError, match="run the whole command with sudo"):
        collect_local(Look(become=True), lambda: datetime.now(UTC))
