"""SMTP, FTP, IMAP and POP3 greet with a line; FTP and SMTP both with 220, and only EHLO tells them apart (RFC 5321, 959, 9051, 1939).

No user name is sent, not even `anonymous`.
"""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

FTP_PORTS, SMTP_PORTS = frozenset({21, 990, 2121}), frozenset({25, 465, 587, 2525})
_END = re.compile(rb"(?:^|\n)[0-9]{3} [^\n]*\n")


def complete(answer: bytes) -> bool:
    """The last line of a reply came: three digits and a space."""
    return _END.search(answer) is not None


def talk(address: str, port: int) -> Talk:
    """Greeting 220: FTP or SMTP, and whether SMTP offers STARTTLS."""
    _ = address
    greeting = yield Ask(b"", complete)
    if not greeting.startswith(b"220"):
        return None
    said = words(greeting.split(b"\n")[0][4:])
    if port in FTP_PORTS or (b"FTP" in greeting.upper() and port not in SMTP_PORTS):
        return Finding("ftp", said)
    answer = yield Ask(b"EHLO tutela.invalid\r\n", complete)
    if not answer.startswith(b"250"):
        return Finding("ftp" if answer.startswith((b"5", b"220")) and b"SMTP" not in greeting else "smtp", said)
    return Finding("smtp", words(f"{said[:68]} STARTTLS") if b"STARTTLS" in answer.upper() else said)


def read(greeting: bytes) -> Finding | None:
    """IMAP and POP3."""
    if greeting.startswith((b"* OK", b"* PREAUTH", b"* BYE")):
        said = words(greeting.split(b"\n")[0].removeprefix(b"* OK").strip())
        return Finding("imap", said, without_authentication=True if greeting.startswith(b"* PREAUTH") else None)
    if greeting.startswith(b"+OK"):
        return Finding("pop3", words(greeting.split(b"\n")[0][3:].strip()))
    return None
