"""Erlang's port mapper, which tells anybody the nodes of RabbitMQ or CouchDB and their ports (Erlang distribution protocol, NAMES_REQ)."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, nothing_more, words

_NAMES = b"\0\1n"
_NODE = re.compile(rb"name ([!-~]{1,60}) at port [0-9]{1,5}\n")


def talk(address: str, port: int) -> Talk:
    """Which nodes?"""
    _ = (address, port)
    answer = yield Ask(_NAMES, nothing_more)
    if len(answer) < 4 or answer[:2] != b"\0\0" or (len(answer) > 4 and not _NODE.match(answer, 4)):
        return None
    return Finding("epmd", words(b" ".join(_NODE.findall(answer))))
