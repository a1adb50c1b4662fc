"""memcached: `version` in the text protocol (doc/protocol.txt of memcached). With SASL or an authentication file it is refused."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, a_line, words


def talk(address: str, port: int) -> Talk:
    """Does it answer?"""
    _ = (address, port)
    answer = yield Ask(b"version\r\n", a_line)
    if answer.startswith(b"VERSION "):
        return Finding("memcached", words(answer[8:]), without_authentication=True)
    if answer.startswith(b"CLIENT_ERROR unauthenticated"):
        return Finding("memcached", without_authentication=False)
    return None
