"""What a run of the probe did, as strace saw it: which of its system calls could have changed something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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

# Unnamed files (they have no name, so nothing can stay behind): apt splits its signed lists in one. The probe asks for memory to hold it.
UNNAMED = re.compile(r'"/dev/shm", [A-Z_|]*O_TMPFILE')

# Beside an open file of one's own there is no room for another: so apt fails to renew a cache.
IMPOSSIBLE = re.compile(r'"/proc/self/fd/9\.\w+", .* = -1 ENOENT ')

# Questions to services on the host itself; each answers, none changes for it.
QUESTIONS = re.compile(
    r'sun_path=@?"('
    r"/(var/)?run/(nscd/socket|fail2ban/fail2ban\.sock|dbus/system_bus_socket|systemd/[A-Za-z0-9/._-]+|crowdsec\.sock|chrony/chronyd\.sock|docker\.sock|setrans/\.setrans-unix)"
    r')"'
    # The resolver asks the kernel for a route by connecting a datagram socket to nowhere: no packet is sent.
    r"|sa_family=AF_(INET|INET6), sin6?_port=htons\(\d+\).*(inet_addr\(\"(0\.0\.0\.0|127\.0\.0\.1)\"\)|\"(::|::1)\")|AF_UNSPEC|AF_NETLINK"
)

# The names that systemd's own clients give to their end of a conversation: abstract ones, so no file.
CLIENTS = re.compile(r'AF_NETLINK|sun_path=@"[0-9a-f]{1,16}/bus/(systemctl|loginctl)/(system)?"')


def strace(trace: Path, *argv: str) -> list[str]:
    """`argv`, and all that it starts, under strace."""
    seen = "trace=%file,%desc,%process,%network,?" + ",?".join(FORBIDDEN.split())
    return ["strace", "-f", "-qq", "-s", "200", "-e", "signal=none", "-e", seen, "-o", str(trace), *argv]


def calls(trace: Path, since: str = "") -> Iterator[tuple[str, str]]:
    """Name and arguments of each call, from the line with `since` on; one that was interrupted by another process's line stands on its first half."""
    begun = not since
    with trace.open(errors="backslashreplace") as lines:
        for line in lines:
            begun = begun or since in line
            found = CALL.match(line) if begun else None
            if found:
                yield found[1], found[2].rstrip("\n")


def changes(trace: Path, since: str = "") -> set[str]:
    """Every call that is not one of those explained above."""
    found: set[str] = set()
    for name, rest in calls(trace, since):
        if name in FORBIDDEN.split():
            found.add(f"{name}({rest}")
        elif name in ("open", "openat", "openat2") and re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", rest):
            if not SINKS.search(rest) and not UNNAMED.search(rest) and not IMPOSSIBLE.search(rest):
                found.add(f"{name}({rest}")
        elif (
            (name == "connect" and not QUESTIONS.search(rest))
            or (name == "bind" and not CLIENTS.search(rest))
            or (name == "fcntl" and re.search(r"F_(OFD_)?SETLKW?,.*F_WRLCK", rest))
        ):
            found.add(f"{name}({rest}")
    return found
