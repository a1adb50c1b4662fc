"""MySQL and MariaDB: the server greets first (protocol 10, dev.mysql.com "Protocol::HandshakeV10"). No account is tried."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Finding, words

_NOT_ALLOWED, _BLOCKED = 1130, 1129
_VERSION = re.compile(rb"[0-9]+\.[0-9]+[ -~]*")


def read(greeting: bytes) -> Finding | None:
    """The version in the greeting, or the refusal of our address."""
    length = int.from_bytes(greeting[:3], "little")
    if len(greeting) < 7 or greeting[3] != 0 or not 5 <= length <= 2048:
        return None
    if greeting[4] == 10:
        version = greeting[5 : 4 + length].partition(b"\0")[0]
        if not _VERSION.fullmatch(version):
            return None
        return Finding("mariadb" if b"mariadb" in version.lower() else "mysql", words(version.removeprefix(b"5.5.5-")))
    if greeting[4] == 0xFF and int.from_bytes(greeting[5:7], "little") in (_NOT_ALLOWED, _BLOCKED, 1040):
        text = greeting[7 : 4 + length]
        refused = int.from_bytes(greeting[5:7], "little") != 1040
        return Finding("mariadb" if b"MariaDB" in text else "mysql", words(text), without_authentication=False if refused else None)
    return None
