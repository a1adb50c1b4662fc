"""PostgreSQL: what the server wants before it would let `postgres` in (frontend/backend protocol 3.0). No password is sent.

`AuthenticationOk` at once is the method `trust`: anybody is the superuser.
"""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, at_least, words

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_WORDS = b"user\0postgres\0database\0postgres\0application_name\0tutela\0\0"
_START = (len(_WORDS) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + _WORDS
_KINDS = {2: "Kerberos", 3: "password", 5: "md5", 6: "scm", 7: "gss", 9: "sspi", 10: "scram"}


def talk(address: str, port: int) -> Talk:
    """Does it offer TLS, and what does it demand?"""
    _ = (address, port)
    offered = yield Ask(SSL_REQUEST, at_least(1))
    if offered not in (b"S", b"N"):
        return None
    answer = yield Ask(_START, _complete, fresh=True)
    said = "TLS" if offered == b"S" else "no TLS"
    if not answer:
        return Finding("postgresql", said, sure=False)
    found = read(answer, said)
    if found is not None and offered == b"S" and answer.startswith(b"E"):
        # With TLS another line of pg_hba.conf may let us in.
        return Finding(found.name, found.said)
    return found


def within_tls(address: str, port: int) -> Talk:
    """What does it demand of those that come with TLS? Some lines of pg_hba.conf are for them alone."""
    _ = (address, port)
    return read((yield Ask(_START, _complete)), "TLS")


def read(answer: bytes, said: str = "") -> Finding | None:
    """The answer to a StartupMessage."""
    kind, code = answer[:1], int.from_bytes(answer[5:9], "big")
    if len(answer) < 9 or not 8 <= int.from_bytes(answer[1:5], "big") < 30000 or kind not in (b"R", b"E"):
        return None
    if kind == b"E":
        fields = {field[:1]: field[1:] for field in answer[5:].split(b"\0") if field}
        sqlstate = fields.get(b"C", b"")
        if len(sqlstate) != 5:
            return None
        # 28000: no line of pg_hba.conf lets this address in as postgres.
        return Finding("postgresql", words(said), without_authentication=False if sqlstate.startswith(b"28") else None)
    if code == 0:
        version = _parameter(answer, b"server_version")
        return Finding("postgresql", words(f"{version.decode('utf-8', 'replace')} {said} trust".strip()), without_authentication=True)
    if code not in _KINDS:
        return None
    return Finding("postgresql", words(f"{said} {_KINDS[code]}".strip()), without_authentication=False)


def _complete(answer: bytes) -> bool:
    """An error or a demand: one message; after AuthenticationOk up to ReadyForQuery, whose length is 5, or an error."""
    first = 1 + int.from_bytes(answer[1:5], "big")
    if len(answer) < 5 or len(answer) < first:
        return False
    return answer[:1] != b"R" or answer[5:9] != bytes(4) or b"Z\0\0\0\5" in answer[first:] or answer[first : first + 1] == b"E"


def _parameter(answer: bytes, name: bytes) -> bytes:
    return answer.partition(b"\0" + name + b"\0")[2].partition(b"\0")[0] or answer.partition(name + b"\0")[2].partition(b"\0")[0]
