"""How TLS begins inside a protocol that starts in the clear: what is said before the handshake, and the answer that allows it.

RFC 3207 (SMTP), 4217 (FTP), 2595 (IMAP, POP3), 4511 section 4.14 (LDAP), PostgreSQL SSLRequest, MS-RDPBCGR.
MySQL is left out: it counts connections that end before a login, and blocks their address after a hundred (`max_connect_errors`).
"""

from __future__ import annotations

from collections.abc import Callable

from tutela.exposure.identify import mail, postgresql, rdp
from tutela.exposure.identify.talk import Ask, a_line, anything, at_least
from tutela.record import record


@record
class Step:
    """Step(Ask(...), allowed): TLS is not begun where the answer does not allow it."""

    ask: Ask
    allowed: Callable[[bytes], bool] = anything


def _begins(*signs: bytes) -> Callable[[bytes], bool]:
    return lambda answer: answer.startswith(signs)


_LDAP_OID = b"1.3.6.1.4.1.1466.20037"
_LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80" + bytes((len(_LDAP_OID),)) + _LDAP_OID
STEPS: dict[str, tuple[Step, ...]] = {
    "smtp": (Step(Ask(b"", mail.complete), _begins(b"220")), Step(Ask(b"EHLO tutela.invalid\r\n", mail.complete), lambda answer: b"STARTTLS" in answer.upper()),
             Step(Ask(b"STARTTLS\r\n", a_line), _begins(b"220"))),
    "ftp": (Step(Ask(b"", mail.complete), _begins(b"220")), Step(Ask(b"AUTH TLS\r\n", a_line), _begins(b"234"))),
    "imap": (Step(Ask(b"", a_line), _begins(b"* OK")), Step(Ask(b"a STARTTLS\r\n", a_line), _begins(b"a OK"))),
    "pop3": (Step(Ask(b"", a_line), _begins(b"+OK")), Step(Ask(b"STLS\r\n", a_line), _begins(b"+OK"))),
    "ldap": (Step(Ask(_LDAP, at_least(14)), lambda answer: b"\x0a\x01\x00" in answer[:20]),),
    "postgresql": (Step(Ask(postgresql.SSL_REQUEST, at_least(1)), lambda answer: answer == b"S"),),
    "rdp": (Step(Ask(rdp.ASK, rdp.complete), rdp.takes_tls),),
}  # fmt: skip
