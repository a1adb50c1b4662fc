"""MQTT: CONNECT without user name and password (MQTT 3.1.1, section 3.1); code 0 lets anybody in, 4 and 5 do not."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, at_least

_BODY = b"\0\4MQTT\4\2\0\5\0\6tutela"
_CONNECT = bytes((0x10, len(_BODY))) + _BODY


def talk(address: str, port: int) -> Talk:
    """Does it let a stranger in?"""
    _ = (address, port)
    answer = yield Ask(_CONNECT, at_least(4))
    if len(answer) < 4 or answer[:2] != b"\x20\x02" or answer[2] > 1 or answer[3] > 5:
        return None
    if answer[3] == 0:
        yield Ask(b"\xe0\0")
    return Finding("mqtt", without_authentication={0: True, 4: False, 5: False}.get(answer[3]))
