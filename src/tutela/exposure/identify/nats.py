"""NATS: the server tells about itself first, and whether it demands authentication (NATS client protocol, INFO)."""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Finding, words

_VERSION = re.compile(rb'"version" ?: ?"([^"]{1,40})"')
_REQUIRED = re.compile(rb'"auth_required" ?: ?true')


def read(greeting: bytes) -> Finding | None:
    """`INFO {"server_id": …}`."""
    if not greeting.startswith(b"INFO {"):
        return None
    match = _VERSION.search(greeting)
    # Of a line that is cut nobody knows what stood in the rest.
    free = False if _REQUIRED.search(greeting) else True if b"\n" in greeting else None
    return Finding("nats", words(match[1]) if match else "", without_authentication=free)
