"""ONC RPC over TCP: what the port mapper holds, and whether NFS answers (RFC 5531, RFC 1833, RFC 7530)."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk

_MAPPER, _NFS = 100000, 100003
_XID = 0x7475_7465
_NAMES = {100000: "portmapper", 100003: "nfs", 100005: "mountd", 100021: "nlockmgr", 100024: "status", 100227: "nfs_acl", 100004: "ypserv", 100007: "ypbind"}
_MOST = 200


def _call(program: int, version: int, procedure: int) -> bytes:
    body = b"".join(value.to_bytes(4, "big") for value in (_XID, 0, 2, program, version, procedure, 0, 0, 0, 0))
    return (0x8000_0000 | len(body)).to_bytes(4, "big") + body


def _complete(answer: bytes) -> bool:
    return len(answer) >= 4 and len(answer) >= 4 + (int.from_bytes(answer[:4], "big") & 0x7FFF_FFFF)


def _numbers(answer: bytes) -> list[int] | None:
    """The result of an accepted call, or None when it is no reply to ours."""
    values = [int.from_bytes(answer[at : at + 4], "big") for at in range(4, len(answer) - 3, 4)]
    return values if len(values) >= 3 and values[:2] == [_XID, 1] else None


def mapper(address: str, port: int) -> Talk:
    """Programs that are registered."""
    _ = (address, port)
    values = _numbers((yield Ask(_call(_MAPPER, 2, 4), _complete)))
    if values is None:
        return None
    if len(values) < 6 or values[2] != 0 or values[5] != 0:
        return Finding("rpcbind")
    found: dict[str, None] = {}
    at = 6
    while at + 4 < len(values) and values[at] == 1 and len(found) < _MOST:
        found[_NAMES.get(values[at + 1], str(values[at + 1]))] = None
        at += 5
    return Finding("rpcbind", " ".join(list(found)[:8]))


def nfs(address: str, port: int) -> Talk:
    """Which versions of NFS do nothing when asked to?"""
    _ = (address, port)
    spoken = []
    for version in (3, 4):
        values = _numbers((yield Ask(_call(_NFS, version, 0), _complete, fresh=version != 3)))
        if values is None:
            break
        if len(values) >= 6 and values[2] == 0 and values[5] == 0:
            spoken.append(str(version))
    else:
        return Finding("nfs", " ".join(spoken))
    return Finding("nfs", " ".join(spoken)) if spoken else None
