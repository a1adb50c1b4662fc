"""Processes that the network reaches and that still run the code of a library which was replaced on disk.

Source: /proc/PID/maps (proc_pid_maps(5)), entries marked `(deleted)`; the time at which the new library came to its place.
Only libraries of cryptography and the C library count, as these are what a security fix of a service is mostly about.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tutela.evidence import Reason, Unobserved
from tutela.facts import sockets
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

MAPS = "grep (libraries mapped by processes and deleted, /proc/[0-9]*/maps)"
STAT = "stat -L -c '%Z %n' (libraries)"
NEEDS = (MAPS, STAT, *sockets.NEEDS)
MAX_ROWS = 5000

_WEIGHTY = re.compile(
    r"/(libcrypto|libssl|libgnutls|libnss3|libnspr4|libgcrypt|libsodium|libmbedcrypto|libmbedtls|libwolfssl|libnettle|libhogweed|libkrb5|libgssapi_krb5|libc|ld-linux[a-z0-9_-]*|ld-musl-[a-z0-9_-]+|libpthread|libm|libresolv|libpam|libz)(-[0-9.]+)?\.so[.0-9a-z]*$"
)


@record
class Stale:
    """Stale(process='nginx', pid=812, library='/usr/lib/x86_64-linux-gnu/libssl.so.3', ports=(443,), hours=120)"""

    process: str
    pid: int
    library: str
    ports: tuple[int, ...]
    hours: int | Unobserved
    """Since the library on disk is there, which is how long the process is behind at least."""


@record
class ReplacedLibraries:
    """ReplacedLibraries(services=(Stale(…),), others=3)"""

    services: tuple[Stale, ...]
    """Of processes that listen beyond loopback."""
    others: int
    """How many other processes run replaced libraries of any kind."""


def parse(look: Look) -> ReplacedLibraries | Unobserved:
    """The fact; needs root."""
    lines = look.lines(MAPS)
    if isinstance(lines, Unobserved):
        return lines
    rows = [(int(one[1]), one[2]) for line in lines[:MAX_ROWS] if (one := re.fullmatch(r"([0-9]{1,9}) (/.{1,4000})", line))]
    if not rows:
        return ReplacedLibraries((), 0)
    seen = look.fact(sockets.parse)
    if isinstance(seen, Unobserved):
        return seen
    listening: dict[int, tuple[str, set[int]]] = {}
    for socket in seen.listening:
        if socket.local:
            continue
        if isinstance(socket.pid, Unobserved):
            return socket.pid
        if socket.pid is not None:
            name = socket.process if isinstance(socket.process, str) else "?"
            listening.setdefault(socket.pid, (name, set()))[1].add(socket.port)
    came = _came(look)
    services = [
        Stale(listening[pid][0], pid, library, tuple(sorted(listening[pid][1])), _hours(look, came, library))
        for pid, library in rows
        if pid in listening and _WEIGHTY.search(library)
    ]
    return ReplacedLibraries(tuple(sorted(services, key=lambda one: (one.pid, one.library))), len({pid for pid, _ in rows if pid not in listening}))


def _came(look: Look) -> dict[str, datetime]:
    lines = look.lines(STAT)
    if isinstance(lines, Unobserved):
        return {}
    found = (re.fullmatch(r"([0-9]{1,11}) (/.*)", line) for line in lines)
    return {one[2]: datetime.fromtimestamp(int(one[1]), UTC) for one in found if one is not None}


def _hours(look: Look, came: dict[str, datetime], library: str) -> int | Unobserved:
    if library not in came:
        return Unobserved(Reason.NO_DATA, library, Text("新库不在原处，不知道何时替换", "no library is in its place, so since when is not known"))
    return max(0, int((look.now - came[library]).total_seconds() // 3600))
