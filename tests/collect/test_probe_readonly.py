"""The probe changes nothing: every system call of a whole run that could, as strace sees it, is one of a few that are explained here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, SHELLS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="as root the probe could write anywhere"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt-get install strace)"),
]

CALL = re.compile(r"^(?:\d+\s+)?([a-z_0-9]+)\((.*)$")

# Calls that change a file system, the machine or another process, whatever their arguments.
FORBIDDEN = """
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mknod mknodat creat chmod fchmod
fchmodat fchmodat2 chown fchown lchown fchownat truncate ftruncate fallocate utime utimes utimensat futimesat setxattr lsetxattr
fsetxattr removexattr lremovexattr fremovexattr mount umount umount2 pivot_root chroot swapon swapoff sethostname setdomainname
settimeofday clock_settime adjtimex init_module finit_module delete_module reboot kexec_load bpf quotactl flock ptrace listen
accept accept4
"""

# What may be opened for writing: it swallows what it gets.
SINKS = re.compile(r'"/dev/(null|tty)"')

# Unnamed files (they have no name, so nothing can stay behind): apt-get splits its signed lists in one. The probe asks for memory to hold it.
UNNAMED = re.compile(r'"/dev/shm", [A-Z_|]*O_TMPFILE')

# Questions to services on the host itself; each answers, none changes for it.
QUESTIONS = re.compile(
    r'sun_path=@?"('
    r"/(var/)?run/(nscd/socket|fail2ban/fail2ban\.sock|dbus/system_bus_socket|systemd/[A-Za-z0-9/._-]+|crowdsec\.sock|chrony/chronyd\.sock|docker\.sock|setrans/\.setrans-unix)"
    r')"'
    # The resolver asks the kernel for a route by connecting a datagram socket to nowhere: no packet is sent.
    r"|sa_family=AF_(INET|INET6), sin6?_port=htons\(\d+\).*(inet_addr\(\"(0\.0\.0\.0|127\.0\.0\.1)\"\)|\"(::|::1)\")|AF_UNSPEC|AF_NETLINK"
)


def calls(trace: Path) -> Iterator[tuple[str, str]]:
    """Name and arguments of each call; one that was interrupted by another process's line stands on its first half."""
    with trace.open(errors="backslashreplace") as lines:
        for line in lines:
            found = CALL.match(line)
            if found:
                yield found[1], found[2].rstrip("\n")


def changes(trace: Path) -> set[str]:
    """Every call that is not one of those explained above."""
    found: set[str] = set()
    for name, rest in calls(trace):
        if name in FORBIDDEN.split():
            found.add(f"{name}({rest}")
        elif name in ("open", "openat", "openat2") and re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", rest):
            if not SINKS.search(rest) and not UNNAMED.search(rest):
                found.add(f"{name}({rest}")
        elif (
            (name == "connect" and not QUESTIONS.search(rest))
            or (name == "bind" and "AF_NETLINK" not in rest)
            or (name == "fcntl" and re.search(r"F_(OFD_)?SETLKW?,.*F_WRLCK", rest))
        ):
            found.add(f"{name}({rest}")
    return found


def traced(tmp_path: Path, *argv: str) -> Path:
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-qq",
        "-s",
        "200",
        "-e",
        "signal=none",
        "-e",
        "trace=%file,%desc,%process,%network,?" + ",?".join(FORBIDDEN.split()),
        "-o",
        str(trace),
        *argv,
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"end\n")
    return trace


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_quick_look_changes_nothing(tmp_path: Path, shell: list[str]) -> None:
    assert changes(traced(tmp_path, *shell, str(PROBE), "--quick")) == set()


def test_a_full_look_changes_nothing(tmp_path: Path) -> None:
    assert changes(traced(tmp_path, "sh", str(PROBE), "--addresses", "192.0.2.5,2001:db8::5")) == set()


def test_the_guard_sees_changes(tmp_path: Path) -> None:
    """The test above can fail: each of these is seen."""
    script = f"cd {tmp_path}; >new; echo x >>new; mkdir d; mv new d/; chmod 600 d/new; ln -s d l; touch -d yesterday d/new; rm -r d l; echo end"

    seen = {name.partition("(")[0] for name in changes(traced(tmp_path, "sh", "-c", script))}

    assert {"openat", "mkdir", "fchmodat", "unlinkat", "utimensat"} <= seen
    assert seen & {"rename", "renameat2"}
    assert seen & {"symlink", "symlinkat"}
    script = "import socket; socket.create_connection(('203.0.113.1', 80), 0.01)"
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", str(trace), "/usr/bin/python3", "-c", script], capture_output=True, check=False)
    assert any("203.0.113.1" in call for call in changes(trace))


def test_nothing_of_the_probe_is_left_running(tmp_path: Path) -> None:
    """Every process it started has ended when it ends."""
    trace = traced(tmp_path, "sh", str(PROBE), "--quick")
    text = trace.read_text(errors="backslashreplace")
    started = set(re.findall(r"^(\d+) ", text, re.MULTILINE))

    assert len(started) > 10
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
