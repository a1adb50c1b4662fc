"""SSH: the identification string comes first (RFC 4253 section 4.2)."""

from __future__ import annotations

from tutela.exposure.identify.talk import Finding, words


def read(greeting: bytes) -> Finding | None:
    """`SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3`; lines may stand before it."""
    for line in greeting.split(b"\n"):
        if line.startswith(b"SSH-"):
            parts = line.split(b"-", 2)
            software = parts[2] if len(parts) == 3 else b""
            old = b"" if parts[1] in (b"2.0", b"1.99") else b" (SSH " + parts[1] + b")"
            return Finding("ssh", words(software.strip() + (b" (SSH 1)" if parts[1] == b"1.99" else old)))
    return None
