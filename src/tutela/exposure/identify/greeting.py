"""What a service says before it is asked."""

from __future__ import annotations

from tutela.exposure.identify import mail, mysql, nats, redis, rsync, ssh, vnc
from tutela.exposure.identify.talk import Finding, Start, words

_TELNET, _NEGOTIATION = 0xFF, range(0xFB, 0xFF)
READERS = (ssh.read, mysql.read, mail.read, nats.read, redis.read)
TALKS: tuple[tuple[bytes, Start], ...] = ((b"220", mail.talk), (b"RFB ", vnc.talk), (b"@RSYNCD:", rsync.talk))


def read(greeting: bytes) -> Finding | Start | None:
    """What it is, or the talk that will tell; an unknown greeting is quoted. None: it said nothing, or nothing legible."""
    if not greeting:
        return None
    for reader in READERS:
        found = reader(greeting)
        if found is not None:
            return found
    for sign, start in TALKS:
        if greeting.startswith(sign):
            return start
    if len(greeting) >= 2 and greeting[0] == _TELNET and greeting[1] in _NEGOTIATION:
        return Finding("telnet")
    said = words(greeting)
    return Finding(None, said, sure=False) if "\ufffd" not in said else None
